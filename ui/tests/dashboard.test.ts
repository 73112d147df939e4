import type { Browser, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { launch, open } from './fixture/browser'
import { ANSWERS, answer, GALLERY, rows } from './fixture/dashboard'
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
  ;({ page, troubles } = await open(browser, `${fixture.url}/dashboards/gallery`, {
    viewport: { width: 1280, height: 2600 },
  }))
  await page.locator('[data-tile="lying"] canvas').first().waitFor()
  await page.waitForFunction(() => document.querySelectorAll('[aria-busy="true"]').length === 0)
})
afterEach(async () => {
  await page.context().close()
  await fixture.stop()
})

const tile = (name: string) => page.locator(`[data-tile="${name}"]`)

/** The tiles asked since the last look, with what they were asked. */
function asked(): Record<string, unknown> {
  const calls = fixture.calls.splice(0).filter(({ method, path }) => method === 'POST' && path.includes('/tiles/'))
  return Object.fromEntries(
    calls.map(({ path, body }) => [path.split('/').at(-1)!, (body as { filters: unknown }).filters]),
  )
}

async function settled(): Promise<void> {
  await page.waitForTimeout(100)
  await page.waitForFunction(() => document.querySelectorAll('[aria-busy="true"]').length === 0)
}

test('every tile is asked once, and figures are exact', async () => {
  expect(Object.keys(asked()).sort()).toEqual(Object.keys(ANSWERS).sort())
  await tile('total_users').getByText('9,007,199,254,740,993').first().waitFor()
  await tile('recurring_revenue').getByText('$134.46').waitFor()
  await tile('conversion_rate').getByText('0.9 pp').waitFor()
  expect(await tile('top_songs').locator('tbody tr').count()).toBe(10)
  expect(troubles).toEqual([])
})

test('a filter asks only the tiles that depend on it, and stands in the address', async () => {
  asked()
  await page.getByRole('button', { name: /^States\W+All/ }).click()
  await page.getByRole('option', { name: 'CA' }).click()
  await page.getByRole('option', { name: 'TX' }).click()
  await page.keyboard.press('Escape')
  await settled()
  const states = GALLERY.tiles.filter(({ filters }) => filters.includes('states')).map(({ name }) => name)
  const calls = asked()
  expect(Object.keys(calls).sort()).toEqual(states.sort())
  expect(calls.top_songs).toEqual({ states: ['CA', 'TX'] })
  expect(new URL(page.url()).search).toBe('?states=CA&states=TX')
  await page.reload()
  await page.getByRole('button', { name: /^States\W+CA, TX/ }).waitFor()
  await settled()
  expect(asked().top_songs).toEqual({ states: ['CA', 'TX'] })
  await page.goBack()
  await page.getByRole('button', { name: /^States\W+CA/ }).waitFor()
  await page.getByRole('button', { name: 'Reset' }).click()
  await page.getByRole('button', { name: /^States\W+All/ }).waitFor()
  expect(new URL(page.url()).search).toBe('')
})

test('a date range is chosen by preset or by days', async () => {
  asked()
  await page.getByRole('button', { name: /^Period/ }).click()
  await page.getByRole('button', { name: 'Last 7 days' }).click()
  await settled()
  expect(asked().revenue).toEqual({ period: 'last_7_days' })
  await page.getByRole('button', { name: /^Period/ }).click()
  expect(await page.getByLabel('From').inputValue()).toBe('2026-11-15')
  await page.getByLabel('From').fill('2026-11-20')
  await page.getByLabel('To', { exact: true }).fill('2026-11-19')
  expect(await page.getByRole('button', { name: 'Apply' }).isDisabled()).toBe(true)
  await page.getByLabel('To', { exact: true }).fill('2026-11-21')
  await page.getByRole('button', { name: 'Apply' }).click()
  await settled()
  expect(asked().revenue).toEqual({ period: '2026-11-20..2026-11-21' })
  expect(new URL(page.url()).searchParams.get('period')).toBe('2026-11-20..2026-11-21')
})

test('text, select and number filters reach the address', async () => {
  await page.getByLabel('Artist', { exact: true }).fill('Muse')
  await page.waitForURL(/artist=Muse/)
  await page.getByRole('button', { name: /^Level\W+All/ }).click()
  await page.getByRole('option', { name: 'paid' }).click()
  await page.getByRole('button', { name: /^Age\W+All/ }).click()
  await page.getByLabel('From').fill('18')
  await page.getByRole('button', { name: 'Apply' }).click()
  const { searchParams } = new URL(page.url())
  expect([searchParams.get('level'), searchParams.get('age')]).toEqual(['paid', '18..'])
})

