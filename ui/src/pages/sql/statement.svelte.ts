// One statement under way: running, cancelling, what came of it, and what ran before.

import * as api from '../../api/endpoints'
import { isAbort, Refusal, refusalOf } from '../../api/request'
import { saveBlob } from '../../parts/save'
import type { SqlAnswer, SqlPlan } from '../../wire'

/** Rows a page can show; files have all. */
const LIMIT = 10_000
const KEPT = 50
const KEY = 'headwater.statements'

export type FileFormat = 'csv' | 'parquet' | 'arrow'

export interface Past {
  readonly sql: string
  readonly at: string
  readonly seconds: number
  readonly rows: number | null
}

export class Statement {
  running = $state(false)
  answer = $state.raw<SqlAnswer | null>(null)
  plan = $state.raw<SqlPlan | null>(null)
  error = $state.raw<Refusal | null>(null)
  seconds = $state(0)
  history = $state.raw<readonly Past[]>(stored())
  #abort: AbortController | null = null
  #id = ''

  async run(sql: string): Promise<void> {
    await this.#work(async (id, signal) => {
      const answer = await api.sql({ sql, id }, LIMIT, signal)
      this.plan = null
      this.answer = answer.error ? null : answer
      if (answer.error)
        this.error = new Refusal(200, answer.error.message, answer.error.kind, answer.error.detail, answer.error.hint)
    })
    this.#remember(sql)
  }

  async explain(sql: string): Promise<void> {
    await this.#work(async (id, signal) => {
      this.plan = await api.explain({ sql, id }, signal)
      this.answer = null
    })
  }

  async save(sql: string, format: FileFormat): Promise<void> {
    await this.#work(async (id, signal) => {
      const response = await api.sqlFile({ sql, id }, format, signal)
      saveBlob(`query.${format}`, await response.blob())
    })
  }

  async cancel(): Promise<void> {
    const id = this.#id
    this.#abort?.abort()
    // The broken line already ends the statement; this makes sure where a proxy keeps the line open.
    await api.cancelSql(id).catch(() => undefined)
  }

  async #work(action: (id: string, signal: AbortSignal) => Promise<void>): Promise<void> {
    if (this.running) return
    const abort = new AbortController()
    const started = performance.now()
    const timer = setInterval(() => (this.seconds = (performance.now() - started) / 1000), 100)
    this.#abort = abort
    this.#id = name()
    this.running = true
    this.error = null
    this.seconds = 0
    try {
      await action(this.#id, abort.signal)
    } catch (error) {
      this.error = isAbort(error) ? new Refusal(0, 'the statement was cancelled', 'user') : refusalOf(error)
    }
    clearInterval(timer)
    this.seconds = (performance.now() - started) / 1000
    this.running = false
  }

  #remember(sql: string): void {
    const past = { sql, at: new Date().toISOString(), seconds: this.seconds, rows: this.answer?.row_count ?? null }
    this.history = [past, ...this.history.filter((one) => one.sql !== sql)].slice(0, KEPT)
    try {
      localStorage.setItem(KEY, JSON.stringify(this.history))
    } catch {
      // Storage may be full or forbidden; the history then lasts as long as the page.
    }
  }
}

function name(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(12)), (byte) => byte.toString(16).padStart(2, '0')).join('')
}

function stored(): readonly Past[] {
  try {
    const found: unknown = JSON.parse(localStorage.getItem(KEY) ?? '[]')
    return Array.isArray(found) ? found.filter((one): one is Past => typeof one?.sql === 'string') : []
  } catch {
    return []
  }
}
