// What is told of copies of captured tables: by the process that makes them, and by the lake when they are over.

import type { Integer, SourceDetail, SourceTable } from '../../wire'

export interface CopyOfTable {
  readonly table: string
  /** `held`: it is under way, and its source is paused or does not run. `overtaken`: it never ended. */
  readonly state: 'asked' | 'copying' | 'held' | 'copied' | 'overtaken'
  /** When it was asked for, began or ended. */
  readonly at: string | null
  readonly rows: Integer | null
  readonly ofRows: Integer | null
  /** How much of it is done, 0 to 1. */
  readonly share: number | null
  readonly seconds: number | null
}

/** One for each table that is copied, or was; those under way first. */
export function copiesOf(source: SourceDetail, stored: readonly SourceTable[]): CopyOfTable[] {
  const isGoingOn = source.is_running && source.paused_at === null
  const found = source.tables.map(({ table, copy }): CopyOfTable | null => {
    const last = stored.find((one) => one.table === table)?.last_copy ?? null
    const nothing = { table, rows: null, ofRows: null, share: null, seconds: null }
    if (copy?.is_under_way) {
      const { rows, of_rows: ofRows } = copy
      const state = isGoingOn ? 'copying' : 'held'
      const at = last !== null && last.ended_at === null ? last.begun_at : null
      return { ...nothing, state, at, rows, ofRows, share: shareOf(rows, ofRows) }
    }
    if (copy) return { ...nothing, state: 'asked', at: copy.asked_at }
    if (last === null) return null
    if (last.ended_at === null) return { ...nothing, state: 'overtaken', at: last.begun_at }
    return { ...nothing, state: 'copied', at: last.ended_at, rows: last.rows, seconds: secondsOf(last) }
  })
  const isOver = ({ state }: CopyOfTable) => Number(state === 'copied' || state === 'overtaken')
  return found.filter((copy) => copy !== null).sort((a, b) => isOver(a) - isOver(b))
}

/** The number of rows there are is the server's guess: a copy is not through before it says so. */
function shareOf(rows: Integer | null, ofRows: Integer | null): number | null {
  if (rows === null || ofRows === null || Number(ofRows) === 0) return null
  return Math.min(0.99, Number(rows) / Number(ofRows))
}

function secondsOf({ begun_at, ended_at }: { begun_at: string | null; ended_at: string | null }): number | null {
  if (begun_at === null || ended_at === null) return null
  return Math.max(0, (Date.parse(ended_at) - Date.parse(begun_at)) / 1000)
}
