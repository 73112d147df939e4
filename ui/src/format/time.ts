// Dates and instants. Instants are shown in UTC and say so: two people reading one page read one time.

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec']
const DATE = /^(\d{4})-(\d{2})-(\d{2})$/
const INSTANT = /^(\d{4})-(\d{2})-(\d{2})[T ](\d{2}):(\d{2})(?::(\d{2})(?:\.\d+)?)?(Z|[+-]\d{2}:?\d{2})?$/

export const ZONE = 'UTC'

/** `21 Nov 2026`. What is no date passes through. */
export function date(text: string): string {
  const match = DATE.exec(text) ?? INSTANT.exec(text)
  return match ? `${Number(match[3])} ${monthName(match[2])} ${match[1]}` : text
}

/** `21 Nov`, for axes. */
export function shortDate(text: string): string {
  const match = DATE.exec(text) ?? INSTANT.exec(text)
  return match ? `${Number(match[3])} ${monthName(match[2])}` : text
}

/** `21 Nov 2026, 10:52:01 UTC`. */
export function instant(text: string | null | undefined): string {
  if (!text) return '–'
  const at = Date.parse(text)
  if (Number.isNaN(at)) return text
  const iso = new Date(at).toISOString()
  return `${date(iso.slice(0, 10))}, ${iso.slice(11, 19)} ${ZONE}`
}

/** `10:52:01 UTC`. */
export function clock(text: string): string {
  const at = Date.parse(text)
  return Number.isNaN(at) ? text : `${new Date(at).toISOString().slice(11, 19)} ${ZONE}`
}

export function isDate(text: string): boolean {
  return DATE.test(text)
}

export function isInstant(text: string): boolean {
  return INSTANT.test(text)
}

/** `340 ms`, `4.2 s`, `3 min 5 s`, `2 h 4 min`. */
export function duration(seconds: number): string {
  if (!Number.isFinite(seconds) || seconds < 0) return '–'
  if (seconds < 0.9995) return `${Math.round(seconds * 1000)} ms`
  if (seconds < 59.95) return `${seconds.toFixed(1)} s`
  const whole = Math.round(seconds)
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`
  if (whole < 86_400) return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`
  return `${Math.floor(whole / 86_400)} d ${Math.floor((whole % 86_400) / 3600)} h`
}

/** `just now`, `12 s ago`, `in 5 min`. */
export function ago(text: string | null | undefined, now: number): string {
  const at = Date.parse(text ?? '')
  if (Number.isNaN(at)) return '–'
  const seconds = Math.round((now - at) / 1000)
  if (Math.abs(seconds) < 2) return 'just now'
  const distance = coarse(Math.abs(seconds))
  return seconds > 0 ? `${distance} ago` : `in ${distance}`
}

/** Seconds between two instants; null while one is missing. */
export function between(start: string | null | undefined, end: string | null | undefined): number | null {
  const seconds = (Date.parse(end ?? '') - Date.parse(start ?? '')) / 1000
  return Number.isNaN(seconds) ? null : seconds
}

/** The date `days` after a date. */
export function addDays(text: string, days: number): string {
  const at = Date.parse(`${text}T00:00:00Z`)
  return Number.isNaN(at) ? text : new Date(at + days * 86_400_000).toISOString().slice(0, 10)
}

export function dayOf(now: number): string {
  return new Date(now).toISOString().slice(0, 10)
}

function coarse(seconds: number): string {
  if (seconds < 60) return `${seconds} s`
  if (seconds < 3600) return `${Math.round(seconds / 60)} min`
  if (seconds < 86_400) return `${Math.round(seconds / 3600)} h`
  return `${Math.round(seconds / 86_400)} d`
}

function monthName(month: string | undefined): string {
  return MONTHS[Number(month) - 1] ?? month ?? ''
}
