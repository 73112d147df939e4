// Steering sources in the browser: what is asked, what is sent, what is shown after.

import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { launch, open } from './fixture/browser'
import { project, SESSION } from './fixture/project'
import type { Fixture } from './fixture/server'
import { SINKS } from './fixture/sinks'
import { detail, SOURCES, tablesOf } from './fixture/sources'

let fixture: Fixture
let browser: Browser
beforeAll(async () => {
  browser = await launch()
})
afterAll(async () => {
  await browser.close()
})
beforeEach(async () => {
  fixture = await project().start()
  return () => fixture.stop()
})

const asked = () =>
  fixture.calls
    .filter(({ method, path }) => method === 'POST' && path.startsWith('/api/sources/'))
    .map(({ path, body }) => [path, body])

async function at(address: string): Promise<Page> {
  return (await open(browser, fixture.url + address)).page
}

test('a capture is paused only after saying what that costs', async () => {
  const page = await at('/sources/shop')
  await page.getByRole('button', { name: 'Pause', exact: true }).click()
  const dialog = page.getByRole('dialog', { name: 'Pause shop?' })
  await dialog.getByText('The replication slot stays').waitFor()
  await page.keyboard.press('Escape')
  await dialog.waitFor({ state: 'hidden' })
  expect(asked()).toEqual([])
  await page.getByRole('button', { name: 'Pause', exact: true }).click()
  fixture.on('GET', '/api/sources/*', () => ({
    body: { ...detail('shop'), state: 'paused', paused_at: new Date().toISOString() },
  }))
  await dialog.getByRole('button', { name: 'Pause' }).click()
  await page.getByText('Nothing is read until somebody resumes it').waitFor()
  expect(asked()).toEqual([['/api/sources/shop/pause', { table: null }]])
  await page.getByRole('button', { name: 'Resume' }).waitFor()
  await page.context().close()
})

test('what has failed is run again at once, what runs after a question', async () => {
  const failed = await at('/sources/bus')
  await failed.getByRole('button', { name: 'Run again' }).click()
  await expect.poll(asked).toEqual([['/api/sources/bus/restart', { table: null }]])
  await failed.context().close()
  const running = await at('/sources/shop')
  await running.getByRole('button', { name: 'Run again' }).click()
  await running.getByRole('dialog').getByRole('button', { name: 'Run again' }).click()
  await expect.poll(() => asked().length).toBe(2)
  await running.context().close()
})

test('one table of several is paused and resumed by itself, those of one stream are not', async () => {
  const page = await at('/sources/events')
  await page.getByRole('button', { name: 'Pause events.page_view_events' }).click()
  await page.getByRole('button', { name: 'Resume events.auth_events' }).click()
  await expect.poll(asked).toEqual([
    ['/api/sources/events/pause', { table: 'events.page_view_events' }],
    ['/api/sources/events/resume', { table: 'events.auth_events' }],
  ])
  await page.goto(`${fixture.url}/sources/shop`)
  await page.getByText('shop.customers').first().waitFor()
  expect(await page.getByRole('button', { name: /^Pause shop/ }).count()).toBe(0)
  await page.context().close()
})

test('a captured table is copied again after a question, and one that is being copied is not', async () => {
  const page = await at('/sources/shop')
  const busy = page.getByRole('button', { name: 'Copy shop.customers again' })
  await busy.waitFor()
  expect(await busy.isDisabled()).toBe(true)
  await page.getByRole('button', { name: 'Copy shop.orders again' }).click()
  const dialog = page.getByRole('dialog', { name: 'Copy shop.orders again?' })
  await dialog.getByText('read of the table').waitFor()
  await dialog.getByRole('button', { name: 'Cancel' }).click()
  await dialog.waitFor({ state: 'hidden' })
  expect(asked()).toEqual([])
  await page.getByRole('button', { name: 'Copy shop.orders again' }).click()
  const now = detail('shop')
  const copy = { asked_at: new Date().toISOString(), is_under_way: false, rows: null, of_rows: null }
  const tables = now.tables.map((table) => (table.table === 'shop.orders' ? { ...table, copy } : table))
  fixture.on('GET', '/api/sources/*', () => ({ body: { ...now, tables } }))
  await dialog.getByRole('button', { name: 'Copy again' }).click()
  await page.getByText('It begins when the stream looks next').waitFor()
  expect(asked()).toEqual([['/api/sources/shop/recopy', { table: 'shop.orders' }]])
  await page.context().close()
})

test('a copy is told while it goes on, and what the last came to', async () => {
  const page = await at('/sources/shop')
  const card = page.getByRole('region', { name: 'Copies' })
  await card.getByText('31,400 of about 120,000 rows').waitFor()
  await card.getByText('9,007,199 rows in 1 min 28 s').waitFor()
  expect(await card.getByRole('progressbar').getAttribute('aria-valuenow')).toBe('26')
  const [first] = await card.getByRole('listitem').allTextContents()
  expect(first).toContain('shop.customers')
  await page.context().close()
})