test('a click on a mark filters the page, a second one takes it back', async () => {
  asked()
  const texas = tile('listens_by_state').getByRole('button', { name: /^Texas/ })
  await texas.click()
  await settled()
  const calls = asked()
  expect(calls.top_songs).toEqual({ states: ['TX'] })
  expect(Object.keys(calls)).not.toContain('listens_by_state')
  expect(await texas.getAttribute('aria-pressed')).toBe('true')
  await texas.focus()
  await page.keyboard.press('Enter')
  await settled()
  expect(new URL(page.url()).search).toBe('')
  await tile('top_artists')
    .getByRole('button', { name: /Coldplay/ })
    .click()
  await page.waitForURL(/artist=Coldplay/)
})

test('a click on a bar of a chart filters by its series', async () => {
  const canvas = tile('active_users').locator('canvas').first()
  const box = (await canvas.boundingBox())!
  await page.mouse.click(box.x + box.width / 2 + 6, box.y + box.height - 45)
  await page.waitForURL(/level=free/)
})

test('the rows behind a mark can be seen', async () => {
  asked()
  await tile('top_genres').getByRole('button', { name: /^Rock/ }).click()
  const dialog = page.getByRole('dialog', { name: /rows of genre Rock/ })
  await dialog.getByText('user-1', { exact: true }).waitFor()
  const call = fixture.calls.find(({ path }) => path.endsWith('/detail'))
  expect(call?.body).toEqual({ filters: {}, where: [{ column: 'genre', value: 'Rock' }] })
  await page.keyboard.press('Escape')
  await dialog.waitFor({ state: 'hidden' })
})

test('a table sorts exactly, pages and adds up', async () => {
  const songs = tile('top_songs')
  await songs.getByRole('button', { name: 'Next page' }).click()
  await songs.getByText('11–20 of 100').waitFor()
  await songs.getByRole('columnheader', { name: 'Streams' }).getByRole('button').click()
  await songs.getByRole('columnheader', { name: 'Streams' }).getByRole('button').click()
  expect(await songs.locator('tbody tr').first().textContent()).toContain('Song 100')
  await songs.locator('tfoot').getByText('49,450').waitFor()
})

test('an event refreshes the tiles that read the table, without a blank in between', async () => {
  asked()
  const canvas = await tile('revenue').locator('canvas').first().elementHandle()
  await page.evaluate(() => {
    const blanks: string[] = []
    Object.assign(globalThis, { blanks })
    new MutationObserver(() => {
      if (document.querySelector('[data-tile] .skeleton')) blanks.push('skeleton')
    }).observe(document.body, { childList: true, subtree: true })
  })
  fixture.on('POST', '/api/dashboards/*/tiles/total_users', () => ({
    body: answer(rows({ value: 'Int64', previous: 'Int64' }, [[482, 469]])),
  }))
  fixture.emit({ event: 'table', table: 'main.other', version: 1, at: new Date().toISOString() })
  await page.waitForTimeout(400)
  expect(asked()).toEqual({})
  fixture.emit({ event: 'table', table: 'main.daily', version: 8, at: new Date().toISOString() })
  await tile('total_users').getByText('482').waitFor()
  await settled()
  expect(Object.keys(asked())).toHaveLength(Object.keys(ANSWERS).length)
  expect(await page.evaluate(() => (globalThis as unknown as { blanks: string[] }).blanks)).toEqual([])
  expect(await canvas!.evaluate((element) => element.isConnected)).toBe(true)
})

test('a paused page keeps its figures, says what waits, and catches up', async () => {
  await page.getByRole('button', { name: 'Pause' }).click()
  asked()
  fixture.on('POST', '/api/dashboards/*/tiles/total_users', () => ({
    body: answer(rows({ value: 'Int64', previous: 'Int64' }, [[482, 469]])),
  }))
  fixture.emit({ event: 'table', table: 'main.daily', version: 8, at: new Date().toISOString() })
  await page.getByText(`Paused, newer data for ${Object.keys(ANSWERS).length} tiles`).waitFor()
  await tile('total_users').getByText('paused', { exact: true }).waitFor()
  await settled()
  expect(asked()).toEqual({})
  await page.getByRole('button', { name: 'Resume' }).click()
  await tile('total_users').getByText('482').waitFor()
  await settled()
  expect(Object.keys(asked())).toHaveLength(Object.keys(ANSWERS).length)
  expect(await page.getByText('paused', { exact: true }).count()).toBe(0)
})

