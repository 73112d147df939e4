// Reads every figure off both dashboards of a running music project, and again after each filter, and compares them with
// what another engine counts in the raw events. HEADWATER_URL names the server, HEADWATER_LAKE the folder of its tables;
// without a server there is nothing to compare.

import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { US_STATES } from '../src/charts/regions/us-states'
import { short } from '../src/format/number'
import { addDays, date } from '../src/format/time'
import type { TileAnswer } from '../src/wire'
import { launch, open } from './fixture/browser'
import {
  expectedBars,
  expectedOf,
  expectedScorecard,
  expectedShares,
  expectedTips,
  grouped,
  rowsBehind,
  scorecard,
  tableRows,
  tileOf,
  tooltips,
  type Chosen,
  type Expected,
} from './fixture/music'

const SERVER = process.env.HEADWATER_URL
const MOST_SONGS = 100
/** Pages are read figure by figure. */
const PATIENCE = 240_000

/** The last day that was over when the dashboards were built: later ones grow between the page and the query. */
async function lastWholeDay(): Promise<string> {
  const response = await fetch(`${SERVER}/api/dashboards/kpi/tiles/total_users`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-headwater': '1' },
    body: '{}',
  })
  const { as_of } = (await response.json()) as TileAnswer
  expect(as_of, 'the dashboards were never built').not.toBeNull()
  return addDays(as_of!.slice(0, 10), -1)
}

async function settled(page: Page): Promise<void> {
  await page.waitForTimeout(200)
  await page.waitForFunction(
    () =>
      document.querySelectorAll('[data-tile]').length > 0 &&
      document.querySelectorAll('[aria-busy="true"], [data-tile] .skeleton').length === 0,
  )
}

async function checkScorecards(page: Page, expected: Expected['kpi']): Promise<number> {
  const units = {
    total_users: 'users',
    conversion_rate: 'share',
    weekly_recurring_revenue: 'dollars',
    ad_revenue_per_free_user: 'dollars',
  }
  for (const [name, unit] of Object.entries(units)) {
    const row = expected[name]![0]!
    const { exact, ...seen } = await scorecard(tileOf(page, name))
    expect(seen, name).toEqual(expectedScorecard(row, { unit }))
    if (row[0] !== null) expect(Number(exact.replaceAll(',', '')), name).toBeCloseTo(Number(row[0]), 12)
  }
  return 2 * Object.keys(units).length
}

async function checkDaily(page: Page, expected: Expected['kpi']): Promise<number> {
  const [active, revenue] = [expected.daily_active_users!, expected.daily_advertising_revenue!]
  expect(active.length).toBeGreaterThan(0)
  expect(await rowsBehind(tileOf(page, 'daily_active_users'))).toEqual(
    active.map(([day, level, users]) => [date(String(day)), level, grouped(users)]),
  )
  expect(await tooltips(page, tileOf(page, 'daily_active_users'))).toEqual(
    expectedTips(active, (users) => `${grouped(users)} users`),
  )
  expect(await rowsBehind(tileOf(page, 'daily_advertising_revenue'))).toEqual(
    revenue.map(([day, earned]) => [date(String(day)), String(earned)]),
  )
  expect(await tooltips(page, tileOf(page, 'daily_advertising_revenue'))).toEqual(
    expectedTips(
      revenue.map(([day, earned]) => [day!, 'revenue', earned!]),
      (earned) => `$${earned}`,
    ),
  )
  return 2 * (active.length + revenue.length)
}

async function checkGenres(page: Page, rows: Expected['charts'][string]): Promise<number> {
  const tile = tileOf(page, 'top_genres')
  const seen = await tile
    .locator('li')
    .evaluateAll((items) =>
      items.map((item) => ['.name', '.value', '.share'].map((part) => item.querySelector(part)!.textContent)),
    )
  expect(seen).toEqual(expectedShares(rows))
  const whole = rows.reduce((sum, [, streams]) => sum + Number(streams), 0)
  expect(await tile.locator('.whole b').textContent()).toBe(short(whole, { unit: 'streams' }))
  const slices = await tile.locator('svg path title').allTextContents()
  expect(slices).toEqual(rows.map(([name, streams]) => `${name}: ${grouped(streams)}`))
  return 3 * rows.length + 1
}

async function checkHours(page: Page, rows: Expected['charts'][string]): Promise<number> {
  const tile = tileOf(page, 'listens_by_hour')
  expect(await rowsBehind(tile)).toEqual(rows.map(([hour, streams]) => [String(hour), grouped(streams)]))
  const told = Object.fromEntries(
    rows.map(([hour, streams]) => [String(hour), [['streams', `${grouped(streams)} streams`]]]),
  )
  expect(await tooltips(page, tile)).toEqual(told)
  return 2 * rows.length
}

/** Songs with equally many streams stand in any order, and any of those at the hundredth place may stand there. */
async function checkSongs(page: Page, rows: Expected['charts'][string]): Promise<number> {
  const seen = await tableRows(tileOf(page, 'top_songs'))
  expect(seen.map(([, , streams]) => streams)).toEqual(
    rows.slice(0, MOST_SONGS).map(([, , streams]) => grouped(streams)),
  )
  const known = new Set(rows.map(([title, artist, streams]) => JSON.stringify([title, artist, grouped(streams)])))
  const told = new Set(seen.map((row) => JSON.stringify(row)))
  expect(told.size).toBe(seen.length)
  expect([...told].filter((row) => !known.has(row))).toEqual([])
  return seen.length
}

