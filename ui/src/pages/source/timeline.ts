// The geometry of a picture of the last hour: a line over time, with gaps where nothing is known.

export interface TimedValue {
  /** Milliseconds since 1970. */
  readonly at: number
  readonly value: number | null
}

export interface Span {
  readonly from: number
  readonly to: number
}

/** Two samples further apart have a gap between them: the process did not run. */
const LONGEST_STEP = 45_000

/** The least round figure that is not below `most`: 1, 2, 2.5 or 5 times a power of ten. */
export function roundTop(most: number): number {
  if (!(most > 0)) return 1
  const power = 10 ** Math.floor(Math.log10(most))
  const step = [1, 2, 2.5, 5, 10].find((factor) => most <= factor * power * (1 + 1e-9)) ?? 10
  return step * power
}

/** Stretches of values without a gap. */
export function stretches(values: readonly TimedValue[]): { at: number; value: number }[][] {
  const found: { at: number; value: number }[][] = []
  let last: number | null = null
  for (const { at, value } of values) {
    if (value === null) {
      last = null
      continue
    }
    const goesOn = last !== null && at - last <= LONGEST_STEP
    if (goesOn) found.at(-1)!.push({ at, value })
    else found.push([{ at, value }])
    last = at
  }
  return found
}

/** Quarters of an hour within a span. */
export function quarters({ from, to }: Span): number[] {
  const quarter = 15 * 60_000
  const found = []
  for (let at = Math.ceil(from / quarter) * quarter; at <= to; at += quarter) found.push(at)
  return found
}

/** The place of the value nearest to a moment; -1 when there is none. */
export function nearest(values: readonly TimedValue[], moment: number): number {
  let best = -1
  values.forEach(({ at, value }, place) => {
    if (value === null) return
    if (best < 0 || Math.abs(at - moment) < Math.abs(values[best]!.at - moment)) best = place
  })
  return best
}

export interface Frame {
  readonly width: number
  readonly height: number
  readonly span: Span
  readonly top: number
}

export function xOf({ width, span }: Frame, at: number): number {
  return ((at - span.from) / (span.to - span.from)) * width
}

export function yOf({ height, top }: Frame, value: number): number {
  return height - (Math.min(value, top) / top) * height
}

/** SVG paths of a line and of the area below it. */
export function paths(values: readonly TimedValue[], frame: Frame): { line: string; area: string } {
  const parts = stretches(values.filter(({ at }) => at >= frame.span.from)).map((stretch) =>
    stretch.map(({ at, value }) => `${xOf(frame, at).toFixed(1)} ${yOf(frame, value).toFixed(1)}`),
  )
  const line = parts.map((points) => `M${points.join('L')}`).join('')
  const area = parts
    .filter((points) => points.length > 1)
    .map((points) => {
      const [first, last] = [points[0]!.split(' ')[0], points.at(-1)!.split(' ')[0]]
      return `M${first} ${frame.height}L${points.join('L')}L${last} ${frame.height}Z`
    })
    .join('')
  return { line, area }
}
