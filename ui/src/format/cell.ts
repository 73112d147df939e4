// Cells of answers: JSON values whose column names an Arrow type.

import { compare, digitsOf } from './decimal'
import { exact, figure, type FigureStyle } from './number'
import { date, instant, isDate, isInstant } from './time'

export type Cell = null | boolean | number | string | readonly Cell[] | { readonly [key: string]: Cell }

const NUMERIC = /^(U?Int\d+|Float\d+|Decimal\d+)/

export function isNumeric(type: string): boolean {
  return NUMERIC.test(type)
}

export function isTemporal(type: string): boolean {
  return /^(Date|Timestamp)/.test(type)
}

/** The cell as a person reads it. */
export function show(cell: Cell | undefined, type: string, style: FigureStyle = {}): string {
  if (cell === null || cell === undefined) return ''
  if (typeof cell === 'object') return JSON.stringify(cell)
  if (typeof cell === 'boolean') return cell ? 'true' : 'false'
  if (isNumeric(type)) return style.format || style.unit ? figure(cell, style) : bare(cell, type)
  const text = String(cell)
  if (type.startsWith('Date') && isDate(text)) return date(text)
  if (type.startsWith('Timestamp') && isInstant(text)) return zoned(text)
  return text
}

/** The cell with every digit, for a tooltip or a clipboard. */
export function showExact(cell: Cell | undefined, type: string): string {
  if (cell === null || cell === undefined) return 'null'
  if ((typeof cell === 'number' || typeof cell === 'string') && isNumeric(type)) return exact(cell)
  return show(cell, type)
}

/** The nearest double: for the length of a bar or the place of a point, never for words. */
export function approximate(cell: Cell | undefined): number | null {
  if (typeof cell === 'number') return cell
  if (typeof cell !== 'string' || cell === '') return null
  const value = Number(cell)
  return Number.isFinite(value) ? value : null
}

/** Orders cells of a column: numbers by value, the rest as text; what is missing comes last. */
export function compareCells(a: Cell | undefined, b: Cell | undefined, type: string): number {
  const [noA, noB] = [a === null || a === undefined, b === null || b === undefined]
  if (noA || noB) return noA === noB ? 0 : noA ? 1 : -1
  if (isNumeric(type)) {
    const [left, right] = [digitsOf(String(a)), digitsOf(String(b))]
    if (left && right) return compare(left, right)
    if (left || right) return left ? -1 : 1
  }
  const [left, right] = [textOf(a), textOf(b)]
  return left < right ? -1 : left > right ? 1 : 0
}

export function textOf(cell: Cell | undefined): string {
  if (cell === null || cell === undefined) return ''
  return typeof cell === 'object' ? JSON.stringify(cell) : String(cell)
}

/** Integers as they are; floats without the noise of binary fractions. */
function bare(cell: number | string, type: string): string {
  return type.startsWith('Float') ? figure(cell) : exact(cell)
}

/** A timestamp without a zone says nothing about UTC, and so is shown without one. */
function zoned(text: string): string {
  if (/(Z|[+-]\d{2}:?\d{2})$/.test(text)) return instant(text)
  const [day = '', time = ''] = text.replace(' ', 'T').split('T')
  return `${date(day)}, ${time}`
}
