// How fast the pages of a running music project are: `HEADWATER_URL=http://127.0.0.1:8080 npm run measure`.
// First screens: from the start of the navigation to the last of the screen's figures, what came over the wire until then,
// and its size compressed. Interactions: from the input to the next frame, as the browser's Event Timing tells it (in steps of
// 8 ms; what is under 16 ms is told as 16). Exits 1 when a bound is broken.

import { gzipSync } from 'node:zlib'
import { loadavg } from 'node:os'
import { launch } from './browser.mjs'

const server = process.env.HEADWATER_URL ?? 'http://127.0.0.1:8080'
const TIMES = Number(process.env.TIMES ?? 5)
const MOST = { screenMs: 1000, screenBytes: 300_000, interactionMs: 50 }

const SCREENS = [
  { path: '/', ready: '.figures-row' },
  { path: '/dashboards/kpi', ready: '[data-tile] canvas' },
  { path: '/dashboards/charts', ready: '[data-tile] canvas' },
  { path: '/lineage', ready: '.graph .node, .graph svg path' },
  { path: '/assets', ready: 'tbody tr' },
  { path: '/runs', ready: 'tbody tr' },
  { path: '/sql', ready: '.cm-editor, [class*=editor]' },
]

const button = (page, name) => page.getByRole('button', { name }).first()
const INTERACTIONS = [
  {
    path: '/dashboards/charts',
    ready: '[data-tile] canvas',
    steps: [
      ['open a filter', (page) => button(page, /^States/).click()],
      ['choose a value', (page) => page.getByRole('option').nth(3).click()],
      ['close a filter', (page) => page.keyboard.press('Escape')],
      ['open the days', (page) => button(page, /^Period/).click()],
      ['choose a period', (page) => button(page, 'Last 7 days').click()],
      ['reset', (page) => button(page, 'Reset').click()],
      ['sort a table', (page) => page.locator('[data-tile="top_songs"] th button').first().click()],
      ['next page of a table', (page) => button(page, 'Next page').click()],
      ['open a menu', (page) => button(page, /^Menu of Listens by Hour/).click()],
      ['show as table', (page) => button(page, 'Show as table').click()],
      ['click a mark', (page) => page.locator('[data-tile="leading_states"] li button').first().click()],
      ['go to another page', (page) => page.getByRole('link', { name: 'Runs' }).click()],
    ],
  },
  {
    path: '/assets/main.fact_listen_events',
    ready: '[role=tab]',
    steps: [
      ['switch a tab', (page) => page.getByRole('tab', { name: 'Sample' }).click()],
      ['switch to SQL', (page) => page.getByRole('tab', { name: 'SQL' }).click()],
    ],
  },
  {
    path: '/lineage',
    ready: '.graph .node',
    steps: [
      ['focus a node', (page) => page.locator('.graph .node').first().click()],
      ['zoom in', (page) => button(page, 'Zoom in').click()],
      ['hide a kind', (page) => button(page, /^tiles/).click()],
    ],
  },
]

const browser = await launch()
const median = (values) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0

async function settled(page) {
  await page.waitForFunction(() => document.querySelectorAll('[aria-busy="true"], .skeleton').length === 0)
}

/** One visit with an empty cache: milliseconds, bytes on the wire and compressed. */
async function visit({ path, ready }) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 } })
  const page = await context.newPage()
  const bodies = []
  page.on('response', (response) => {
    if (!response.url().includes('/api/events')) bodies.push(response.body().catch(() => Buffer.alloc(0)))
  })
  await page.addInitScript((ready) => {
    const look = () => {
      const isReady = document.querySelector(ready) && !document.querySelector('[aria-busy="true"], .skeleton')
      if (isReady) window.readyAt = performance.now()
      else requestAnimationFrame(look)
    }
    requestAnimationFrame(look)
  }, ready)
  await page.goto(server + path)
  await page.waitForFunction(() => window.readyAt)
  const ms = await page.evaluate(() => window.readyAt)
  const read = await Promise.all(bodies)
  const gzipped = read.reduce((sum, body) => sum + Math.min(body.length, gzipSync(body).length), 0)
  await context.close()
  return { ms, gzipped }
}

/** The longest event of each step. */
async function interact({ path, ready, steps }) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 1400 } })
  const page = await context.newPage()
  await page.goto(server + path)
  await page.locator(ready).first().waitFor()
  await settled(page)
  await page.waitForTimeout(500)
  await page.evaluate(() => {
    window.longest = 0
    const note = (list) => {
      for (const entry of list.getEntries()) {
        if (entry.interactionId > 0) window.longest = Math.max(window.longest, entry.duration)
      }
    }
    new PerformanceObserver(note).observe({ type: 'event', durationThreshold: 16, buffered: false })
  })
  const found = {}
  for (const [name, act] of steps) {
    await page.evaluate(() => (window.longest = 0))
    await act(page)
    await page.waitForTimeout(400)
    found[name] = Math.max(16, await page.evaluate(() => window.longest))
  }
  await context.close()
  return found
}

const broken = []
for (const screen of SCREENS) {
  const visits = []
  for (let time = 0; time < TIMES; time += 1) visits.push(await visit(screen))
  const ms = Math.round(median(visits.map((one) => one.ms)))
  const most = Math.round(Math.max(...visits.map((one) => one.ms)))
  const kilobytes = visits[0].gzipped / 1000
  console.log(
    `${screen.path.padEnd(34)} ${String(ms).padStart(5)} ms (most ${most})  ${kilobytes.toFixed(1)} kB compressed`,
  )
  if (ms > MOST.screenMs || visits[0].gzipped > MOST.screenBytes) broken.push(screen.path)
}
for (const scene of INTERACTIONS) {
  const all = []
  for (let time = 0; time < TIMES; time += 1) all.push(await interact(scene))
  for (const [name] of scene.steps) {
    const times = all.map((one) => one[name])
    console.log(`${name.padEnd(34)} ${String(median(times)).padStart(5)} ms (most ${Math.max(...times)})`)
    if (median(times) > MOST.interactionMs) broken.push(name)
  }
}
await browser.close()
console.log(
  `load ${loadavg()[0].toFixed(2)}; median of ${TIMES}; not held: ${broken.length > 0 ? broken.join(', ') : 'none'}`,
)
process.exit(broken.length > 0 ? 1 : 0)
