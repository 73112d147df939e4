// Our chart specification to the chart library's options. Nothing else knows those options.

import type { EChartsOption } from 'echarts'
import { showExact } from '../format/cell'
import { short } from '../format/number'
import { band, bars, combo, lines } from './cartesian'
import { baseOption, categoryAxis, grid, itemTooltip, valueAxis, type ChartInput } from './option'
import { cellAt, columnIndex, columnType, histogram, point } from './pivot'

const BINS = 20

/** Series keep their identity from one answer to the next, so that a refresh moves marks instead of redrawing them. */
export function compile(input: ChartInput): EChartsOption {
  const option = compileKind(input)
  const series = [option.series ?? []].flat()
  return { ...option, series: series.map((one, place) => ({ id: `${place} ${one.name ?? ''}`, ...one })) }
}

function compileKind(input: ChartInput): EChartsOption {
  switch (input.tile.kind) {
    case 'line':
    case 'area':
      return lines(input)
    case 'bars':
    case 'horizontal_bars':
      return bars(input)
    case 'combo':
      return combo(input)
    case 'band':
      return band(input)
    case 'scatter':
      return scatter(input)
    case 'histogram':
      return bins(input)
    default:
      return {}
  }
}

function scatter(input: ChartInput): EChartsOption {
  const { tile, data, palette } = input
  const index = (name: string | null | undefined) => columnIndex(data, name ?? null)
  const [x, y, series, size] = [index(tile.x), index(tile.y[0]), index(tile.series), index(tile.size)]
  const groups = new Map<string, number[]>()
  data.rows.forEach((row, at) => {
    const name = series < 0 ? (tile.y[0] ?? '') : String(cellAt(row, series) ?? '')
    groups.set(name, [...(groups.get(name) ?? []), at])
  })
  const number = (at: number, column: number) =>
    point(cellAt(data.rows[at] ?? [], column), columnType(data, column)).value
  const largest = Math.max(1e-12, ...data.rows.map((_, at) => number(at, size) ?? 0))
  const members = [...groups]
  return {
    ...baseOption(input),
    grid: grid(),
    tooltip: itemTooltip((mark) => {
      const at = members[mark.seriesIndex]?.[1][mark.dataIndex]
      if (at === undefined) return null
      const value = (column: number) => showExact(cellAt(data.rows[at] ?? [], column), columnType(data, column))
      const rows = [...new Set([x, y, size])].filter((column) => column >= 0)
      const title = series < 0 ? '' : (members[mark.seriesIndex]?.[0] ?? '')
      return { title, rows: rows.map((column) => ({ name: data.columns[column]?.name ?? '', value: value(column) })) }
    }),
    xAxis: { ...valueAxis(input, {}), scale: true, name: tile.x ?? '', nameLocation: 'middle', nameGap: 26 },
    yAxis: { ...valueAxis(input, tile), scale: true },
    series: members.map(([name, rows], place) => ({
      type: 'scatter' as const,
      name,
      symbolSize: (_: unknown, mark: { dataIndex: number }) => {
        const at = rows[mark.dataIndex]
        return size < 0 || at === undefined ? 8 : 4 + 18 * Math.sqrt(Math.max(0, number(at, size) ?? 0) / largest)
      },
      itemStyle: { color: series < 0 ? palette.marks[0]! : (input.colourOf(name) ?? palette.rest), opacity: 0.6 },
      data: rows.map((at) => [number(at, x) ?? '-', number(at, y) ?? '-']),
      z: 2 + place,
    })),
  }
}

function bins(input: ChartInput): EChartsOption {
  const { tile, data, palette } = input
  if (tile.y.length > 0) return bars(input)
  const x = columnIndex(data, tile.x)
  const values = data.rows.map((row) => point(cellAt(row, x), columnType(data, x)).value)
  const counted = histogram(
    values.filter((value) => value !== null),
    tile.bins ?? BINS,
  )
  const label = (from: number, to: number) => `${short(from, tile)} – ${short(to, tile)}`
  return {
    ...baseOption(input),
    grid: grid(),
    tooltip: itemTooltip((at) => {
      const bin = counted[at.dataIndex]
      return bin ? { title: label(bin.from, bin.to), rows: [{ name: 'rows', value: String(bin.count) }] } : null
    }),
    xAxis: categoryAxis(
      input,
      counted.map(({ from }) => short(from, tile)),
      '',
    ),
    yAxis: valueAxis(input, {}),
    series: [
      {
        type: 'bar',
        barCategoryGap: 1,
        itemStyle: { color: palette.marks[0]! },
        data: counted.map(({ count }) => count),
      },
    ],
  }
}
