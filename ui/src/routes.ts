// Which page a path shows. Each page is loaded when it is first visited.

import type { Component } from 'svelte'

export interface Page {
  readonly load: () => Promise<{ default: Component<{ name: string }> }>
  /** The item of the rail that leads here. */
  readonly section: string
  readonly name: string
}

type Load = Page['load']

/** A page that has no use for a name is given it all the same. */
const unnamed = (load: () => Promise<{ default: Component<never> }>) => load as unknown as Load

const PAGES: readonly (readonly [pattern: RegExp, section: string, load: Load])[] = [
  [/^\/$/, 'home', unnamed(() => import('./pages/home/Home.svelte'))],
  [/^\/dashboards$/, 'dashboards', unnamed(() => import('./pages/dashboards/Dashboards.svelte'))],
  [/^\/dashboards\/([^/]+)$/, 'dashboards', () => import('./pages/dashboard/Dashboard.svelte')],
  [/^\/lineage$/, 'lineage', unnamed(() => import('./pages/lineage/Lineage.svelte'))],
  [/^\/assets$/, 'assets', unnamed(() => import('./pages/assets/Assets.svelte'))],
  [/^\/assets\/([^/]+)$/, 'assets', () => import('./pages/asset/Asset.svelte')],
  [/^\/runs$/, 'runs', unnamed(() => import('./pages/runs/Runs.svelte'))],
  [/^\/runs\/([^/]+)$/, 'runs', () => import('./pages/run/Run.svelte')],
  [/^\/sources$/, 'sources', unnamed(() => import('./pages/sources/Sources.svelte'))],
  [/^\/sources\/([^/]+)$/, 'sources', () => import('./pages/source/Source.svelte')],
  [/^\/sinks$/, 'sinks', unnamed(() => import('./pages/sinks/Sinks.svelte'))],
  [/^\/topics(?:\/([^/]+))?$/, 'topics', () => import('./pages/topics/Topics.svelte')],
  [/^\/quarantine$/, 'quarantine', unnamed(() => import('./pages/quarantine/Quarantine.svelte'))],
  [/^\/sql$/, 'sql', unnamed(() => import('./pages/sql/Sql.svelte'))],
]

export function pageAt(path: string): Page | null {
  const trimmed = path.length > 1 ? path.replace(/\/+$/, '') : path
  for (const [pattern, section, load] of PAGES) {
    const match = pattern.exec(trimmed)
    if (match) return { load, section, name: decoded(match[1] ?? '') }
  }
  return null
}

export const addressOf = {
  dashboard: (name: string) => `/dashboards/${encodeURIComponent(name)}`,
  asset: (name: string) => `/assets/${encodeURIComponent(name)}`,
  run: (id: number | string) => `/runs/${encodeURIComponent(String(id))}`,
  source: (name: string) => `/sources/${encodeURIComponent(name)}`,
  topic: (name: string) => `/topics/${encodeURIComponent(name)}`,
  lineage: (focus: string) => `/lineage?focus=${encodeURIComponent(focus)}`,
  sql: (statement: string) => `/sql?q=${encodeURIComponent(statement)}`,
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
