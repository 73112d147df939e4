// Writes docs/screenshots/*.png from a running project: `HEADWATER_URL=http://127.0.0.1:8080 npm run screenshots`.
// The music demo is what the README shows: let it run for some minutes first. `npm run screenshots -- FOLDER` writes every page
// in light, dark and at the width of a phone to a folder of its own, to look at.

import { mkdir } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { launch } from './browser.mjs'

const server = process.env.HEADWATER_URL ?? 'http://127.0.0.1:8080'
const everything = process.argv[2]
const folder = everything
  ? `${everything.replace(/\/$/, '')}/`
  : fileURLToPath(new URL('../../docs/screenshots/', import.meta.url))
const DESK = { width: 1280, height: 800 }
const PHONE = { width: 390, height: 844 }
const STATEMENT = `select genre, sum(streams) as streams, count(distinct state) as states
from main.daily_genre_streams
group by genre
order by streams desc`

const SHOTS = [
  { name: 'kpi-light', path: '/dashboards/kpi', size: DESK, theme: 'light' },
  { name: 'kpi-phone', path: '/dashboards/kpi', size: PHONE, theme: 'light' },
  { name: 'charts-light', path: '/dashboards/charts', size: { width: 1280, height: 1320 }, theme: 'light' },
  { name: 'charts-dark', path: '/dashboards/charts', size: DESK, theme: 'dark' },
  { name: 'home-light', path: '/', size: DESK, theme: 'light' },
  { name: 'home-dark', path: '/', size: DESK, theme: 'dark' },
  { name: 'lineage-light', path: '/lineage?focus=model.music.fact_listen_events&only', size: DESK, theme: 'light' },
  { name: 'lineage-dark', path: '/lineage', size: DESK, theme: 'dark' },
  { name: 'asset-light', path: '/assets/main.fact_listen_events', size: DESK, theme: 'light' },
  { name: 'run-light', path: '/runs/1', size: DESK, theme: 'light' },
  { name: 'source-light', path: '/sources/events', size: { width: 1280, height: 1060 }, theme: 'light' },
  { name: 'source-dark', path: '/sources/events', size: { width: 1280, height: 1060 }, theme: 'dark' },
  { name: 'topics-light', path: '/topics/listen_events', size: DESK, theme: 'light' },
  { name: 'sql-light', path: `/sql?q=${encodeURIComponent(STATEMENT)}`, size: DESK, theme: 'light', act: run },
  { name: 'sql-dark', path: `/sql?q=${encodeURIComponent(STATEMENT)}`, size: DESK, theme: 'dark', act: chart },
]

const PAGES = {
  home: { path: '/' },
  dashboards: { path: '/dashboards' },
  kpi: { path: '/dashboards/kpi' },
  charts: { path: '/dashboards/charts' },
  'charts-chosen': { path: '/dashboards/charts?states=Texas&states=Ohio', act: openFilter },
  'charts-tile': { path: '/dashboards/charts?embed=&tile=listens_by_hour' },
  sql: { path: `/sql?q=${encodeURIComponent(STATEMENT)}`, act: run },
  'sql-error': { path: `/sql?q=${encodeURIComponent('select genre from nothing')}`, act: fail },
  assets: { path: '/assets' },
  asset: { path: '/assets/main.fact_listen_events' },
  'asset-column': { path: '/assets/main.fact_listen_events?column=pk_song' },
  'asset-versions': { path: '/assets/main.fact_listen_events?tab=versions' },
  lineage: { path: '/lineage' },
  'lineage-focus': { path: '/lineage?focus=model.music.fact_listen_events' },
  'lineage-only': { path: '/lineage?focus=model.music.dim_users&only' },
  runs: { path: '/runs' },
  run: { path: '/runs/1' },
  sources: { path: '/sources' },
  source: { path: '/sources/events' },
  sinks: { path: '/sinks' },
  topics: { path: '/topics' },
  topic: { path: '/topics/listen_events' },
  quarantine: { path: '/quarantine' },
  nothing: { path: '/dashboards/nothing' },
}
const LOOKS = [
  { look: 'light', size: { width: 1280, height: 900 }, theme: 'light' },
  { look: 'dark', size: { width: 1280, height: 900 }, theme: 'dark' },
  { look: 'phone', size: PHONE, theme: 'light' },
]
const everyPage = Object.entries(PAGES).flatMap(([name, page]) =>
  LOOKS.map(({ look, size, theme }) => ({ ...page, name: `${name}-${look}`, size, theme })),
)

async function openFilter(page) {
  await page.getByRole('button', { name: /^States/ }).click()
}

async function fail(page) {
  await page.getByRole('button', { name: 'Run', exact: true }).click()
  await page.getByRole('alert').first().waitFor()
}

async function run(page) {
  await page.getByRole('button', { name: 'Run', exact: true }).click()
  await page.getByText(/rows in/).waitFor()
}

async function chart(page) {
  await run(page)
  await page.getByRole('tab', { name: 'Chart' }).click()
  await page.locator('canvas').first().waitFor()
}

await mkdir(folder, { recursive: true })
const browser = await launch()
for (const { name, path, size, theme, act } of everything ? everyPage : SHOTS) {
  const context = await browser.newContext({ viewport: size, colorScheme: theme })
  const page = await context.newPage()
  await page.goto(server + path)
  await page.locator('h1, [data-tile] canvas, [role=alert]').first().waitFor()
  await page.waitForTimeout(1500)
  if (act) await act(page)
  await page.waitForTimeout(500)
  await page.screenshot({ path: `${folder}${name}.png` })
  console.log(name)
  await context.close()
}
await browser.close()
