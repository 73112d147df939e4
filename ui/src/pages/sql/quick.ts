// A chart guessed from an answer: figures over the first column that is none.

import { isNumeric, isTemporal } from '../../format/cell'
import type { Rows, Tile, TileKind } from '../../wire'

export const KINDS = ['bars', 'horizontal_bars', 'line', 'area', 'scatter', 'histogram'] as const

export interface Choice {
  readonly kind: TileKind
  readonly x: string
  readonly y: string
  readonly series: string
}

export function guess({ columns }: Pick<Rows, 'columns'>): Choice {
  const figures = columns.filter(({ type }) => isNumeric(type))
  const named = columns.filter(({ type }) => !isNumeric(type))
  const time = columns.find(({ type }) => isTemporal(type))
  const x = time ?? named[0] ?? columns[0]
  const y = figures.find((column) => column !== x)
  const series = time ? named.find((column) => column !== time) : named[1]
  const kind = !y ? 'histogram' : time ? 'line' : x && isNumeric(x.type) ? 'scatter' : 'bars'
  return { kind, x: x?.name ?? '', y: y?.name ?? '', series: series?.name ?? '' }
}

export function tileOf({ kind, x, y, series }: Choice): Tile {
  return {
    name: 'quick',
    title: y || x,
    description: null,
    kind,
    tab: null,
    grid: { column: 0, row: 0, width: 12, height: 4 },
    x,
    y: kind === 'histogram' || !y ? [] : [y],
    y_right: [],
    series: series && kind !== 'histogram' ? series : null,
    lower: null,
    upper: null,
    latitude: null,
    longitude: null,
    size: null,
    regions: null,
    compare: null,
    compare_title: null,
    rise_is_good: null,
    unit: null,
    unit_right: null,
    format: null,
    stacking: kind === 'area' || kind === 'bars' ? 'stacked' : 'grouped',
    columns: [],
    other_columns: true,
    page_size: null,
    sort: null,
    top: null,
    bins: null,
    text: null,
    filters: [],
    select: null,
    tables: [],
    has_detail: false,
  }
}