test('many events close together are one question, and none is starved', async () => {
  asked()
  for (let version = 8; version < 28; version += 1) {
    fixture.emit({ event: 'table', table: 'main.daily', version, at: new Date().toISOString() })
    await page.waitForTimeout(20)
  }
  await page.waitForTimeout(500)
  await settled()
  const calls = fixture.calls.filter(({ path }) => path.endsWith('/tiles/revenue'))
  expect(calls.length).toBeGreaterThan(0)
  expect(calls.length).toBeLessThan(8)
})

test('a lost connection is told, and everything is asked anew when it is back', async () => {
  asked()
  fixture.cut()
  await page.getByText('Connection lost').waitFor()
  await page.getByText('Live', { exact: true }).waitFor()
  await page.waitForTimeout(400)
  expect(Object.keys(asked())).toHaveLength(Object.keys(ANSWERS).length)
})

test('a failing refresh keeps the last answer and says so; a first failure is explained', async () => {
  const error = {
    message: 'the query takes too much memory',
    detail: null,
    hint: 'Choose a shorter period.',
    kind: 'exhausted',
  }
  fixture.on('POST', '/api/dashboards/*/tiles/revenue', () => ({ status: 429, body: { error } }))
  fixture.emit({ event: 'table', table: 'main.daily', version: 8, at: new Date().toISOString() })
  await tile('revenue').getByText('not refreshed').waitFor()
  expect(await tile('revenue').locator('canvas').count()).toBe(1)
  await page.reload()
  await tile('revenue').getByText('The query takes too much memory').waitFor()
  await tile('revenue').getByText('Choose a shorter period.').waitFor()
  await tile('revenue').getByRole('button', { name: 'Try again' }).waitFor()
})

test('stale data, failing tests and quarantined rows show on the badge, which leads to the lineage', async () => {
  fixture.on('POST', '/api/dashboards/*/tiles/errors', () => ({
    body: answer(rows({ value: 'Int64' }, [[12]]), {
      tests: { passed: 7, warned: 0, failed: 1, unknown: 0 },
      quarantined: '3',
    }),
  }))
  fixture.on('POST', '/api/dashboards/*/tiles/revenue', () => ({
    body: answer(ANSWERS.revenue!(), { stale: 'the job `hourly` is paused' }),
  }))
  await page.reload()
  await tile('errors').getByText('1 failed test', { exact: true }).waitFor()
  await tile('revenue').getByText('stale', { exact: true }).waitFor()
  const badge = tile('errors').getByRole('link', { name: /1 failed test/ })
  expect(await badge.textContent()).toContain('3 rows quarantined')
  await badge.click()
  await page.waitForURL(/lineage\?focus=tile\.gallery\.errors/)
})

test('no rows are said in words, and any chart can be read as a table', async () => {
  fixture.on('POST', '/api/dashboards/*/tiles/revenue', () => ({
    body: answer(rows({ day: 'Date32', revenue: 'Float64' }, [])),
  }))
  await page.reload()
  await tile('revenue').getByText('No rows for these choices').waitFor()
  await tile('share_of_levels')
    .getByRole('button', { name: /^Menu of/ })
    .click()
  await tile('share_of_levels').getByRole('button', { name: 'Show as table' }).click()
  expect(await tile('share_of_levels').locator('tbody tr').count()).toBeGreaterThan(20)
})

test('a tile stands alone when it is embedded', async () => {
  asked()
  await page.goto(`${fixture.url}/dashboards/gallery?embed&tile=revenue&period=last_7_days`)
  await tile('revenue').locator('canvas').first().waitFor()
  expect(asked()).toEqual({ revenue: { period: 'last_7_days' } })
  expect(await page.locator('nav').count()).toBe(0)
  expect(await page.locator('[data-tile]').count()).toBe(1)
})

test('a tooltip is text with every digit', async () => {
  const canvas = tile('active_users').locator('canvas').first()
  const box = (await canvas.boundingBox())!
  await page.mouse.move(box.x + box.width / 2, box.y + box.height / 2)
  const tip = page.locator('.chart-tooltip-content').first()
  await tip.waitFor()
  expect(await tip.textContent()).toMatch(/Nov 2026.*free\d+ users.*paid\d+ users/)
})
