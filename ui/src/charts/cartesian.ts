// Charts with two axes: lines, areas, bars, combos, bands.

import type { EChartsOption, LineSeriesOption } from 'echarts'
import { isTemporal } from '../format/cell'
import { figure, styleOf, withDollar, type FigureStyle } from '../format/number'
import { date, instant } from '../format/time'
import type { TooltipRow } from './tooltip'
import { axisTooltip, baseOption, categoryAxis, grid, valueAxis, type Axis, type Bars, type ChartInput } from './option'
import { pivot, type Pivot, type Series } from './pivot'

/** Bars narrower than this would be hairlines; wider ones, walls. */
const MAX_BAR = 36

export function lines(input: ChartInput): EChartsOption {
  const data = pivot(input.tile, input.data)
  const isArea = input.tile.kind === 'area'
  const isStacked = isArea && input.tile.stacking !== 'grouped'
  return axes(
    input,
    data,
    data.series.map((series) => ({
      ...line(input, series, data, isStacked),
      ...(isArea ? { areaStyle: { opacity: isStacked ? 0.75 : 0.18 } } : {}),
      ...(isStacked ? { stack: 'all', lineStyle: { width: 1 } } : {}),
    })),
  )
}

export function bars(input: ChartInput): EChartsOption {
  const data = pivot(input.tile, input.data)
  return axes(
    input,
    data,
    data.series.map((series) => bar(input, series, data)),
  )
}

export function combo(input: ChartInput): EChartsOption {
  const { tile, palette } = input
  const left = pivot(tile, input.data)
  const right = pivot(tile, input.data, tile.y_right)
  const all = { ...left, series: [...left.series, ...right.series] }
  const option = axes(input, all, [
    ...left.series.map((series) => bar(input, series, all)),
    ...right.series.map((series) => ({ ...line(input, series, all, false), yAxisIndex: 1 })),
  ])
  const second = { ...valueAxis(input, { unit: tile.unit_right }), splitLine: { show: false } }
  return {
    ...option,
    yAxis: [option.yAxis as object, { ...second, axisLabel: { ...second.axisLabel, color: palette.quiet } }],
  }
}

/** Between two edges: the lower one is drawn unseen, the distance to the upper one stands on it. */
export function band(input: ChartInput): EChartsOption {
  const { tile, palette } = input
  const edges = [tile.lower, tile.upper].filter((name) => name !== null)
  const data = pivot({ ...tile, series: null }, input.data, [...tile.y, ...edges])
  const named = (name: string | null) => data.series.find((series) => series.name === name)
  const [lower, upper] = [named(tile.lower), named(tile.upper)]
  const middle = data.series.filter((series) => tile.y.includes(series.name))
  const colour = palette.marks[0]!
  const edge = { type: 'line' as const, stack: 'band', symbol: 'none', silent: true, lineStyle: { opacity: 0 } }
  const distance = data.categories.map((_, at) => {
    const [low, high] = [lower?.points[at]?.value, upper?.points[at]?.value]
    return typeof low === 'number' && typeof high === 'number' ? high - low : null
  })
  return axes(input, data, [
    { ...edge, name: 'lower', data: data.categories.map((_, at) => lower?.points[at]?.value ?? null) },
    { ...edge, name: 'upper', areaStyle: { color: colour, opacity: 0.2 }, data: distance },
    ...middle.map((series) => line(input, series, data, false)),
  ])
}

function line(input: ChartInput, series: Series, data: Pivot, isStacked: boolean): LineSeriesOption {
  const colour = colourOf(input, series, data)
  const isAlone = (at: number) => !series.points[at - 1] && !series.points[at + 1]
  return {
    type: 'line',
    name: series.name,
    color: colour,
    lineStyle: { width: 2 },
    symbol: 'circle',
    symbolSize: 7,
    showSymbol: series.points.some((point, at) => point && isAlone(at)),
    emphasis: { disabled: true },
    sampling: 'lttb',
    data: valuesOf(input, series, data, isStacked),
  }
}

