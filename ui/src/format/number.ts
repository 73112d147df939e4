// Figures as people read them, by unit and format.

import { digitsOf, isZero, round, shift, write, type Digits } from './decimal'

export type NumberFormat = 'integer' | 'decimal' | 'compact' | 'percent' | 'dollars'

export interface FigureStyle {
  readonly format?: NumberFormat | null
  readonly unit?: string | null
}

const COMPACT = [
  { places: 12, letter: 'T' },
  { places: 9, letter: 'B' },
  { places: 6, letter: 'M' },
  { places: 3, letter: 'k' },
]

export function styleOf(style: FigureStyle): NumberFormat | null {
  if (style.format) return style.format
  if (style.unit === 'share') return 'percent'
  if (style.unit === 'dollars') return 'dollars'
  return null
}

/** A figure with all the digits its style asks for. Words (`NaN`) pass through as they are. */
export function figure(value: number | string, style: FigureStyle = {}): string {
  const digits = digitsOf(value)
  if (!digits) return String(value)
  switch (styleOf(style)) {
    case 'integer':
      return write(round(digits, 0))
    case 'decimal':
      return write(round(digits, 2))
    case 'compact':
      return compact(digits)
    case 'percent':
      return `${write(round(shift(digits, 2), percentPlaces(digits)))}%`
    case 'dollars':
      return dollars(digits)
    default:
      return write(neat(digits))
  }
}

/** Every digit the server sent. */
export function exact(value: number | string | bigint): string {
  const digits = digitsOf(value)
  return digits ? write(digits) : String(value)
}

/** A figure short enough for an axis: 12k, $4.5M, 20%. */
export function short(value: number, style: FigureStyle = {}): string {
  const digits = digitsOf(value)
  if (!digits) return String(value)
  const format = styleOf(style)
  if (format === 'percent') return `${write(trimmed(round(shift(digits, 2), 1)))}%`
  const text = Math.abs(value) >= 1000 ? compact(digits) : write(trimmed(round(digits, Math.abs(value) < 1 ? 4 : 2)))
  return format === 'dollars' ? withDollar(withCents(text)) : text
}

/** The unit to write behind a figure; none when the figure already says it. */
export function unitSuffix(style: FigureStyle): string | null {
  const format = styleOf(style)
  if (!style.unit || style.unit === 'share' || style.unit === 'dollars') return null
  return format === 'percent' || format === 'dollars' ? null : style.unit
}

/** The unit for a title: `dollars`, `% of whole`. */
export function unitWord(style: FigureStyle): string | null {
  if (style.unit === 'share') return 'per cent'
  return style.unit ?? null
}

export interface Change {
  /** Share of the previous figure; null when it was zero. */
  readonly share: number | null
  readonly text: string
  readonly direction: 'up' | 'down' | 'same'
}

/** How a figure moved. Shares move by percentage points, other figures by per cent. */
export function change(value: number | string, previous: number | string, style: FigureStyle = {}): Change | null {
  const [now, before] = [Number(value), Number(previous)]
  if (!Number.isFinite(now) || !Number.isFinite(before)) return null
  const difference = now - before
  const direction = difference > 0 ? 'up' : difference < 0 ? 'down' : 'same'
  if (styleOf(style) === 'percent') {
    return { share: null, text: `${Math.abs(difference * 100).toFixed(1)} pp`, direction }
  }
  if (before === 0) return { share: null, text: direction === 'same' ? 'no change' : 'from 0', direction }
  const share = difference / Math.abs(before)
  return { share, text: `${Math.abs(share * 100).toFixed(1)}%`, direction }
}

function compact(digits: Digits): string {
  const step = COMPACT.find(({ places }) => digits.whole.length > places)
  if (!step) return write(neat(digits))
  const scaled = shift(digits, -step.places)
  return write(trimmed(round(scaled, scaled.whole.length > 2 ? 0 : 1))) + step.letter
}

/** Cents, and more digits where cents would say nothing. */
function dollars(digits: Digits): string {
  const isSmall = digits.whole === '0' && !isZero(digits) && /^0/.test(digits.fraction)
  return withDollar(write(round(digits, isSmall ? 4 : 2)))
}

/** `0.5` as money is `0.50`. */
function withCents(text: string): string {
  return /\.\d$/.test(text) ? `${text}0` : text
}

export function withDollar(text: string): string {
  return text.startsWith('\u2212') ? `\u2212$${text.slice(1)}` : `$${text}`
}

/** Doubles carry noise behind the digits that matter. */
function neat(digits: Digits): Digits {
  if (digits.fraction.length <= 4) return digits
  const leading = /^0*/.exec(digits.fraction)?.[0].length ?? 0
  return trimmed(round(digits, digits.whole === '0' ? leading + 4 : 2))
}

function percentPlaces(digits: Digits): number {
  return digits.whole === '0' && /^00/.test(digits.fraction) && !isZero(digits) ? 2 : 1
}

function trimmed(digits: Digits): Digits {
  return { ...digits, fraction: digits.fraction.replace(/0+$/, '') }
}
