// Names, values, errors and texts that try to be markup or script. Nothing of them may run or become an element.

import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Tile } from '../src/wire'
import { launch, open } from './fixture/browser'
import { answer, GALLERY, rows, tile } from './fixture/dashboard'
import { ASSET, ASSETS, CATALOG, HOME, lineage, project, QUARANTINE, RUN, RUNS } from './fixture/project'
import type { Fixture } from './fixture/server'
import { SINKS } from './fixture/sinks'
import { detail, SOURCES, tablesOf } from './fixture/sources'

const MARK = 'globalThis.ran=1'
const CORES = [
  `<script>${MARK}</script>`,
  `<img src=x onerror="${MARK}">`,
  `<svg/onload=${MARK}>`,
  `<iframe srcdoc="<script>parent.ran=1</script>">`,
  `<body onload=${MARK}>`,
  `<details open ontoggle=${MARK}>`,
  `<video><source onerror=${MARK}></video>`,
  `<input autofocus onfocus=${MARK}>`,
  `<a href="javascript:${MARK}">x</a>`,
  `<math><mtext></mtext><style><img src=x onerror=${MARK}></style></math>`,
  `<object data="javascript:${MARK}">`,
  `<form action="javascript:${MARK}"><button autofocus>`,
  `javascript:${MARK}`,
  `data:text/html,<script>${MARK}</script>`,
  `{{constructor.constructor('${MARK}')()}}`,
  `\${${MARK}}`,
  `{@html '<img src=x onerror=${MARK}>'}`,
  `'-${MARK}-'`,
  `";${MARK};//`,
  `</title><script>${MARK}</script>`,
  `</style><script>${MARK}</script>`,
  `<style>@import 'javascript:${MARK}'</style>`,
  `<link rel=stylesheet href=javascript:${MARK}>`,
  `<meta http-equiv=refresh content="0;url=javascript:${MARK}">`,
  `<template shadowrootmode=open><img src=x onerror=${MARK}></template>`,
]
const WRAPS: ((core: string) => string)[] = [
  (core) => core,
  (core) => core.toUpperCase().replaceAll('GLOBALTHIS.RAN', 'globalThis.ran'),
  (core) => `">${core}`,
  (core) => `'>${core}`,
  (core) => `-->${core}`,
  (core) => `]]>${core}`,
  (core) => `</textarea>${core}`,
  (core) => `\u0000${core}\u202e`,
  (core) => core.replaceAll('<', '&lt;').replaceAll('>', '&gt;'),
  (core) => core.replaceAll(' ', '\n\t'),
]
const PAYLOADS = WRAPS.flatMap((wrap, row) => CORES.map((core, column) => `${wrap(core)} ${row}.${column}`))

let fixture: Fixture
let browser: Browser
beforeAll(async () => {
  browser = await launch()
  fixture = await hostile().start()
})
afterAll(async () => {
  await browser.close()
  await fixture.stop()
})

