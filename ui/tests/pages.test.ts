import { violations } from './fixture/axe'
import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { launch, open } from './fixture/browser'
import { project } from './fixture/project'
import type { Fixture } from './fixture/server'

let fixture: Fixture
let browser: Browser
beforeAll(async () => {
  fixture = await project().start()
  browser = await launch()
})
afterAll(async () => {
  await browser.close()
  await fixture.stop()
})

const PAGES: [address: string, heading: string, shows: string][] = [
  ['/', 'music', 'events.listen_events'],
  ['/dashboards', 'Dashboards', 'Every kind of tile'],
  ['/dashboards/gallery', 'Every kind of tile', 'Top genres'],
  ['/lineage', 'Lineage', 'node_1_1'],
  ['/lineage?focus=model.music.node_1_1', 'Lineage', 'Made from'],
  ['/assets', 'Assets', 'fact_listen_events'],
  ['/assets/main.fact_listen_events', 'fact_listen_events', 'relationships_fact_listen_events_pk_song'],
  ['/assets/main.fact_listen_events?column=streams', 'fact_listen_events', 'streams_a_user'],
  ['/assets/main.fact_listen_events?tab=sample', 'fact_listen_events', 'user-1'],
  ['/assets/main.fact_listen_events?tab=sql', 'fact_listen_events', 'main.stg_listen_events'],
  ['/assets/main.fact_listen_events?tab=versions', 'fact_listen_events', 'OPTIMIZE'],
  ['/runs', 'Runs', '#12'],
  ['/runs/8', 'Run #8', '3 rows break the rule session_seconds > 0'],
  ['/runs/8?steps=log', 'Run #8', '3 steps planned'],
  ['/sources', 'Sources', 'Retention removed records'],
  ['/sources/events', 'events', 'events.page_view_events'],
  ['/sources/shop', 'shop', 'of about 120,000 rows'],
  ['/sources/bus', 'bus', 'Last errors'],
  ['/sources/hooks', 'hooks', 'Nothing is read until somebody resumes it'],
  ['/sinks', 'Sinks', 'Name the columns that it expects'],
  ['/topics', 'Topics', 'listen_events'],
  ['/topics/auth_events', 'Topics', 'Last records'],
  ['/quarantine', 'Quarantine', 'the field `ts` is missing'],
  ['/sql', 'SQL', 'No rows yet'],
]

describe.each(['light', 'dark'] as const)('in %s', (colorScheme) => {
  test.each(PAGES)('%s stands, without a trouble and accessible', async (address, heading, shows) => {
    const { page, troubles } = await open(browser, fixture.url + address, { colorScheme })
    await page.getByText(shows).first().waitFor()
    expect(await page.locator('h1').textContent()).toBe(heading)
    await page.waitForTimeout(300)
    expect(await violations(page)).toEqual([])
    expect(troubles).toEqual([])
    await page.context().close()
  })
})

test.each(PAGES)('%s fits a phone', async (address, _heading, shows) => {
  const { page } = await open(browser, fixture.url + address, { viewport: { width: 390, height: 800 } })
  await page.getByText(shows).first().waitFor()
  const [page_width, view] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth])
  expect(page_width).toBeLessThanOrEqual(view!)
  await page.getByRole('button', { name: 'Pages' }).click()
  await page.getByRole('link', { name: 'Runs' }).first().click()
  await page.getByRole('heading', { name: 'Runs' }).waitFor()
  await page.context().close()
})

test('an unknown address and an unknown asset say so', async () => {
  const { page } = await open(browser, `${fixture.url}/nowhere`)
  await page.getByText('There is no page at this address').waitFor()
  fixture.on('GET', '/api/assets/gone', () => ({
    status: 404,
    body: {
      error: { message: 'there is no asset `gone`', detail: null, hint: '`GET /api/assets` lists them.', kind: 'user' },
    },
  }))
  await page.goto(`${fixture.url}/assets/gone`)
  await page.getByText('There is no asset `gone`').waitFor()
  await page.getByText('lists them').waitFor()
  await page.context().close()
})

test('the theme can be chosen, and is kept', async () => {
  const { page } = await open(browser, fixture.url, { colorScheme: 'light' })
  const theme = () => page.evaluate(() => document.documentElement.dataset.theme)
  expect(await theme()).toBe('light')
  await page.getByRole('button', { name: 'Theme: system' }).click()
  await page.getByRole('button', { name: 'Theme: light' }).click()
  expect(await theme()).toBe('dark')
  await page.reload()
  await page.getByRole('button', { name: 'Theme: dark' }).waitFor()
  expect(await theme()).toBe('dark')
  await page.context().close()
})

test('the first screen stays below 300 KB, compressed', async () => {
  const { gzipSync } = await import('node:zlib')
  const context = await browser.newContext()
  const page = await context.newPage()
  let bytes = 0
  page.on('response', async (response) => {
    if (new URL(response.url()).pathname.startsWith('/api/')) return
    const body = await response.body().catch(() => Buffer.alloc(0))
    bytes += response.url().endsWith('.woff2') ? body.length : gzipSync(body).length
  })
  await page.goto(`${fixture.url}/dashboards/gallery`)
  await page.locator('canvas').first().waitFor()
  await page.waitForTimeout(300)
  expect(bytes).toBeGreaterThan(50_000)
  expect(bytes).toBeLessThan(300_000)
  await context.close()
})