async function bars(page: Page, name: string): Promise<string[][]> {
  return tileOf(page, name)
    .locator('li')
    .evaluateAll((items) =>
      items.map((item) => ['.name', '.value'].map((part) => item.querySelector(part)!.textContent!.trim())),
    )
}

async function checkStates(page: Page, rows: Expected['charts'][string]): Promise<number> {
  const map = tileOf(page, 'listens_by_state')
  const labels = await map
    .locator('svg path[aria-label]')
    .evaluateAll((paths) => paths.map((path) => path.getAttribute('aria-label')))
  const streams = new Map(rows.map(([state, count]) => [state, grouped(count)]))
  expect(labels).toEqual(US_STATES.map(({ name }) => `${name}: ${streams.get(name) ?? 'no rows'}`))
  expect(await rowsBehind(map)).toEqual(rows.map(([state, count]) => [state, grouped(count)]))
  expect(await bars(page, 'leading_states')).toEqual(expectedBars(rows, 12))
  return labels.length + rows.length + Math.min(rows.length, 13)
}

async function checkCharts(page: Page, expected: Expected['charts']): Promise<number> {
  await settled(page)
  const artists = expected.top_artists!
  expect(artists.length).toBeGreaterThan(0)
  expect(await bars(page, 'top_artists')).toEqual(expectedBars(artists))
  return (
    artists.length +
    (await checkGenres(page, expected.top_genres!)) +
    (await checkHours(page, expected.listens_by_hour!)) +
    (await checkSongs(page, expected.top_songs!)) +
    (await checkStates(page, expected.listens_by_state!))
  )
}

async function checkBusiness(page: Page, expected: Expected['kpi']): Promise<number> {
  await settled(page)
  return (await checkScorecards(page, expected)) + (await checkDaily(page, expected))
}

async function chooseDays(page: Page, { start, end }: Chosen): Promise<void> {
  await page.getByRole('button', { name: /^Period/ }).click()
  await page.getByLabel('From', { exact: true }).fill(start)
  await page.getByLabel('To', { exact: true }).fill(end)
  await page.getByRole('button', { name: 'Apply' }).click()
  await page.waitForURL((url) => url.searchParams.get('period') === `${start}..${end}`)
}

async function chooseStates(page: Page, states: readonly string[]): Promise<void> {
  await page.getByRole('button', { name: /^States/ }).click()
  for (const state of states) await page.getByRole('option', { name: state, exact: true }).click()
  await page.keyboard.press('Escape')
}

describe.runIf(SERVER)('every figure of the music project equals the raw events', () => {
  const lake = process.env.HEADWATER_LAKE ?? ''
  let browser: Browser
  let end: string
  beforeAll(async () => {
    expect(lake, 'HEADWATER_LAKE names the folder of the tables of the project at HEADWATER_URL').not.toBe('')
    browser = await launch()
    end = await lastWholeDay()
  })
  afterAll(() => browser.close())

  /** A page whose address holds the first choice. */
  async function opened(dashboard: string, { start, end }: Chosen): Promise<Page> {
    const { page } = await open(browser, `${SERVER}/dashboards/${dashboard}?period=${start}..${end}`, {
      viewport: { width: 1280, height: 1500 },
    })
    await tileOf(page, dashboard === 'kpi' ? 'daily_active_users' : 'listens_by_hour')
      .locator('canvas')
      .first()
      .waitFor()
    return page
  }

  test(
    'of the business, in each period',
    async () => {
      const choices = [13, 0, 6, 27].map((days, index) => {
        const last = addDays(end, -2 * index)
        return { start: addDays(last, -days), end: last, states: [] }
      })
      const expected = expectedOf(lake, choices)
      const page = await opened('kpi', choices[0]!)
      let figures = 0
      for (const [index, choice] of choices.entries()) {
        if (index > 0) await chooseDays(page, choice)
        figures += await checkBusiness(page, expected[index]!.kpi)
      }
      console.log(`${figures} figures of the business equal the raw events, over ${choices.length} periods`)
      await page.context().close()
    },
    PATIENCE,
  )

  test(
    'of the charts, after each filter and click',
    async () => {
      const start = addDays(end, -13)
      const week = { start: addDays(end, -10), end: addDays(end, -4) }
      const [one] = expectedOf(lake, [{ start, end, states: [] }])
      const named = one!.charts
        .listens_by_state!.map(([state]) => String(state))
        .filter((state) => state !== 'NO STATE')
      const [first = '', second = '', third = ''] = named
      const steps: [Chosen, (page: Page) => Promise<unknown>][] = [
        [{ start, end, states: [] }, async () => {}],
        [{ start, end, states: [first, third] }, (page) => chooseStates(page, [first, third])],
        [{ ...week, states: [first, third] }, (page) => chooseDays(page, { ...week, states: [] })],
        [{ ...week, states: [third] }, (page) => chooseStates(page, [first])],
        [
          { ...week, states: [] },
          (page) =>
            tileOf(page, 'listens_by_state')
              .getByRole('button', { name: `${third}:` })
              .click(),
        ],
        [
          { ...week, states: [second] },
          (page) => tileOf(page, 'leading_states').getByRole('button', { name: second }).click(),
        ],
        [{ start: end, end, states: [second] }, (page) => chooseDays(page, { start: end, end, states: [] })],
      ]
      const expected = expectedOf(
        lake,
        steps.map(([choice]) => choice),
      )
      const page = await opened('charts', steps[0]![0])
      let figures = 0
      for (const [index, [, act]] of steps.entries()) {
        await act(page)
        figures += await checkCharts(page, expected[index]!.charts)
      }
      console.log(`${figures} figures of the charts equal the raw events, over ${steps.length} choices`)
      await page.context().close()
    },
    PATIENCE,
  )
})
