// What is drawn of a graph and where. Plain functions of the server's coordinates and the part in view.

import type { Lineage, LineageEdge, LineageKind, LineageNode } from '../../wire'

/** A node's box, and the step from one to the next. */
export const BOX = { width: 176, height: 38 }
export const STEP = { x: 236, y: 54 }

export interface View {
  /** Where the top left of the picture stands on the screen. */
  readonly x: number
  readonly y: number
  readonly scale: number
}

export interface Placed extends LineageNode {
  readonly left: number
  readonly top: number
}

export interface Line {
  readonly from: string
  readonly to: string
  readonly path: string
  readonly bounds: Bounds
}

export interface Bounds {
  readonly left: number
  readonly top: number
  readonly right: number
  readonly bottom: number
}

/** Takes out the rows and columns nothing is left in, for instance when tests are hidden; the order stays. */
export function compacted(graph: Lineage): Lineage {
  const across = closer(graph.nodes.map(({ x }) => x))
  const down = closer(graph.nodes.map(({ y }) => y))
  const moved = <P extends { x: number; y: number }>(point: P): P => ({
    ...point,
    x: across(point.x),
    y: down(point.y),
  })
  const edges = graph.edges.map((edge) => ({ ...edge, via: edge.via.map(moved) }))
  return { ...graph, nodes: graph.nodes.map(moved), edges }
}

/** No two neighbours lie further apart than one step; what lies between two of them keeps its share of the way. */
function closer(places: readonly number[]): (place: number) => number {
  const sorted = [...new Set(places)].sort((a, b) => a - b)
  const moved = sorted.reduce<number[]>((all, place, at) => {
    const gap = at === 0 ? 0 : Math.min(1, place - sorted[at - 1]!)
    return [...all, (all.at(-1) ?? 0) + gap]
  }, [])
  return (place) => {
    const next = sorted.findIndex((one) => one >= place)
    if (next < 0) return moved.at(-1) ?? place
    if (next === 0 || sorted[next] === place) return moved[next]!
    const share = (place - sorted[next - 1]!) / (sorted[next]! - sorted[next - 1]!)
    return moved[next - 1]! + share * (moved[next]! - moved[next - 1]!)
  }
}

export function placed(graph: Lineage): Placed[] {
  return graph.nodes.map((node) => ({ ...node, left: node.x * STEP.x, top: node.y * STEP.y }))
}

/** Curves from the right of one box to the left of another, through the points the layout keeps free. */
export function lines(edges: readonly LineageEdge[], nodes: ReadonlyMap<string, Placed>): Line[] {
  return edges.flatMap((edge) => {
    const [from, to] = [nodes.get(edge.from), nodes.get(edge.to)]
    if (!from || !to) return []
    const via = edge.via.map(({ x, y }) => [x * STEP.x + BOX.width / 2, y * STEP.y + BOX.height / 2] as const)
    const points = [
      [from.left + BOX.width, from.top + BOX.height / 2] as const,
      ...via,
      [to.left, to.top + BOX.height / 2] as const,
    ]
    const [xs, ys] = [points.map(([x]) => x), points.map(([, y]) => y)]
    const bounds = { left: Math.min(...xs), right: Math.max(...xs), top: Math.min(...ys), bottom: Math.max(...ys) }
    return [{ from: edge.from, to: edge.to, path: curve(points), bounds }]
  })
}

function curve(points: readonly (readonly [number, number])[]): string {
  const [first, ...rest] = points
  if (!first) return ''
  let [x, y] = first
  let path = `M${x} ${y}`
  for (const [nextX, nextY] of rest) {
    const middle = (x + nextX) / 2
    path += `C${middle} ${y} ${middle} ${nextY} ${nextX} ${nextY}`
    ;[x, y] = [nextX, nextY]
  }
  return path
}

/** The part of the picture on the screen, wider by `margin` of it on each side so that small moves need nothing new. */
export function inView(view: View, width: number, height: number, margin: number): Bounds {
  const [across, down] = [width / view.scale, height / view.scale]
  const [left, top] = [-view.x / view.scale, -view.y / view.scale]
  return {
    left: left - across * margin,
    top: top - down * margin,
    right: left + across * (1 + margin),
    bottom: top + down * (1 + margin),
  }
}

export function overlaps(a: Bounds, b: Bounds): boolean {
  return a.left <= b.right && a.right >= b.left && a.top <= b.bottom && a.bottom >= b.top
}

export function contains(outer: Bounds, inner: Bounds): boolean {
  return (
    outer.left <= inner.left && outer.right >= inner.right && outer.top <= inner.top && outer.bottom >= inner.bottom
  )
}

export function boxOf({ left, top }: Placed): Bounds {
  return { left, top, right: left + BOX.width, bottom: top + BOX.height }
}

/** The boxes of many nodes as one outline. */
export function boxes(nodes: readonly Placed[]): string {
  return nodes.map(({ left, top }) => `M${left} ${top}h${BOX.width}v${BOX.height}h${-BOX.width}z`).join('')
}

export function boundsOf(nodes: readonly Placed[]): Bounds {
  return nodes.reduce(
    (all, { left, top }) => ({
      left: Math.min(all.left, left),
      top: Math.min(all.top, top),
      right: Math.max(all.right, left + BOX.width),
      bottom: Math.max(all.bottom, top + BOX.height),
    }),
    { left: Infinity, top: Infinity, right: -Infinity, bottom: -Infinity },
  )
}

/** The view that shows all of `bounds`, not larger than life. */
export function fitted(bounds: Bounds, width: number, height: number, most = 1): View {
  const space = 32
  const [across, down] = [bounds.right - bounds.left, bounds.bottom - bounds.top]
  if (!Number.isFinite(across) || width === 0) return { x: space, y: space, scale: 1 }
  const scale = Math.min(most, (width - 2 * space) / across, (height - 2 * space) / down)
  return {
    scale: Math.max(0.04, scale),
    x: (width - across * scale) / 2 - bounds.left * scale,
    y: (height - down * scale) / 2 - bounds.top * scale,
  }
}

/** Zooms so that what lies under a point of the screen stays there. */
export function zoomed(view: View, factor: number, x: number, y: number): View {
  const scale = Math.min(2.5, Math.max(0.04, view.scale * factor))
  const change = scale / view.scale
  return { scale, x: x - (x - view.x) * change, y: y - (y - view.y) * change }
}

/** A node with all it is made from and all that is made from it. */
export function family(id: string, edges: readonly LineageEdge[]): Set<string> {
  const [above, below] = [new Map<string, string[]>(), new Map<string, string[]>()]
  for (const { from, to } of edges) {
    above.set(to, [...(above.get(to) ?? []), from])
    below.set(from, [...(below.get(from) ?? []), to])
  }
  return new Set([...reached(id, above), ...reached(id, below)])
}

function reached(id: string, next: ReadonlyMap<string, readonly string[]>): Set<string> {
  const found = new Set([id])
  for (const one of found) for (const other of next.get(one) ?? []) found.add(other)
  return found
}

export function kindsOf(graph: Lineage): LineageKind[] {
  const order: LineageKind[] = ['source', 'seed', 'model', 'test', 'dashboard', 'tile']
  return order.filter((kind) => graph.nodes.some((node) => node.kind === kind))
}