test('what a copy came to is read from the lake when it ends', async () => {
  const page = await at('/sources/shop')
  await page.getByRole('progressbar').waitFor()
  const over = tablesOf('shop').map((table) => ({
    ...table,
    last_copy: { begun_at: '2026-01-01T00:00:00Z', ended_at: '2026-01-01T00:00:05Z', rows: 77 },
  }))
  fixture.on('GET', '/api/sources/*/tables', () => ({ body: over }))
  const tables = detail('shop').tables.map((table) => ({ ...table, copy: null }))
  fixture.on('GET', '/api/sources/*', () => ({ body: { ...detail('shop'), tables } }))
  fixture.emit({ event: 'reload' })
  await page.getByText('77 rows in 5.0 s').first().waitFor({ timeout: 10_000 })
  await page.context().close()
})

test('a failure that comes again and again is told once, with how often', async () => {
  const page = await at('/sources/bus')
  const card = page.getByRole('region', { name: 'Last errors' })
  await card.getByText('7 times, last').waitFor()
  expect(await card.getByRole('listitem').count()).toBe(1)
  await page.context().close()
})

test('a refusal is shown with what to do', async () => {
  fixture.on('POST', '/api/sources/*/*', () => ({
    status: 409,
    body: { error: { message: '`bus` is paused', detail: null, hint: 'Let it go on first.', kind: 'conflict' } },
  }))
  const page = await at('/sources/bus')
  await page.getByRole('button', { name: 'Run again' }).click()
  await page.getByText('Let it go on first.').waitFor()
  await page.context().close()
})

test('who may only look gets no buttons', async () => {
  fixture.on('GET', '/api/session', () => ({ body: { ...SESSION, role: 'viewer' } }))
  const page = await at('/sources/events')
  await page.getByText('events.page_view_events').first().waitFor()
  expect(await page.getByRole('button', { name: /Pause|Run again|Copy .* again/ }).count()).toBe(0)
  await page.goto(`${fixture.url}/sources/shop`)
  await page.getByText('of about 120,000 rows').waitFor()
  expect(await page.getByRole('button', { name: /Copy .* again/ }).count()).toBe(0)
  await page.context().close()
})

test('a change of state is shown when it happens', async () => {
  const page = await at('/sources/shop')
  await page.getByText('shop.customers').first().waitFor()
  const table = { ...SOURCES[1]!.tables[0]!, state: 'retrying' }
  const error = { message: 'the server does not answer', detail: null, hint: 'It is tried again.', kind: 'external' }
  const now = { ...detail('shop'), state: 'retrying', tables: [{ ...table, error }] }
  fixture.on('GET', '/api/sources/*', () => ({ body: now }))
  fixture.emit({ event: 'ingest', ...table })
  await page.getByText('The server does not answer').waitFor({ timeout: 3_000 })
  await page.context().close()
})

test('the hour is read with the arrow keys', async () => {
  const page = await at('/sources/events')
  const plot = page.getByRole('slider', { name: 'Rows per second over the last hour' })
  await plot.focus()
  const now = await plot.getAttribute('aria-valuetext')
  expect(now).toMatch(/UTC: [\d,.]+ rows\/s$/)
  await plot.press('ArrowLeft')
  await plot.press('ArrowLeft')
  expect(await plot.getAttribute('aria-valuetext')).not.toBe(now)
  await plot.press('Home')
  expect(await plot.getAttribute('aria-valuenow')).toBe('0')
  await page.context().close()
})

test('a process that takes nothing in says so and offers nothing', async () => {
  const rest = SOURCES.map((source) => ({ ...source, is_running: false, state: 'not running' }))
  fixture.on('GET', '/api/sources', () => ({ body: rest }))
  fixture.on('GET', '/api/sources/*', () => ({
    body: { ...detail('events'), is_running: false, state: 'not running', history: [] },
  }))
  const page = await at('/sources')
  await page.getByText('This process takes nothing in').waitFor()
  await page.goto(`${fixture.url}/sources/events`)
  await page.getByText('This process takes nothing in').waitFor()
  expect(await page.getByRole('button', { name: /Pause|Run again/ }).count()).toBe(0)
  await page.context().close()
})

test('sinks tell how far they are, and what keeps them', async () => {
  const page = await at('/sinks')
  const row = (name: string) => page.getByRole('row').filter({ hasText: name })
  await row('What finance').or(row('paid_orders')).first().getByText('version 412').waitFor()
  await row('s3://exports/plays').getByText('9,007,199,254,740,993').waitFor()
  await row('s3://exports/plays').getByText('1 min 15 s').waitFor()
  await page.getByText('crm refuses rows with 422').waitFor()
  await page.getByText('1 failing').waitFor()
  await page.context().close()
})

test('destinations of a process that sends nothing are asked once, and the page says so', async () => {
  const rest = SINKS.map((sink) => ({ ...sink, is_running: false, state: 'not running', rows_sent: null }))
  fixture.on('GET', '/api/sinks', () => ({ body: rest }))
  const page = await at('/sinks')
  await page.getByText('the destinations were asked').waitFor()
  const times = () => fixture.calls.filter(({ path }) => path === '/api/sinks').length
  await page.clock.install()
  await page.reload()
  await page.getByText('the destinations were asked').waitFor()
  expect(times()).toBe(2)
  await page.clock.runFor(60_000)
  expect(times()).toBe(2)
  fixture.on('GET', '/api/sinks', () => ({ body: SINKS }))
  await page.reload()
  await page.getByText('1 failing').waitFor()
  await page.clock.runFor(6_000)
  await expect.poll(times).toBe(4)
  await page.context().close()
})
