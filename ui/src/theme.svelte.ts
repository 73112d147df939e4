// Light or dark: as the system says until the reader chooses.

export type Choice = 'system' | 'light' | 'dark'

const KEY = 'headwater.theme'
const ORDER: readonly Choice[] = ['system', 'light', 'dark']

class Theme {
  choice = $state<Choice>(stored())
  #systemDark = $state(matchMedia('(prefers-color-scheme: dark)').matches)
  readonly shown = $derived<'light' | 'dark'>(
    this.choice === 'system' ? (this.#systemDark ? 'dark' : 'light') : this.choice,
  )

  constructor() {
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', (event) => {
      this.#systemDark = event.matches
      this.apply()
    })
    this.apply()
  }

  next(): void {
    this.choice = ORDER[(ORDER.indexOf(this.choice) + 1) % ORDER.length] ?? 'system'
    try {
      localStorage.setItem(KEY, this.choice)
    } catch {
      // Storage may be forbidden; the choice then lasts as long as the page.
    }
    this.apply()
  }

  apply(): void {
    document.documentElement.dataset.theme = this.shown
  }
}

function stored(): Choice {
  try {
    const found = localStorage.getItem(KEY) as Choice | null
    return found && ORDER.includes(found) ? found : 'system'
  } catch {
    return 'system'
  }
}

export const theme = new Theme()
