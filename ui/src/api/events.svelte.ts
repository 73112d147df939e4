// The server's events, over one connection for the whole page.

import type { Event } from '../wire'

export type Connection = 'connecting' | 'live' | 'lost'

/** What listeners hear: the server's events, and `reload` when some may have been missed. */
export type Listener = (event: Event) => void

const NAMES: readonly Event['event'][] = ['hello', 'table', 'run', 'step', 'ingest', 'reload']
const FIRST_WAIT = 1_000
const LONGEST_WAIT = 30_000

class Events {
  connection = $state<Connection>('connecting')
  #listeners = new Set<Listener>()
  #source: EventSource | null = null
  #boot: string | null = null
  #wasLost = false
  #wait = FIRST_WAIT
  #timer: ReturnType<typeof setTimeout> | undefined

  /** Opens the connection with the first listener and closes it with the last. */
  listen(listener: Listener): () => void {
    this.#listeners.add(listener)
    if (!this.#source) this.#open()
    return () => {
      this.#listeners.delete(listener)
      if (this.#listeners.size === 0) this.#close()
    }
  }

  #open(): void {
    clearTimeout(this.#timer)
    const source = new EventSource('/api/events')
    this.#source = source
    for (const name of NAMES) {
      source.addEventListener(name, (message) =>
        this.#hear(JSON.parse((message as MessageEvent<string>).data) as Event),
      )
    }
    source.onerror = () => this.#lose(source)
  }

  #hear(event: Event): void {
    this.connection = 'live'
    this.#wait = FIRST_WAIT
    if (event.event === 'reload') return this.#reconnect()
    if (event.event !== 'hello') return this.#tell(event)
    const isAnew = this.#wasLost || (this.#boot !== null && this.#boot !== event.boot)
    this.#boot = event.boot
    this.#wasLost = false
    if (isAnew) this.#tell({ event: 'reload' })
  }

  /** The browser connects again by itself after a broken line, but not after a refusal. */
  #lose(source: EventSource): void {
    this.connection = 'lost'
    this.#wasLost = true
    if (source.readyState !== EventSource.CLOSED) return
    this.#timer = setTimeout(() => this.#listeners.size > 0 && this.#open(), this.#wait)
    this.#wait = Math.min(this.#wait * 2, LONGEST_WAIT)
  }

  #reconnect(): void {
    this.#source?.close()
    this.#wasLost = true
    this.#open()
  }

  #close(): void {
    clearTimeout(this.#timer)
    this.#source?.close()
    this.#source = null
    this.connection = 'connecting'
  }

  #tell(event: Event): void {
    for (const listener of this.#listeners) listener(event)
  }
}

export const events = new Events()
