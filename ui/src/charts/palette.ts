// The colours of a chart, read from the page's tokens so that a chart follows its theme.

export interface Palette {
  readonly marks: readonly string[]
  readonly rest: string
  readonly ramp: readonly [string, string]
  readonly text: string
  readonly quiet: string
  readonly line: string
  readonly surface: string
  readonly hover: string
  readonly font: string
}

const MARKS = 8

export function readPalette(element: Element = document.documentElement): Palette {
  const style = getComputedStyle(element)
  const token = (name: string) => style.getPropertyValue(name).trim()
  return {
    marks: Array.from({ length: MARKS }, (_, index) => token(`--mark-${index + 1}`)),
    rest: token('--mark-rest'),
    ramp: [token('--ramp-0'), token('--ramp-1')],
    text: token('--text'),
    quiet: token('--text-quiet'),
    line: token('--line'),
    surface: token('--surface'),
    hover: token('--hover'),
    font: token('--font'),
  }
}
