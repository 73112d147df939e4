// Reads figures off the pages of a running music project and compares them with queries over its raw events.
// HEADWATER_URL names the server; without one there is nothing to compare.

import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Json, SqlAnswer } from '../src/wire'
import { addDays, dayOf } from '../src/format/time'
import { launch, open } from './fixture/browser'

const SERVER = process.env.HEADWATER_URL

/** Days that are over: today's figures grow between the page and the query. */
const END = addDays(dayOf(Date.now()), -1)
const START = addDays(END, -13)
const STATES = ['New York', 'California']

const TIME = `to_timestamp_millis(cast(ts as bigint))`
const LISTENS = `(
  select distinct ts, "sessionId", "itemInSession", ${TIME} as at, names.state
  from events.listen_events as listens
  left join (select distinct state_code, state from events.locations) as names on names.state_code = listens.state
  where "userId" is not null
)`
const IN_PERIOD = `cast(at as date) between date '${START}' and date '${END}'`

async function raw(sql: string): Promise<Json[][]> {
  const response = await fetch(`${SERVER}/api/sql?format=json`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-headwater': '1' },
    body: JSON.stringify({ sql }),
  })
  const answer = (await response.json()) as SqlAnswer
  expect(answer.error ?? null, sql).toBeNull()
  return answer.rows
}

/** The rows a tile shows, read from the page's own table of them. */
async function shown(page: Page, name: string): Promise<string[][]> {
  const tile = page.locator(`[data-tile="${name}"]`)
  await tile.locator('canvas, li').first().waitFor()
  await tile.getByRole('button', { name: /^Menu of/ }).click()
  await tile.getByRole('button', { name: 'Show as table' }).click()
  const rows = await tile.locator('tbody tr').all()
  return Promise.all(rows.map((row) => row.locator('td').allInnerTexts()))
}

const number = (text: string) => Number(text.replaceAll(',', ''))

describe.runIf(SERVER)('the music project', () => {
  let browser: Browser
  beforeAll(async () => {
    browser = await launch()
  })
  afterAll(() => browser.close())

  test.each([
    ['all states', '', 'true'],
    [
      'two states',
      STATES.map((state) => `&states=${encodeURIComponent(state)}`).join(''),
      `state in ('${STATES.join("','")}')`,
    ],
  ])('listens by hour equal the raw events, of %s', async (_which, query, where) => {
    const { page } = await open(browser, `${SERVER}/dashboards/charts?period=${START}..${END}${query}`)
    const seen = (await shown(page, 'listens_by_hour')).map(([hour, streams]) => [number(hour!), number(streams!)])
    const expected = await raw(
      `select cast(date_part('hour', at) as bigint), count(*) from ${LISTENS} where ${IN_PERIOD} and ${where} group by 1 order by 1`,
    )
    expect(expected.length).toBeGreaterThan(0)
    expect(seen).toEqual(expected)
    await page.context().close()
  })

  test('listens by state equal the raw events', async () => {
    const { page } = await open(browser, `${SERVER}/dashboards/charts?period=${START}..${END}`)
    const [most] = await raw(
      `select state, count(*) from ${LISTENS} where ${IN_PERIOD} and state is not null group by 1 order by 2 desc, 1 limit 1`,
    )
    const map = page.locator('[data-tile="listens_by_state"]')
    await map
      .locator(`[aria-label="${most![0]}: ${Number(most![1]).toLocaleString('en-US')}"]`)
      .waitFor({ state: 'attached' })
    await page.context().close()
  })

  test('users and active users equal the raw events', async () => {
    const { page } = await open(browser, `${SERVER}/dashboards/kpi?period=${START}..${END}`)
    const active = new Map<string, number>()
    for (const [day, , users] of await shown(page, 'daily_active_users')) {
      active.set(day!, (active.get(day!) ?? 0) + number(users!))
    }
    const expected = await raw(
      `select count(distinct "userId") from (select "userId", ${TIME} as at from events.page_view_events
       where "userId" is not null and auth = 'Logged In') where ${IN_PERIOD} group by cast(at as date) order by cast(at as date)`,
    )
    expect([...active.values()]).toEqual(expected.map(([users]) => users))
    const users = await raw(
      `select count(distinct "userId") from (select "userId", ${TIME} as at from events.user_info) where cast(at as date) <= date '${END}'`,
    )
    const total = await page.locator('[data-tile="total_users"] .value').innerText()
    expect(number(total.replace(/\D+$/, ''))).toBe(users[0]![0])
    await page.context().close()
  })
})
