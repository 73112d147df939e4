import type { Browser } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import type { Session } from '../src/wire'
import { violations } from './fixture/axe'
import { launch, open } from './fixture/browser'
import { project, SESSION } from './fixture/project'
import type { Fixture } from './fixture/server'

const OUTSIDE: Session = { ...SESSION, login_required: true, role: null }
const INSIDE: Session = { ...SESSION, login_required: true, user: { name: 'ada', role: 'viewer' }, role: 'viewer' }

let fixture: Fixture
let browser: Browser
beforeAll(async () => {
  browser = await launch()
})
afterAll(() => browser.close())
beforeEach(async () => {
  fixture = await project()
    .on('GET', '/api/session', () => ({ body: OUTSIDE }))
    .on('POST', '/api/login', ({ body }) =>
      (body as { password: string }).password === 'right'
        ? { body: INSIDE }
        : {
            status: 401,
            body: {
              error: { message: 'name or password is wrong', detail: null, hint: null, kind: 'unauthenticated' },
            },
          },
    )
    .start()
})
afterEach(() => fixture.stop())

test('a login is asked for, a wrong one refused, a right one leads to the page', async () => {
  const { page } = await open(browser, `${fixture.url}/runs`)
  await page.getByRole('button', { name: 'Log in' }).waitFor()
  expect(await violations(page)).toEqual([])
  expect(fixture.calls.map(({ path }) => path)).toEqual(['/api/session'])
  await page.getByLabel('Name').fill('ada')
  await page.getByLabel('Password').fill('wrong')
  await page.keyboard.press('Enter')
  await page.getByText('Name or password is wrong').waitFor()
  await page.getByLabel('Password').fill('right')
  await page.keyboard.press('Enter')
  await page.getByRole('heading', { name: 'Runs' }).waitFor()
  await page.getByText('Log out ada').waitFor()
  expect(await page.getByRole('button', { name: 'Build everything' }).count()).toBe(0)
  await page.context().close()
})

test('a session that ends asks for a login, and a forbidden page says so', async () => {
  fixture.on('GET', '/api/session', () => ({ body: INSIDE }))
  fixture.on('GET', '/api/quarantine', () => ({
    status: 403,
    body: {
      error: {
        message: 'a viewer may not do this',
        detail: null,
        hint: 'Ask an admin for the role of an editor.',
        kind: 'forbidden',
      },
    },
  }))
  const { page } = await open(browser, `${fixture.url}/quarantine`)
  await page.getByText('You may not see this: a viewer may not do this').waitFor()
  fixture.on('GET', '/api/assets', () => ({
    status: 401,
    body: { error: { message: 'log in first', detail: null, hint: null, kind: 'unauthenticated' } },
  }))
  await page.getByRole('link', { name: 'Assets' }).click()
  await page.getByRole('button', { name: 'Log in' }).waitFor()
  await page.context().close()
})
