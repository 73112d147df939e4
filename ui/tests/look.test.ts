import { test } from 'vitest'
import { launch, open } from './fixture/browser'
import { project } from './fixture/project'

// Looks at pages while they are made: LOOK="/path,/path" writes /tmp/look/*.png.
test.runIf(process.env.LOOK)('look', async () => {
  const fixture = await project().start()
  const base = process.env.LOOK_URL ?? fixture.url
  const browser = await launch()
  for (const address of process.env.LOOK!.split(',')) {
    const width = Number(process.env.LOOK_WIDTH ?? 1280)
    const { page, troubles } = await open(browser, base + address, {
      viewport: { width, height: Number(process.env.LOOK_HEIGHT ?? 900) },
      colorScheme: (process.env.LOOK_THEME ?? 'light') as 'light',
    })
    await page.waitForTimeout(Number(process.env.LOOK_WAIT ?? 1500))
    const name = `${address.replace(/[^a-z0-9]+/gi, '-')}-${process.env.LOOK_THEME ?? 'light'}-${width}`
    await page.screenshot({ path: `/tmp/look/${name}.png`, fullPage: process.env.LOOK_FULL !== '0' })
    console.log(name, troubles)
  }
  await browser.close()
  await fixture.stop()
})
