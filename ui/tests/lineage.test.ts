import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { launch, open } from './fixture/browser'
import { lineage, project } from './fixture/project'
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

test('a node is found, focused and left again', async () => {
  const { page, troubles } = await open(browser, `${fixture.url}/lineage`)
  await page.getByLabel('Find a node').fill('node_2_3')
  await page.keyboard.press('Enter')
  await page.waitForURL(/focus=model\.music\.node_2_3/)
  const panel = page.getByRole('complementary', { name: 'Node node_2_3' })
  const nodes = () => page.locator('.node').count()
  await expect.poll(nodes).toBeGreaterThan(1)
  const all = await nodes()
  await panel.getByRole('button', { name: 'Show only its family' }).click()
  await expect.poll(nodes).toBeLessThan(all)
  const few = await nodes()
  await panel.getByRole('button', { name: 'Show the rest too' }).click()
  await expect.poll(nodes).toBeGreaterThan(few)
  await panel.getByRole('button', { name: 'Close' }).click()
  await page.waitForURL((url) => !url.searchParams.has('focus'))
  await page.getByRole('button', { name: /^tests/ }).click()
  await page
    .getByRole('button', { name: /node_.*test/ })
    .first()
    .waitFor()
  expect(troubles).toEqual([])
  await page.context().close()
})

test('panning over two thousand nodes moves the picture and draws nothing anew', async () => {
  fixture.on('GET', '/api/lineage', () => ({ body: lineage(20, 100) }))
  for (const zoom of [0, 6]) {
    const { page } = await open(browser, `${fixture.url}/lineage`)
    await page.locator('.graph svg path').first().waitFor({ state: 'attached' })
    await page.waitForTimeout(300)
    await page.getByRole('button', { name: /^tests/ }).click()
    await page.waitForTimeout(500)
    for (let step = 0; step < zoom; step += 1) await page.getByRole('button', { name: 'Zoom in' }).click()
    await page.waitForTimeout(500)
    const frames = 90
    const work = await page.evaluate(async (frames) => {
      const svg = document.querySelector<SVGSVGElement>('.graph svg')!
      const frame = () => new Promise<number>((done) => requestAnimationFrame(done))
      const pan = (x: number, y: number) =>
        svg.dispatchEvent(new PointerEvent('pointermove', { buttons: 1, movementX: x, movementY: y, bubbles: true }))
      const work = { changed: 0, added: 0, rate: 0 }
      const observer = new MutationObserver((records) => {
        for (const record of records) {
          if (record.type === 'attributes') work.changed += 1
          else work.added += record.addedNodes.length
        }
      })
      observer.observe(document.querySelector('.graph')!, { subtree: true, childList: true, attributes: true })
      await frame()
      const start = performance.now()
      for (let at = 0; at < frames; at += 1) {
        pan(12 * (at % 30 < 15 ? 1 : -1), 8 * (at % 20 < 10 ? 1 : -1))
        await frame()
      }
      work.rate = (1000 * frames) / (performance.now() - start)
      observer.disconnect()
      return work
    }, frames)
    const drawn = await page.locator('.node').count()
    console.log(`zoom ${zoom}: ${work.rate.toFixed(0)} frames a second, ${drawn} nodes drawn`)
    // One attribute a frame: where the picture is.
    expect(work.changed).toBeLessThanOrEqual(2 * frames)
    expect(work.added).toBe(0)
    await page.context().close()
  }
})
