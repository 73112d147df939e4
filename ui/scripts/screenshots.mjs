// Writes docs/screenshots/*.png from a running project: `HEADWATER_URL=http://127.0.0.1:8080 npm run screenshots`.
// The music demo is what the README shows: let it run for some minutes first.

import { mkdir } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { chromium } from 'playwright-core'

const server = process.env.HEADWATER_URL ?? 'http://127.0.0.1:8080'
const folder = fileURLToPath(new URL('../../docs/screenshots/', import.meta.url))
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
  { name: 'topics-light', path: '/topics/listen_events', size: DESK, theme: 'light' },
  { name: 'sql-light', path: `/sql?q=${encodeURIComponent(STATEMENT)}`, size: DESK, theme: 'light', act: run },
  { name: 'sql-dark', path: `/sql?q=${encodeURIComponent(STATEMENT)}`, size: DESK, theme: 'dark', act: chart },
]

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
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: [
    '--headless',
    '--no-sandbox',
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
  ],
})
for (const { name, path, size, theme, act } of SHOTS) {
  const context = await browser.newContext({ viewport: size, colorScheme: theme })
  const page = await context.newPage()
  await page.goto(server + path)
  await page.locator('h1').first().waitFor()
  await page.waitForTimeout(1500)
  if (act) await act(page)
  await page.waitForTimeout(500)
  await page.screenshot({ path: `${folder}${name}.png` })
  console.log(name)
  await context.close()
}
await browser.close()