function hostile(): Fixture {
  const text = PAYLOADS.join(' ')
  const columns = Object.fromEntries([['name', 'Utf8'], ...PAYLOADS.map((payload) => [payload, 'Int64'])])
  const wide = rows(columns, [PAYLOADS.slice(0, 1).concat(PAYLOADS.map(() => '1'))])
  const list = rows(
    { name: 'Utf8', value: 'Int64', series: 'Utf8' },
    [...PAYLOADS, ...PAYLOADS.slice(0, 2)].map((payload, at) => [payload, 1 + at, payload]),
  )
  const over = {
    x: 'name',
    y: ['value'],
    title: PAYLOADS[1]!,
    description: PAYLOADS[2]!,
    unit: PAYLOADS[4]!,
    has_detail: true,
  }
  const tiles: Tile[] = [
    tile('list', 'horizontal_bars', [0, 0, 6, 6], over),
    tile('ring', 'donut', [6, 0, 6, 6], over),
    tile('table', 'table', [0, 6, 12, 6], { ...over, page_size: 300, other_columns: true }),
    tile('wide', 'table', [0, 12, 12, 4], { ...over, other_columns: true }),
    tile('bars', 'bars', [0, 16, 6, 6], { ...over, series: 'series' }),
    tile('heat', 'heat_map', [6, 16, 6, 6], { ...over, series: 'series' }),
    tile('figure', 'number', [0, 22, 6, 2], { ...over, y: ['value'], compare_title: PAYLOADS[5]! }),
    tile('failing', 'line', [6, 22, 6, 4], over),
    tile('text', 'text', [0, 26, 12, 6], { text }),
  ]
  const error = { message: text, detail: text, hint: text, kind: 'user' }
  const filters = GALLERY.filters.map((filter) => ({
    ...filter,
    title: PAYLOADS[6]!,
    options: PAYLOADS,
    options_error: error,
  }))
  const named = (at: number) => PAYLOADS[at % PAYLOADS.length]!
  const graph = lineage(10, 25)
  return project()
    .on('GET', '/api/dashboards', () => ({
      body: PAYLOADS.map((payload) => ({ name: payload, title: payload, description: payload })),
    }))
    .on('GET', '/api/dashboards/*', () => ({ body: { ...GALLERY, title: text, description: text, filters, tiles } }))
    .on('POST', '/api/dashboards/*/tiles/*', (_call, _board, name) =>
      name === 'failing'
        ? { status: 400, body: { error } }
        : { body: answer(name === 'wide' ? wide : list, { stale: text }) },
    )
    .on('POST', '/api/dashboards/*/tiles/*/detail', () => ({ body: list }))
    .on('GET', '/api/home', () => ({
      body: {
        ...HOME,
        project: text,
        tables: PAYLOADS.map((payload) => ({ table: payload, version: 1, rows: 1, bytes: 1, at: null })),
        problems: [{ check: text, verdict: 'error', detail: text, hint: text }],
      },
    }))
    .on('GET', '/api/assets', () => ({
      body: {
        ...ASSETS,
        nodes: PAYLOADS.map((payload, at) => ({
          ...ASSETS.nodes[0]!,
          id: `${at}${payload}`,
          name: payload,
          description: payload,
          relation: payload,
        })),
      },
    }))
    .on('GET', '/api/assets/*', () => ({
      body: {
        ...ASSET,
        node: { ...ASSET.node!, name: text, description: text },
        raw_sql: text,
        compiled_sql: text,
        compile_error: error,
        column_descriptions: { streams: text },
        upstream: PAYLOADS.map((payload) => ({ id: payload, name: payload, kind: 'model' })),
      },
    }))
    .on('GET', '/api/assets/*/columns', () => ({
      body: {
        node: text,
        nodes: {
          [text]: {
            name: text,
            kind: text,
            relation: text,
            columns: PAYLOADS.map((payload) => ({
              name: payload,
              data_type: payload,
              is_copy: false,
              origins: [{ node: null, relation: payload, column: payload }],
            })),
            unknown: null,
            problem: error,
          },
        },
      },
    }))
    .on('GET', '/api/assets/*/sample', () => ({ body: list }))
    .on('GET', '/api/runs', () => ({
      body: RUNS.map((run) => ({ ...run, selection: text, message: text, job: text })),
    }))
    .on('GET', '/api/runs/*', () => ({
      body: {
        ...RUN,
        message: text,
        steps: PAYLOADS.map((payload, at) => ({
          ...RUN.steps[at % 6]!,
          id: payload,
          message: payload,
          hint: payload,
          detail: payload,
          compiled_sql: payload,
        })),
      },
    }))
    .on('GET', '/api/lineage', () => ({
      body: { ...graph, nodes: graph.nodes.map((node, at) => ({ ...node, name: named(at), message: named(at) })) },
    }))
    .on('GET', '/api/sources', () => ({
      body: PAYLOADS.map((payload) => ({
        ...SOURCES[0]!,
        name: payload,
        kind: payload,
        description: payload,
        connection: payload,
        state: payload,
        tables: [{ ...SOURCES[0]!.tables[0]!, error }],
      })),
    }))
    .on('GET', '/api/sources/*', () => ({
      body: {
        ...detail('events'),
        name: text,
        kind: text,
        description: text,
        connection: text,
        state: text,
        path: text,
        tables: PAYLOADS.map((payload) => ({
          ...SOURCES[0]!.tables[0]!,
          table: payload,
          state: payload,
          error,
          positions: [{ part: payload, position: payload }],
        })),
        facts: PAYLOADS.map((payload) => ({
          table: payload,
          label: payload,
          value: payload,
          level: 'bad',
          hint: payload,
        })),
        errors: PAYLOADS.map((payload) => ({ at: payload, table: payload, error })),
        configuration: PAYLOADS.map((payload) => ({ key: payload, value: payload })),
      },
    }))
    .on('GET', '/api/sources/*/tables', () => ({
      body: PAYLOADS.slice(0, 30).map((payload) => ({
        ...tablesOf('events')[0]!,
        table: payload,
        schema_changes: [
          {
            version: 1,
            at: null,
            added: [{ name: payload, data_type: payload }],
            changed: [{ name: payload, before: payload, after: payload }],
            is_first: false,
          },
        ],
        quarantine: { ...QUARANTINE.tables[0]!, of: payload, table: payload, sample: wide },
      })),
    }))
    .on('GET', '/api/sinks', () => ({
      body: PAYLOADS.map((payload) => ({
        ...SINKS[0]!,
        name: payload,
        kind: payload,
        description: payload,
        table: payload,
        connection: payload,
        destination: payload,
        state: payload,
        up_to: payload,
        version: null,
        error,
      })),
    }))
    .on('GET', '/api/topics/*/tail', () => ({
      body: PAYLOADS.map((payload, at) => ({ partition: 0, offset: at, timestamp: payload, payload, is_text: true })),
    }))
    .on('GET', '/api/quarantine', () => ({
      body: {
        ...QUARANTINE,
        tables: [
          {
            ...QUARANTINE.tables[0]!,
            reasons: PAYLOADS.map((payload) => ({ reason: payload, count: 1, last_at: null })),
            sample: list,
          },
        ],
      },
    }))
    .on('GET', '/api/catalog', () => ({
      body: {
        ...CATALOG,
        tables: PAYLOADS.map((payload) => ({
          schema: payload,
          name: payload,
          is_view: false,
          columns: [{ name: payload, data_type: payload }],
        })),
        functions: PAYLOADS,
      },
    }))
    .on('POST', '/api/sql', () => ({ body: { ...list, error: null } }))
}

