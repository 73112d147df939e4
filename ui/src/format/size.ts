// Bytes and rates.

import { group } from './decimal'

const STEPS = ['B', 'kB', 'MB', 'GB', 'TB', 'PB']

/** `4.2 MB`, in powers of a thousand. */
export function bytes(count: number | string | null | undefined): string {
  const value = count === null || count === undefined ? Number.NaN : Number(count)
  if (!Number.isFinite(value)) return '–'
  let [scaled, step] = [Math.abs(value), 0]
  while (scaled >= 999.5 && step < STEPS.length - 1) {
    scaled /= 1000
    step += 1
  }
  const places = step === 0 || scaled >= 99.95 ? 0 : 1
  return `${value < 0 ? '\u2212' : ''}${scaled.toFixed(places)} ${STEPS[step]}`
}

/** `1,234 rows/s`; slow streams keep a digit behind the point. */
export function rate(perSecond: number | null | undefined, what = 'rows'): string {
  if (perSecond === null || perSecond === undefined || !Number.isFinite(perSecond)) return '–'
  const number = perSecond > 0 && perSecond < 10 ? perSecond.toFixed(1) : group(String(Math.round(perSecond)))
  return `${number} ${what}/s`
}
