// One colour for one name on a whole page: `paid` is the same orange in every tile that shows it.

/** The name under which small slices are added up: it has a colour of its own, and never takes one from a name. */
export const OTHERS = 'Others'

/**
 * Colours by name, in the order of the page's tiles and of the names in them, so that a page looks alike each time it is
 * opened, whichever answer comes first. Once the page is settled a name keeps its colour, and new names come last.
 */
export class SeriesColours {
  #slots = $state.raw<ReadonlyMap<string, number>>(new Map())
  #noted = new Map<number, readonly string[]>()
  #isSettled = false

  /** Tells the names the tile at a place of the page shows. */
  note(place: number, names: readonly string[]): void {
    const own = names.filter((name) => name !== OTHERS)
    if (own.every((name) => this.#slots.has(name)) && this.#isSettled) return
    this.#noted.set(place, own)
    const before = this.#isSettled ? [...this.#slots.keys()] : []
    const inOrder = [...this.#noted].sort(([a], [b]) => a - b).flatMap(([, list]) => list)
    this.#slots = new Map([...new Set([...before, ...inOrder])].map((name, slot) => [name, slot]))
  }

  /** Every tile has told its names once. */
  settle(): void {
    this.#isSettled = true
  }

  /** Null stands for the colour of the rest. */
  colourOf(name: string, marks: readonly string[]): string | null {
    const slot = this.#slots.get(name)
    return slot === undefined ? null : (marks[slot % marks.length] ?? null)
  }
}
