import { expect, test } from 'vitest'
import type { PastCopy, SourceDetail, SourceTable, TableCopy } from '../../wire'
import { copiesOf } from './copies'

const source = (copy: TableCopy | null, known: Partial<SourceDetail> = {}) =>
  ({ is_running: true, paused_at: null, tables: [{ table: 'shop.a', copy }], ...known }) as SourceDetail
const stored = (last_copy: PastCopy | null) => [{ table: 'shop.a', last_copy } as SourceTable]
const BEGUN = '2026-01-01T00:00:00Z'
const ENDED = '2026-01-01T00:00:12Z'
const under = (rows: number | null, of_rows: number | null): TableCopy => ({
  asked_at: null,
  is_under_way: true,
  rows,
  of_rows,
})

function one(...of: Parameters<typeof copiesOf>) {
  const { state, at, share, rows, seconds } = copiesOf(...of)[0]!
  return { state, at, share, rows, seconds }
}

test('a copy is told from the request to its end', () => {
  const asked = source({ asked_at: BEGUN, is_under_way: false, rows: null, of_rows: null })
  expect(one(asked, stored(null))).toMatchObject({ state: 'asked', at: BEGUN })
  const running = stored({ begun_at: BEGUN, ended_at: null, rows: null })
  expect(one(source(under(50, 200)), running)).toMatchObject({ state: 'copying', at: BEGUN, share: 0.25 })
  expect(one(source(under(500, 200)), running)).toMatchObject({ share: 0.99 })
  expect(one(source(under(null, null)), running)).toMatchObject({ share: null })
  const over = stored({ begun_at: BEGUN, ended_at: ENDED, rows: 200 })
  expect(one(source(null), over)).toEqual({ state: 'copied', at: ENDED, share: null, rows: 200, seconds: 12 })
})

test('a copy of a source that is paused or does not run is held', () => {
  const last = stored({ begun_at: BEGUN, ended_at: null, rows: null })
  expect(one(source(under(5, 9), { paused_at: BEGUN }), last).state).toBe('held')
  expect(one(source(under(null, null), { is_running: false }), last).state).toBe('held')
})

test('the end of an earlier copy is not the beginning of this', () => {
  const earlier = stored({ begun_at: BEGUN, ended_at: ENDED, rows: 3 })
  expect(one(source(under(1, 2)), earlier).at).toBe(null)
})

test('a copy that never ended and is not under way was overtaken', () => {
  expect(one(source(null), stored({ begun_at: BEGUN, ended_at: null, rows: null })).state).toBe('overtaken')
})

test('tables that were never copied are left out, and copies under way come first', () => {
  expect(copiesOf(source(null), stored(null))).toEqual([])
  const tables = [
    { table: 'shop.a', copy: null },
    { table: 'shop.b', copy: under(1, 2) },
  ] as SourceDetail['tables']
  const past = stored({ begun_at: BEGUN, ended_at: ENDED, rows: 3 })
  expect(copiesOf(source(null, { tables }), past).map(({ table }) => table)).toEqual(['shop.b', 'shop.a'])
})
