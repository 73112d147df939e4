// Nodes of the project and tables of the lake as one list: a model and the table it made are one thing.

import { ascending } from '../../format/order'
import type { Assets, Integer, Table } from '../../wire'

export interface Listed {
  /** What its page is called by. */
  readonly key: string
  readonly name: string
  readonly kind: string
  readonly materialized: string | null
  readonly description: string
  readonly rows: Integer | null
  readonly bytes: Integer | null
  readonly version: Integer | null
  readonly columns: number | null
}

export function listed({ nodes, tables }: Assets): Listed[] {
  const left = new Map(tables.map((table) => [table.name, table]))
  const fromNodes = nodes.map((node) => {
    const table = node.relation === null ? undefined : left.get(node.relation)
    if (table) left.delete(table.name)
    return {
      key: node.relation ?? node.id,
      name: node.name,
      kind: node.resource_type,
      materialized: node.materialized,
      description: node.description,
      ...facts(table),
    }
  })
  const rest = [...left.values()].map((table) => ({
    key: table.name,
    name: table.name,
    kind: table.is_view ? 'view' : 'table',
    materialized: null,
    description: '',
    ...facts(table),
  }))
  // What has rows comes first: tests are many, and are looked for at what they test.
  const isTest = (asset: Listed) => Number(asset.kind === 'test')
  return [...fromNodes, ...rest].sort((a, b) => isTest(a) - isTest(b) || ascending(a.name, b.name))
}

export function matching(assets: readonly Listed[], kind: string, search: string): Listed[] {
  const words = search.toLowerCase().split(/\s+/).filter(Boolean)
  return assets.filter((asset) => {
    const text = `${asset.name} ${asset.key} ${asset.description}`.toLowerCase()
    return (kind === 'all' || asset.kind === kind) && words.every((word) => text.includes(word))
  })
}

function facts(table: Table | undefined) {
  return {
    rows: table?.rows ?? null,
    bytes: table && !table.is_view ? table.bytes : null,
    version: table && !table.is_view ? table.version : null,
    columns: table?.columns.length ?? null,
  }
}
