import { expect, test } from 'vitest'
import type { SourcePipeline } from '../../wire'
import { behind, behindAltogether, lastCommit, waiting, waitingAltogether, waitingPicture } from './figures'

type Known = Partial<SourcePipeline>
const table = (known: Known) =>
  ({
    lag_records: null,
    lag_bytes: null,
    behind_seconds: null,
    last_commit_at: null,
    shares_stream: false,
    ...known,
  }) as SourcePipeline
const source = (...known: Known[]) => ({ tables: known.map(table) })

test('what waits is told in records, else in bytes, else not', () => {
  expect(waiting(table({ lag_records: 1234, lag_bytes: 9 }))).toBe('1,234')
  expect(waiting(table({ lag_bytes: 1500 }))).toBe('1.5 kB')
  expect(waiting(table({}))).toBe('–')
})

test('a stream that tables share waits once', () => {
  const shared = { lag_bytes: 2_000_000, shares_stream: true }
  expect(waitingAltogether(source(shared, shared)).text).toBe('2.0 MB')
  expect(waitingAltogether(source({ lag_bytes: 1000 }, { lag_bytes: 500 })).text).toBe('1.5 kB')
  expect(waitingAltogether(source({ lag_records: '9007199254740993' }, { lag_records: 7 })).text).toBe(
    '9,007,199,254,741,000',
  )
})

test('the table that is furthest behind counts, and a moment is nothing', () => {
  expect(behindAltogether(source({ behind_seconds: 3 }, {}, { behind_seconds: 75 }))).toBe(75)
  expect([behind(null), behind(0.4), behind(75)]).toEqual(['–', '0 s', '1 min 15 s'])
})

test('the newest commit is told', () => {
  expect(
    lastCommit(source({ last_commit_at: '2026-01-01T00:00:00Z' }, { last_commit_at: '2026-01-02T00:00:00Z' }, {})),
  ).toBe('2026-01-02T00:00:00Z')
  expect(lastCommit(source({}))).toBe(null)
})

test('the picture shows what the source tells', () => {
  const point = { at: '', rows_per_second: 0, lag_records: null, lag_bytes: null, behind_seconds: 3 }
  expect(waitingPicture([point])).toBe('seconds')
  expect(waitingPicture([point, { ...point, lag_bytes: 3 }])).toBe('bytes')
  expect(waitingPicture([{ ...point, lag_records: 0, lag_bytes: 3 }])).toBe('records')
})
