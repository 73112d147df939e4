// Rows to series: what every chart with axes starts from. No chart library here.

import type { Rows, Tile } from '../wire'
import { approximate, isTemporal, showExact, textOf, type Cell } from '../format/cell'
import { plain, sum } from '../format/decimal'
import { addDays, isDate } from '../format/time'
import { OTHERS } from './colours.svelte'

/** Days a gap is filled with at most: beyond, the axis shows the rows as they come. */
const MOST_DAYS = 1500

export interface Point {
  /** For the picture. */
  readonly value: number | null
  /** For the reader. */
  readonly exact: string
}

export interface Series {
  readonly name: string
  readonly column: string
  readonly points: readonly (Point | null)[]
}

export interface Pivot {
  readonly categories: readonly string[]
  readonly type: string
  readonly series: readonly Series[]
}

export function columnIndex(data: Rows, name: string | null): number {
  return name === null ? -1 : data.columns.findIndex((column) => column.name === name)
}

export function columnType(data: Rows, index: number): string {
  return data.columns[index]?.type ?? ''
}

export function cellAt(row: Rows['rows'][number], index: number): Cell {
  return (index < 0 ? null : (row[index] ?? null)) as Cell
}

export function point(cell: Cell, type: string): Point {
  return { value: approximate(cell), exact: showExact(cell, type) }
}

/** The figures `columns` over the tile's `x`, parted by its `series`. */
export function pivot(tile: Tile, data: Rows, columns: readonly string[] = tile.y): Pivot {
  const x = columnIndex(data, tile.x)
  const type = columnType(data, x)
  const categories = categoriesOf(data, x, type)
  const places = new Map(categories.map((category, place) => [category, place]))
  const split = columnIndex(data, tile.series)
  const found = new Map<string, { column: string; points: (Point | null)[] }>()
  for (const row of data.rows) {
    const place = places.get(textOf(cellAt(row, x)))
    if (place === undefined) continue
    for (const column of columns) {
      const index = columnIndex(data, column)
      const name = split < 0 ? column : seriesName(textOf(cellAt(row, split)), column, columns)
      let series = found.get(name)
      if (!series) found.set(name, (series = { column, points: categories.map(() => null) }))
      series.points[place] = point(cellAt(row, index), columnType(data, index))
    }
  }
  return { categories, type, series: [...found].map(([name, rest]) => ({ name, ...rest })) }
}

function seriesName(value: string, column: string, columns: readonly string[]): string {
  return columns.length > 1 ? `${value} · ${column}` : value
}

/** The values of `x`: times in order with the days between them, other values as the query orders them. */
function categoriesOf(data: Rows, x: number, type: string): string[] {
  const seen = [...new Set(data.rows.map((row) => textOf(cellAt(row, x))))]
  if (!isTemporal(type)) return seen
  seen.sort()
  return type.startsWith('Date') ? withDaysBetween(seen) : seen
}

function withDaysBetween(days: string[]): string[] {
  const [first, last] = [days[0], days.at(-1)]
  if (!first || !last || !days.every(isDate)) return days
  const step = smallestStep(days)
  if (step !== 1 || daysBetween(first, last) > MOST_DAYS) return days
  const all = [first]
  while (all.at(-1)! < last) all.push(addDays(all.at(-1)!, 1))
  return all
}

function smallestStep(days: string[]): number {
  return days.slice(1).reduce((least, day, index) => Math.min(least, daysBetween(days[index]!, day)), Infinity)
}

function daysBetween(from: string, to: string): number {
  return Math.round((Date.parse(to) - Date.parse(from)) / 86_400_000)
}

export interface Slice {
  readonly name: string
  readonly value: number
  /** As the server wrote it, or an exact sum. */
  readonly exact: string
  /** Of the whole, 0 to 1. */
  readonly share: number
  readonly isRest: boolean
}

/** Names with their figures, the largest first where `top` asks to add the small ones up. */
export function slices(tile: Tile, data: Rows): Slice[] {
  const [x, y] = [columnIndex(data, tile.x), columnIndex(data, tile.y[0] ?? null)]
  const type = columnType(data, y)
  const all = data.rows.map((row) => {
    const cell = cellAt(row, y)
    return { name: textOf(cellAt(row, x)), cell, value: approximate(cell) ?? 0 }
  })
  const named = all.filter(({ name }) => name !== OTHERS)
  let rest = all.filter(({ name }) => name === OTHERS)
  if (tile.top !== null && named.length > tile.top) {
    named.sort((a, b) => b.value - a.value)
    rest = rest.concat(named.splice(tile.top))
  }
  const whole = all.reduce((total, { value }) => total + Math.max(value, 0), 0)
  const slice = (name: string, value: number, exact: string, isRest: boolean): Slice => {
    return { name, value, exact, share: whole > 0 ? value / whole : 0, isRest }
  }
  const shown = named.map(({ name, cell, value }) => slice(name, value, showExact(cell, type), false))
  return rest.length === 0 ? shown : [...shown, restSlice(rest, slice)]
}

function restSlice(
  rest: readonly { cell: Cell; value: number }[],
  slice: (name: string, value: number, exact: string, isRest: boolean) => Slice,
): Slice {
  const total = sum(rest.map(({ cell }) => (typeof cell === 'number' ? cell : textOf(cell) || '0')))
  const value = rest.reduce((all, one) => all + one.value, 0)
  return slice(OTHERS, value, total ? showExact(plain(total), 'Decimal128') : String(value), true)
}

export interface Bin {
  readonly from: number
  readonly to: number
  readonly count: number
}

/** Counts values in `bins` steps of equal width with round edges. */
export function histogram(values: readonly number[], bins: number): Bin[] {
  if (values.length === 0) return []
  const low = values.reduce((least, value) => Math.min(least, value), Infinity)
  const high = values.reduce((most, value) => Math.max(most, value), -Infinity)
  const width = roundStep((high - low || 1) / Math.max(bins, 1))
  const start = Math.floor(low / width)
  const counts = Array.from({ length: Math.floor(high / width) - start + 1 }, () => 0)
  for (const value of values) {
    const at = Math.floor(value / width) - start
    counts[at] = (counts[at] ?? 0) + 1
  }
  return counts.map((count, at) => ({ from: (start + at) * width, to: (start + at + 1) * width, count }))
}

/** 1, 2, 2.5, 5 or 10 times a power of ten, not below `step`. */
function roundStep(step: number): number {
  const power = 10 ** Math.floor(Math.log10(step))
  return ([1, 2, 2.5, 5, 10].find((nice) => nice * power >= step * 0.999) ?? 10) * power
}
