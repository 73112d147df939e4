// Something loaded from the server. While it is loaded again, what was there before stays on the page.

import { isAbort, refusalOf, type Refusal } from './request'

export class Resource<T> {
  data = $state.raw<T | null>(null)
  error = $state.raw<Refusal | null>(null)
  loading = $state(false)
  #abort: AbortController | null = null
  #fetch: (signal: AbortSignal) => Promise<T>

  constructor(fetch: (signal: AbortSignal) => Promise<T>) {
    this.#fetch = fetch
  }

  /** The last call wins: an answer that comes after a newer call is not shown. */
  async load(): Promise<void> {
    this.#abort?.abort()
    const abort = new AbortController()
    this.#abort = abort
    this.loading = true
    try {
      const data = await this.#fetch(abort.signal)
      if (abort.signal.aborted) return
      this.data = data
      this.error = null
    } catch (error) {
      if (abort.signal.aborted || isAbort(error)) return
      this.error = refusalOf(error)
    }
    this.loading = false
  }

  /** Loads now, and again and again while the page is looked at and `wanted` says so. Returns what ends it. */
  keepLoading(every: number, wanted: () => boolean = () => true): () => void {
    void this.load()
    const again = setInterval(() => void (document.hidden || !wanted() || this.load()), every)
    return () => {
      clearInterval(again)
      this.stop()
    }
  }

  stop(): void {
    this.#abort?.abort()
  }
}
