// The outlines of a ring's slices, clockwise from the top.

export function ring(values: readonly number[], inner: number, outer: number): string[] {
  const whole = values.reduce((total, value) => total + Math.max(value, 0), 0)
  let before = 0
  return values.map((value) => {
    const share = whole > 0 ? Math.max(value, 0) / whole : 0
    const [from, to] = [before, before + share]
    before = to
    return share >= 0.9999 ? circle(inner, outer) : slice(from, to, inner, outer)
  })
}

function slice(from: number, to: number, inner: number, outer: number): string {
  const large = to - from > 0.5 ? 1 : 0
  const back = inner > 0 ? `L${at(to, inner)}A${inner} ${inner} 0 ${large} 0 ${at(from, inner)}` : 'L0 0'
  return `M${at(from, outer)}A${outer} ${outer} 0 ${large} 1 ${at(to, outer)}${back}Z`
}

/** An arc cannot end where it starts: a whole ring is two halves. */
function circle(inner: number, outer: number): string {
  const loop = (radius: number, sweep: number) =>
    radius > 0
      ? `M0 ${-radius}A${radius} ${radius} 0 1 ${sweep} 0 ${radius}A${radius} ${radius} 0 1 ${sweep} 0 ${-radius}Z`
      : ''
  return loop(outer, 1) + loop(inner, 0)
}

function at(share: number, radius: number): string {
  const angle = 2 * Math.PI * share
  return `${(radius * Math.sin(angle)).toFixed(3)} ${(-radius * Math.cos(angle)).toFixed(3)}`
}