function bar(input: ChartInput, series: Series, data: Pivot): Bars {
  const { tile, chosen } = input
  const colour = colourOf(input, series, data)
  const isFaded = (at: number) => {
    if (!chosen || !tile.select) return false
    const name = tile.select.column === tile.series ? series.name : data.categories[at]
    return !chosen.has(name ?? '')
  }
  const isStacked = tile.stacking !== 'grouped' && data.series.length > 1
  return {
    type: 'bar',
    name: series.name,
    color: colour,
    barMaxWidth: MAX_BAR,
    barCategoryGap: data.categories.length > 40 ? '15%' : '28%',
    barGap: '8%',
    ...(isStacked ? { stack: 'all' } : {}),
    emphasis: { disabled: true },
    data: valuesOf(input, series, data, isStacked).map((value, at) => ({
      value: value ?? '-',
      itemStyle: { opacity: isFaded(at) ? 0.3 : 1 },
    })),
  }
}

function valuesOf({ tile }: ChartInput, series: Series, data: Pivot, isStacked: boolean): (number | null)[] {
  return series.points.map((point, at) => {
    const value = point?.value ?? null
    if (value === null || !isStacked || tile.stacking !== 'normalised') return value
    const whole = data.series.reduce((total, one) => total + (one.points[at]?.value ?? 0), 0)
    return whole === 0 ? 0 : value / whole
  })
}

/** Names have the page's colours. Where there is no name to tell, or a combo's own legend tells it, the place decides. */
function colourOf({ palette, tile, colourOf: named }: ChartInput, series: Series, data: Pivot): string {
  const isAlone = data.series.length === 1 && tile.series === null
  if (isAlone || tile.kind === 'band') return palette.marks[0]!
  if (tile.kind !== 'combo') return named(series.name) ?? palette.rest
  return palette.marks[[...tile.y, ...tile.y_right].indexOf(series.column) % palette.marks.length] ?? palette.rest
}

function axes(input: ChartInput, data: Pivot, series: NonNullable<EChartsOption['series']>): EChartsOption {
  const { tile } = input
  const isLying = tile.kind === 'horizontal_bars'
  const isShare = tile.stacking === 'normalised' && data.series.length > 1
  const category = categoryAxis(input, data.categories, data.type)
  const value = {
    ...valueAxis(input, isShare ? { unit: 'share' } : tile),
    ...(isShare ? { max: 1, interval: 0.25 } : {}),
  } as Axis
  const hasBars = ['bars', 'horizontal_bars', 'combo', 'histogram'].includes(tile.kind)
  return {
    ...baseOption(input),
    grid: grid(tile.y_right.length > 0 ? 2 : 8),
    tooltip: axisTooltip(input.palette, (place) => tooltipAt(input, data, place)),
    xAxis: isLying ? value : ({ ...category, boundaryGap: hasBars } as Axis),
    yAxis: isLying ? ({ ...category, inverse: true } as Axis) : value,
    series,
  }
}

function tooltipAt(input: ChartInput, data: Pivot, place: number): { title: string; rows: TooltipRow[] } {
  const category = data.categories[place] ?? ''
  const rows = data.series.flatMap((series) => {
    const point = series.points[place]
    if (!point) return []
    const isRight = input.tile.y_right.includes(series.column)
    const style: FigureStyle = isRight ? { unit: input.tile.unit_right } : input.tile
    return [{ name: series.name, value: written(point.exact, style), colour: colourOf(input, series, data) }]
  })
  return { title: titleOf(category, data.type), rows }
}

/** All digits; of a double only those that say something. */
function written(exact: string, style: FigureStyle): string {
  const text = exact.replace(/,/g, '').replace('\u2212', '-')
  if (styleOf(style) === 'dollars' && /^-?\d+(\.\d{2,6})?$/.test(text)) return withDollar(exact)
  if (style.unit === 'dollars' || style.unit === 'share' || style.format) return figure(text, style)
  return style.unit ? `${exact} ${style.unit}` : exact
}

function titleOf(category: string, type: string): string {
  if (!isTemporal(type)) return category
  return type.startsWith('Date') ? date(category) : instant(category)
}
