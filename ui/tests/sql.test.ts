import type { Browser, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { launch, open } from './fixture/browser'
import { rows } from './fixture/dashboard'
import { project } from './fixture/project'
import type { Fixture } from './fixture/server'

let fixture: Fixture
let browser: Browser
let page: Page
let troubles: string[]

beforeAll(async () => {
  browser = await launch()
})
afterAll(() => browser.close())
beforeEach(async () => {
  fixture = await project().start()
  ;({ page, troubles } = await open(browser, `${fixture.url}/sql`))
  await page.locator('.cm-content').waitFor()
})
afterEach(async () => {
  await page.context().close()
  await fixture.stop()
})

async function type(text: string): Promise<void> {
  await page.locator('.cm-content').click()
  await page.keyboard.press('Control+a')
  await page.keyboard.press('Delete')
  await page.keyboard.insertText(text)
}

const sent = () => fixture.calls.filter(({ method, path }) => method === 'POST' && path.startsWith('/api/sql'))

test('Ctrl-Enter runs the statement, cells are exact, and it stays in the history', async () => {
  await type('select 1')
  await page.keyboard.press('Control+Enter')
  await page.getByRole('cell', { name: '9,007,199,254,740,993' }).first().waitFor()
  expect(sent()[0]?.body).toMatchObject({ sql: 'select 1' })
  await page.getByText('50 rows in').waitFor()
  await page.getByRole('tab', { name: /History/ }).click()
  await type('select 2')
  await page.getByRole('button', { name: /select 1/ }).click()
  await page.locator('.cm-content').getByText('select 1').waitFor()
  expect(troubles).toEqual([])
})

test('only the marked part runs', async () => {
  await type('select 1; select 2')
  await page.keyboard.press('Home')
  for (let letters = 0; letters < 'select 1'.length; letters += 1) await page.keyboard.press('Shift+ArrowRight')
  await page.keyboard.press('Control+Enter')
  await page.getByText('50 rows in').waitFor()
  expect(sent()[0]?.body).toMatchObject({ sql: 'select 1' })
})

test('the editor completes tables, columns and functions of the catalog', async () => {
  await type('select * from dim_')
  await page.keyboard.press('Control+Space')
  await page.getByRole('option', { name: /dim_users/ }).waitFor()
  await page.keyboard.press('Escape')
  await type('select date_t')
  await page.keyboard.press('Control+Space')
  await page.getByRole('option', { name: /date_trunc/ }).waitFor()
})

test('a statement under way is cancelled, also at the server', async () => {
  fixture.on('POST', '/api/sql', () => new Promise(() => undefined))
  await type('select count(*) from range(1000000000000)')
  await page.getByRole('button', { name: 'Run', exact: true }).click()
  await page.getByRole('button', { name: 'Cancel' }).click()
  await page.getByText('The statement was cancelled').waitFor()
  const { id } = sent()[0]?.body as { id: string }
  await expect.poll(() => fixture.calls.find(({ method }) => method === 'DELETE')?.path).toBe(`/api/sql/${id}`)
})

test('an error is told with what to do', async () => {
  const error = {
    message: 'table main.nothing is not there',
    detail: 'line 1, column 15',
    hint: 'Did you mean `main.dim_users`?',
    kind: 'user',
  }
  fixture.on('POST', '/api/sql', () => ({ status: 400, body: { error } }))
  await type('select * from nothing')
  await page.keyboard.press('Control+Enter')
  await page.getByText('Did you mean `main.dim_users`?').waitFor()
  await page.getByText('line 1, column 15').waitFor()
})

test('ten thousand rows scroll smoothly: few of them are elements', async () => {
  const data = rows(
    { id: 'Int64', name: 'Utf8' },
    Array.from({ length: 10_000 }, (_, at) => [at, `row ${at}`]),
  )
  fixture.on('POST', '/api/sql', () => ({ body: { ...data, truncated: true, error: null } }))
  await type('select * from big')
  await page.keyboard.press('Control+Enter')
  const grid = page.getByRole('region', { name: 'Rows of the answer' })
  await grid.getByText('row 3', { exact: true }).waitFor()
  expect(await grid.getByRole('row').count()).toBeLessThan(80)
  await grid.evaluate((element) => element.scrollTo(0, element.scrollHeight))
  await grid.getByText('row 9999', { exact: true }).waitFor()
  expect(await grid.getByRole('row').count()).toBeLessThan(80)
  await page.getByText('cut: download for all').waitFor()
})

test('an answer becomes a chart, a plan, a file', async () => {
  await type('select 1')
  await page.keyboard.press('Control+Enter')
  await page.getByText('50 rows in').waitFor()
  await page.getByRole('tab', { name: 'Chart' }).click()
  await page.locator('canvas').first().waitFor()
  await page.getByLabel('Kind').selectOption('scatter')
  await page.getByRole('button', { name: 'Explain' }).click()
  await page.getByText('ProjectionExec: expr=[1]').waitFor()
  await page.getByRole('button', { name: 'Download' }).click()
  const [download] = await Promise.all([
    page.waitForEvent('download'),
    page.getByRole('button', { name: 'CSV' }).click(),
  ])
  expect(download.suggestedFilename()).toBe('query.csv')
  expect(sent().at(-1)?.query.get('format')).toBe('csv')
  expect(troubles).toEqual([])
})

test('a link brings its statement; a table of the catalog writes one', async () => {
  await page.goto(`${fixture.url}/sql?q=${encodeURIComponent("select 'a&b'")}`)
  await page.locator('.cm-content').getByText("'a&b'").waitFor()
  await page.getByRole('button', { name: /^main\.dim_users/ }).click()
  await page.locator('.cm-content').getByText('main.dim_users').waitFor()
})
