// The names a tile tells by colour.

import type { Rows, Tile } from '../wire'
import { pivot, slices } from './pivot'

const BY_SERIES = new Set(['line', 'area', 'bars', 'horizontal_bars', 'scatter'])

/** In the order they are drawn; none where one colour serves all marks. */
export function colouredNames(tile: Tile, data: Rows): string[] {
  if (tile.kind === 'donut' || tile.kind === 'pie') return slices(tile, data).map(({ name }) => name)
  if (!BY_SERIES.has(tile.kind)) return []
  if (tile.kind === 'scatter')
    return tile.series ? pivot({ ...tile, x: tile.series, series: null }, data).categories.slice() : []
  const { series } = pivot(tile, data)
  return tile.series === null && series.length === 1 ? [] : series.map(({ name }) => name)
}
