// The way of a column: what it is made of, step by step to the source, and what is made of it.

import type { ColumnLineage, ColumnOrigin, NodeColumn } from '../../wire'

export interface Step {
  /** Id of the node, or the relation of a table no node makes. */
  readonly node: string
  readonly title: string
  readonly kind: string
  readonly column: string
  readonly type: string | null
  /** Whether the value was taken as it is on this step. */
  readonly copied: boolean
  readonly further: readonly Step[]
}

export function made({ nodes }: ColumnLineage, column: NodeColumn): Step[] {
  return column.origins.map((origin) => {
    const node = origin.node === null ? undefined : nodes[origin.node]
    const found = node?.columns.find((one) => one.name === origin.column)
    return {
      node: origin.node ?? origin.relation,
      title: node?.name ?? origin.relation,
      kind: node?.kind ?? 'table',
      column: origin.column,
      type: found?.data_type ?? null,
      copied: column.is_copy,
      further: found === undefined ? [] : made({ node: '', nodes }, found),
    }
  })
}

export function used(lineage: ColumnLineage, id: string, column: string): Step[] {
  const reads = (origin: ColumnOrigin) => origin.node === id && origin.column === column
  return Object.entries(lineage.nodes).flatMap(([reader, node]) =>
    reader === id || node.kind === 'test'
      ? []
      : node.columns
          .filter((one) => one.origins.some(reads))
          .map((one) => ({
            node: reader,
            title: node.name,
            kind: node.kind,
            column: one.name,
            type: one.data_type,
            copied: one.is_copy,
            further: used(lineage, reader, one.name),
          })),
  )
}
