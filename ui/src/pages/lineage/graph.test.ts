import { expect, test } from 'vitest'
import type { Lineage, LineageNode } from '../../wire'
import { BOX, boundsOf, compacted, contains, family, fitted, inView, lines, overlaps, placed, zoomed } from './graph'

function node(id: string, x: number, y: number): LineageNode {
  return {
    id,
    name: id,
    kind: 'model',
    status: 'ok',
    message: null,
    relation: null,
    materialized: null,
    dashboard: null,
    x,
    y,
  }
}

const GRAPH: Lineage = {
  nodes: [node('a', 0, 0), node('b', 1, 0), node('c', 1, 1), node('d', 2, 0), node('e', 5, 5)],
  edges: [
    { from: 'a', to: 'b', via: [] },
    { from: 'a', to: 'c', via: [] },
    { from: 'b', to: 'd', via: [{ x: 1.5, y: 0.5 }] },
  ],
  width: 6,
  height: 6,
}

test('rows nothing is left in close up, and nothing changes its order', () => {
  const graph = { ...GRAPH, nodes: [node('a', 0, 0), node('b', 0, 9.5), node('c', 4, 9.75)], edges: [] }
  expect(compacted(graph).nodes.map(({ x, y }) => [x, y])).toEqual([
    [0, 0],
    [0, 1],
    [1, 1.25],
  ])
})

test('a family is what a node is made from and what is made from it, not its siblings', () => {
  expect([...family('b', GRAPH.edges)].sort()).toEqual(['a', 'b', 'd'])
  expect([...family('a', GRAPH.edges)].sort()).toEqual(['a', 'b', 'c', 'd'])
  expect([...family('e', GRAPH.edges)]).toEqual(['e'])
})

test('a loop does not go on for ever', () => {
  const loop = [
    { from: 'a', to: 'b', via: [] },
    { from: 'b', to: 'a', via: [] },
  ]
  expect([...family('a', loop)].sort()).toEqual(['a', 'b'])
})

test('lines leave at the right and arrive at the left', () => {
  const nodes = new Map(placed(GRAPH).map((one) => [one.id, one]))
  const [first] = lines(GRAPH.edges, nodes)
  expect(first?.path.startsWith(`M${BOX.width} ${BOX.height / 2}C`)).toBe(true)
  expect(lines([{ from: 'a', to: 'gone', via: [] }], nodes)).toEqual([])
})

test('a fitted view holds everything, and the point under the pointer stays', () => {
  const bounds = boundsOf(placed(GRAPH))
  const view = fitted(bounds, 800, 600)
  expect(contains(inView(view, 800, 600, 0), bounds)).toBe(true)
  const closer = zoomed(view, 1.5, 300, 200)
  const under = (one: typeof view) => [(300 - one.x) / one.scale, (200 - one.y) / one.scale].map((at) => at.toFixed(6))
  expect(under(closer)).toEqual(under(view))
  expect(overlaps(inView(closer, 800, 600, 0), bounds)).toBe(true)
})