test('there are as many payloads as promised, all different', () => {
  expect(new Set(PAYLOADS).size).toBe(250)
  expect(PAYLOADS.length).toBe(250)
})

const ADDRESSES = [
  '/',
  '/dashboards',
  '/dashboards/x',
  `/dashboards/x?states=${encodeURIComponent(PAYLOADS[1]!)}&artist=${encodeURIComponent(PAYLOADS[0]!)}`,
  '/lineage',
  `/lineage?focus=${encodeURIComponent('model.music.node_1_1')}`,
  '/assets',
  `/assets/${encodeURIComponent(PAYLOADS[1]!)}`,
  `/assets/x?column=${encodeURIComponent(PAYLOADS[1]!)}`,
  '/assets/x?tab=sample',
  '/assets/x?tab=sql',
  '/runs',
  '/runs/8',
  '/sources',
  '/sources/x',
  '/sinks',
  '/topics/x',
  '/quarantine',
  `/sql?q=${encodeURIComponent(PAYLOADS.slice(0, 60).join(' '))}`,
]

test.each(ADDRESSES.map((address) => [address.slice(0, 40), address]))(
  'nothing of them runs on %s',
  async (_start, address) => {
    const { page, troubles } = await open(browser, fixture.url + address)
    const asked: string[] = []
    page.on('request', (request) => asked.push(new URL(request.url()).pathname))
    page.on('dialog', (dialog) => void dialog.dismiss())
    await page.locator('h1, .problem').first().waitFor()
    await page.waitForTimeout(800)
    if (address.startsWith('/dashboards/x')) await pointAtEverything(page)
    if (address.startsWith('/sql')) {
      await page.getByRole('button', { name: 'Run', exact: true }).click()
      await page.getByText('252 rows in').waitFor()
      await page
        .getByRole('button', { name: /Columns of/ })
        .first()
        .click()
    }
    const found = await page.evaluate(() => ({
      ran: 'ran' in globalThis,
      strange: [...document.querySelectorAll('main *, nav *')].filter((element) =>
        ['SCRIPT', 'IFRAME', 'IMG', 'OBJECT', 'STYLE', 'LINK', 'META', 'VIDEO', 'MATH', 'FORM[action]'].includes(
          element.tagName.toUpperCase(),
        ),
      ).length,
      handlers: [...document.querySelectorAll('*')].filter((element) =>
        element.getAttributeNames().some((name) => name.startsWith('on')),
      ).length,
      links: [...document.querySelectorAll('a')].filter(
        ({ protocol }) => !['http:', 'https:', 'blob:'].includes(protocol),
      ).length,
    }))
    expect(found).toEqual({ ran: false, strange: 0, handlers: 0, links: 0 })
    expect(asked.filter((path) => path === '/x')).toEqual([])
    expect(troubles.filter((trouble) => !trouble.includes('status of 400'))).toEqual([])
    await page.context().close()
  },
)

async function pointAtEverything(page: import('playwright-core').Page): Promise<void> {
  const canvas = page.locator('[data-tile="bars"] canvas').first()
  await canvas.hover()
  await page.locator('.chart-tooltip-content').first().waitFor()
  await page.locator('[data-tile="list"] button').nth(1).click()
  await page.getByRole('dialog').first().waitFor()
}
