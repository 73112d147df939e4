// Decimal numbers as digits. The server sends integers beyond 2^53 and decimals as text; nothing here turns such a
// text into a double, so what a reader sees is what the lake holds.

export interface Digits {
  readonly negative: boolean
  /** At least one digit, without leading zeros. */
  readonly whole: string
  readonly fraction: string
}

const NUMBER = /^([+-]?)(\d+)(?:\.(\d*))?(?:[eE]([+-]?\d+))?$/

/** The digits of a number, or null for what is none (`NaN`, infinities, words). */
export function digitsOf(value: number | string | bigint): Digits | null {
  const match = NUMBER.exec(String(value))
  if (!match) return null
  const [, sign = '', whole = '0', fraction = '', exponent = '0'] = match
  return shift({ negative: sign === '-', whole: trimZeros(whole), fraction }, Number(exponent))
}

/** Moves the decimal point: 2 multiplies by a hundred. */
export function shift(digits: Digits, places: number): Digits {
  const { negative, whole, fraction } = digits
  if (places >= 0) {
    const padded = fraction.padEnd(places, '0')
    return { negative, whole: trimZeros(whole + padded.slice(0, places)), fraction: padded.slice(places) }
  }
  const padded = whole.padStart(1 - places, '0')
  return { negative, whole: trimZeros(padded.slice(0, places)), fraction: padded.slice(places) + fraction }
}

/** Rounds half away from zero, as a reader with a pencil does. */
export function round(digits: Digits, places: number): Digits {
  if (digits.fraction.length <= places) return { ...digits, fraction: digits.fraction.padEnd(places, '0') }
  const kept = BigInt(digits.whole + digits.fraction.slice(0, places))
  const rounded = (digits.fraction.charAt(places) >= '5' ? kept + 1n : kept).toString().padStart(places + 1, '0')
  const cut = rounded.length - places
  return { negative: digits.negative, whole: trimZeros(rounded.slice(0, cut)), fraction: rounded.slice(cut) }
}

export function isZero(digits: Digits): boolean {
  return /^0*$/.test(digits.whole + digits.fraction)
}

export function group(whole: string): string {
  return whole.replace(/\B(?=(\d{3})+(?!\d))/g, ',')
}

/** `-1,234.50`, with a minus sign of the width of a digit. */
export function write(digits: Digits): string {
  const sign = digits.negative && !isZero(digits) ? '\u2212' : ''
  return sign + group(digits.whole) + (digits.fraction ? `.${digits.fraction}` : '')
}

/** Orders two numbers by value, however many digits they have. */
export function compare(a: Digits, b: Digits): number {
  const places = Math.max(a.fraction.length, b.fraction.length)
  const scaled = (digits: Digits) => {
    const value = BigInt(digits.whole + digits.fraction.padEnd(places, '0'))
    return digits.negative ? -value : value
  }
  const [left, right] = [scaled(a), scaled(b)]
  return left < right ? -1 : left > right ? 1 : 0
}

/** The exact sum of numbers; null when one of them is none. */
export function sum(values: readonly (number | string)[]): Digits | null {
  const all = values.map(digitsOf)
  const places = all.reduce((most, digits) => Math.max(most, digits?.fraction.length ?? 0), 0)
  let total = 0n
  for (const digits of all) {
    if (!digits) return null
    const value = BigInt(digits.whole + digits.fraction.padEnd(places, '0'))
    total += digits.negative ? -value : value
  }
  const negative = total < 0n
  const text = (negative ? -total : total).toString().padStart(places + 1, '0')
  const cut = text.length - places
  return { negative, whole: text.slice(0, cut), fraction: text.slice(cut) }
}

/** The plain text of digits, as a program reads it. */
export function plain(digits: Digits): string {
  return (digits.negative && !isZero(digits) ? '-' : '') + digits.whole + (digits.fraction ? `.${digits.fraction}` : '')
}

function trimZeros(whole: string): string {
  return whole.replace(/^0+(?=\d)/, '')
}
