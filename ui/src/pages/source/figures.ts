// What a source's figures come to in words.

import { exact } from '../../format/number'
import { bytes } from '../../format/size'
import { duration } from '../../format/time'
import type { Integer, Source, SourceDetail, SourcePipeline } from '../../wire'

/** What waits: in records where the source counts them, else in bytes. */
export function waiting(table: Pick<SourcePipeline, 'lag_records' | 'lag_bytes'>): string {
  if (table.lag_records !== null) return exact(table.lag_records)
  return table.lag_bytes === null ? '–' : bytes(table.lag_bytes)
}

/** How far behind, as people say it: under a second is nothing. */
export function behind(seconds: number | null): string {
  if (seconds === null) return '–'
  return seconds < 1 ? '0 s' : duration(seconds)
}

export function total(values: readonly (Integer | null)[]): bigint | null {
  const known = values.filter((value) => value !== null)
  return known.length === 0 ? null : known.reduce((sum, value) => sum + BigInt(value), 0n)
}

/** What waits for all tables of a source together; a stream they share is counted once. */
export function waitingAltogether(source: Pick<Source, 'tables'>): { text: string; unit: string } {
  const records = total(source.tables.map(({ lag_records }) => lag_records))
  if (records !== null) return { text: exact(records), unit: 'records' }
  const sizes = source.tables.map(({ lag_bytes }) => lag_bytes).filter((size) => size !== null)
  if (sizes.length === 0) return { text: '–', unit: 'not told by this kind of source' }
  const shared = source.tables.some(({ shares_stream }) => shares_stream)
  const size = shared ? Math.max(...sizes.map(Number)) : Number(total(sizes))
  return { text: bytes(size), unit: 'at the source' }
}

export function behindAltogether(source: Pick<Source, 'tables'>): number | null {
  const known = source.tables.map(({ behind_seconds }) => behind_seconds).filter((seconds) => seconds !== null)
  return known.length === 0 ? null : Math.max(...known)
}

export function rateAltogether(source: Pick<Source, 'tables'>): number {
  return source.tables.reduce((sum, { rows_per_second }) => sum + rows_per_second, 0)
}

export function lastCommit(source: Pick<Source, 'tables'>): string | null {
  return source.tables.reduce<string | null>((newest, { last_commit_at }) => {
    return last_commit_at !== null && (newest === null || last_commit_at > newest) ? last_commit_at : newest
  }, null)
}

/** What the second picture shows: the first of records, bytes and seconds that the source tells. */
export function waitingPicture(history: SourceDetail['history']): 'records' | 'bytes' | 'seconds' {
  if (history.some(({ lag_records }) => lag_records !== null)) return 'records'
  return history.some(({ lag_bytes }) => lag_bytes !== null) ? 'bytes' : 'seconds'
}
