// What charts have in common: axes, grid, tooltips, motion.

import type {
  BarSeriesOption,
  EChartsOption,
  TooltipComponentOption,
  XAXisComponentOption,
  YAXisComponentOption,
} from 'echarts'
import { isTemporal } from '../format/cell'
import { short, type FigureStyle } from '../format/number'
import { shortDate } from '../format/time'
import type { Rows, Tile } from '../wire'
import type { Palette } from './palette'
import { tooltip, type TooltipRow } from './tooltip'

export interface ChartInput {
  readonly tile: Tile
  readonly data: Rows
  readonly palette: Palette
  readonly width: number
  readonly height: number
  /** Null: the colour of the rest. */
  readonly colourOf: (name: string) => string | null
  /** Names a filter holds now: other marks step back. Null: all are alike. */
  readonly chosen: ReadonlySet<string> | null
}

export interface Mark {
  readonly dataIndex: number
  readonly seriesIndex: number
  readonly color?: string
}

/** An axis that may lie or stand. */
export type Axis = XAXisComponentOption & YAXisComponentOption
export type Bars = BarSeriesOption

export function baseOption({ palette }: ChartInput): EChartsOption {
  return {
    animationDuration: 0,
    animationDurationUpdate: 200,
    animationEasingUpdate: 'cubicOut',
    textStyle: { fontFamily: palette.font, fontSize: 11, color: palette.quiet },
  }
}

export function grid(right = 4) {
  return {
    left: 2,
    right,
    top: 10,
    bottom: 4,
    outerBoundsMode: 'same' as const,
    outerBoundsContain: 'axisLabel' as const,
  }
}

export function categoryAxis(input: ChartInput, categories: readonly string[], type: string): Axis {
  const label = isTemporal(type) ? timeLabel(type) : (value: string) => value
  return {
    type: 'category',
    data: [...categories],
    axisLine: { lineStyle: { color: input.palette.line } },
    axisTick: { show: false },
    axisLabel: {
      color: input.palette.quiet,
      fontSize: 11,
      hideOverlap: true,
      formatter: label,
      width: 120,
      overflow: 'truncate',
    },
  } as Axis
}

/** Dates by day; instants by hour while they lie within two days. */
function timeLabel(type: string): (value: string) => string {
  if (type.startsWith('Date')) return shortDate
  return (value) => `${shortDate(value)} ${value.replace(' ', 'T').split('T')[1]?.slice(0, 5) ?? ''}`
}

export function valueAxis(input: ChartInput, style: FigureStyle): Axis {
  return {
    type: 'value',
    splitNumber: input.height < 180 ? 3 : 4,
    axisLine: { show: false },
    axisTick: { show: false },
    axisLabel: { color: input.palette.quiet, fontSize: 11, formatter: (value: number) => short(value, style) },
    splitLine: { lineStyle: { color: input.palette.line, width: 1 } },
  } as Axis
}

const BOX: TooltipComponentOption = {
  className: 'chart-tooltip',
  renderMode: 'html',
  confine: true,
  backgroundColor: 'transparent',
  borderWidth: 0,
  padding: 0,
  extraCssText: 'box-shadow:none',
  transitionDuration: 0,
}

interface Content {
  readonly title: string
  readonly rows: readonly TooltipRow[]
}

export function itemTooltip(content: (mark: Mark) => Content | null): TooltipComponentOption {
  return { ...BOX, trigger: 'item', formatter: (mark) => made(content(mark as unknown as Mark)) }
}

export function axisTooltip(palette: Palette, content: (place: number) => Content | null): TooltipComponentOption {
  return {
    ...BOX,
    trigger: 'axis',
    axisPointer: { type: 'line', lineStyle: { color: palette.quiet, type: 'solid', width: 1, opacity: 0.5 } },
    formatter: (marks) => {
      const first = (Array.isArray(marks) ? marks[0] : marks) as unknown as Mark | undefined
      return made(first ? content(first.dataIndex) : null)
    },
  }
}

function made(content: Content | null): HTMLElement | string {
  return content ? tooltip(content.title, content.rows) : ''
}
