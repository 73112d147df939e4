// What a dashboard page knows: its definition, the choices of its viewer, and the answer of each tile.

import * as api from '../../api/endpoints'
import { isAbort, refusalOf, type Refusal } from '../../api/request'
import { SeriesColours } from '../../charts/colours.svelte'
import { colouredNames } from '../../charts/names'
import { afterPaint } from '../../frames'
import type { Dashboard, Event, Filter, Json, Tile, TileAnswer } from '../../wire'
import { held, readChoices, requestOf, toggled, writeChoices, type Choices } from './choices'

/** Events of one build come close together; a tile that reads several of its tables is asked once. */
const SETTLE = 150

/** One tile's answer. A newer answer takes the place of an older one at once: the tile is never blank in between. */
export class TileState {
  answer = $state.raw<TileAnswer | null>(null)
  error = $state.raw<Refusal | null>(null)
  busy = $state(false)
  /** A table it reads changed since it was asked. */
  outdated = $state(false)
  /** What the shown answer was asked with. */
  asked: string | null = null
  #abort: AbortController | null = null
  #underWay: string | null = null
  #again = false

  /** A new question takes the place of one under way; the same question again waits for its answer first. */
  async ask(dashboard: string, tile: Tile, choices: Choices, note: (answer: TileAnswer) => void): Promise<void> {
    const filters = requestOf(tile, choices)
    const question = JSON.stringify(filters)
    this.asked = question
    if (this.busy && this.#underWay === question) {
      this.#again = true
      return
    }
    this.#underWay = question
    this.#again = false
    await this.#send(dashboard, tile.name, filters, note)
    if (this.#again && this.#underWay === question) await this.ask(dashboard, tile, choices, note)
  }

  async #send(
    dashboard: string,
    tile: string,
    filters: Record<string, Json>,
    note: (answer: TileAnswer) => void,
  ): Promise<void> {
    this.#abort?.abort()
    const abort = new AbortController()
    this.#abort = abort
    this.busy = true
    try {
      const answer = await api.tile(dashboard, tile, { filters }, abort.signal)
      if (abort.signal.aborted) return
      note(answer)
      this.answer = answer
      this.error = null
    } catch (error) {
      if (abort.signal.aborted || isAbort(error)) return
      this.error = refusalOf(error)
    }
    this.busy = false
  }

  stop(): void {
    this.#abort?.abort()
  }
}

export class Board {
  readonly definition: Dashboard
  readonly colours = new SeriesColours()
  readonly tiles: ReadonlyMap<string, TileState>
  choices = $state.raw<Choices>({})
  tab = $state<string | null>(null)
  /** Something was chosen, and the tiles it concerns are about to be asked. */
  choosing = $state(false)
  /** Tiles stay as they are until the viewer lets them go on. */
  paused = $state(false)
  readonly shown = $derived.by(() => this.definition.tiles.filter((tile) => this.tab === null || tile.tab === this.tab))
  #navigate: (query: URLSearchParams) => void
  #only: string | null
  #due = new Set<string>()
  #wasRead = false
  #stopped = false
  #timer: ReturnType<typeof setTimeout> | undefined

  /** `only` is the one tile an embedding page shows. */
  constructor(definition: Dashboard, navigate: (query: URLSearchParams) => void, only: string | null = null) {
    this.definition = definition
    this.tiles = new Map(definition.tiles.map((tile) => [tile.name, new TileState()]))
    this.#navigate = navigate
    this.#only = only
  }

  /** Takes over what the address says, and asks the tiles whose question changed: after the choice itself is seen. */
  read(query: URLSearchParams): void {
    this.choices = readChoices(this.definition.filters, query)
    const tab = query.get('tab')
    const known = this.definition.tabs.find(({ name }) => name === tab) ?? this.definition.tabs[0]
    this.tab = known?.name ?? null
    this.choosing = this.#wasRead
    if (this.#wasRead) afterPaint(() => this.#askChanged())
    else this.#askChanged()
    this.#wasRead = true
  }

  choose(choices: Choices, query: URLSearchParams): void {
    this.#navigate(writeChoices(this.definition.filters, choices, query))
  }

  reset(query: URLSearchParams): void {
    this.choose({}, query)
  }

  /** Refreshes the tiles an event concerns. Hidden ones are asked when they are shown. */
  hear(event: Event): void {
    if (event.event === 'reload') {
      for (const tile of this.definition.tiles) this.#outdate(tile)
    } else if (event.event === 'table') {
      for (const tile of this.definition.tiles) if (tile.tables.includes(event.table)) this.#outdate(tile)
    }
  }

  pause(): void {
    this.paused = true
  }

  resume(): void {
    this.paused = false
    this.#askDue()
  }

  refresh(tile: Tile): void {
    this.#ask(tile)
  }

  filter(name: string | undefined): Filter | undefined {
    return this.definition.filters.find((filter) => filter.name === name)
  }

  /** What a tile's marks choose now; null when nothing. */
  chosenIn(tile: Tile): ReadonlySet<string> | null {
    return tile.select ? held(this.filter(tile.select.filter), this.choices) : null
  }

  toggle(tile: Tile, value: string, query: URLSearchParams): void {
    const filter = this.filter(tile.select?.filter)
    if (filter) this.choose(toggled(filter, this.choices, value), query)
  }

  state(tile: Tile): TileState {
    const state = this.tiles.get(tile.name)
    if (!state) throw new Error(`there is no tile ${tile.name}`)
    return state
  }

  stop(): void {
    this.#stopped = true
    clearTimeout(this.#timer)
    for (const state of this.tiles.values()) state.stop()
  }

  #visible(): Tile[] {
    return this.#only === null ? this.shown : this.definition.tiles.filter(({ name }) => name === this.#only)
  }

  #askChanged(): void {
    if (this.#stopped) return
    this.choosing = false
    for (const tile of this.#visible()) {
      if (this.state(tile).asked !== JSON.stringify(requestOf(tile, this.choices))) this.#ask(tile)
    }
  }

  #outdate(tile: Tile): void {
    if (tile.kind === 'text') return
    const state = this.state(tile)
    state.asked = null
    state.outdated = true
    this.#due.add(tile.name)
    if (this.paused) return
    this.#timer ??= setTimeout(() => this.#askDue(), SETTLE)
  }

  #askDue(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    if (this.paused) return
    for (const due of this.#visible()) if (this.#due.has(due.name)) this.#ask(due)
  }

  #ask(tile: Tile): void {
    this.#due.delete(tile.name)
    this.state(tile).outdated = false
    if (tile.kind === 'text') return
    void this.state(tile).ask(this.definition.name, tile, this.choices, (answer) => this.#note(tile, answer))
  }

  #note(tile: Tile, answer: TileAnswer): void {
    this.colours.note(this.definition.tiles.indexOf(tile), colouredNames(tile, answer))
    const waiting = this.#visible().some((one) => one.kind !== 'text' && !this.state(one).answer && one !== tile)
    if (!waiting) this.colours.settle()
  }
}
