import { describe, expect, test } from 'vitest'
import { nearest, paths, quarters, roundTop, stretches } from './timeline'

describe('the top of an axis', () => {
  test.each([
    [0, 1],
    [0.3, 0.5],
    [1, 1],
    [1.2, 2],
    [2.3, 2.5],
    [26, 50],
    [700, 1000],
    [1000, 1000],
  ])('for %s is %s', (most, top) => expect(roundTop(most)).toBeCloseTo(top))
})

test('a line breaks where nothing is known and where the process did not run', () => {
  const values = [
    { at: 0, value: 1 },
    { at: 10_000, value: 2 },
    { at: 20_000, value: null },
    { at: 30_000, value: 3 },
    { at: 200_000, value: 4 },
  ]
  expect(stretches(values).map((stretch) => stretch.map(({ value }) => value))).toEqual([[1, 2], [3], [4]])
})

test('paths fill the frame, and a single value is a point of no area', () => {
  const frame = { width: 100, height: 50, span: { from: 0, to: 10_000 }, top: 10 }
  const values = [
    { at: 0, value: 0 },
    { at: 10_000, value: 10 },
  ]
  expect(paths(values, frame)).toEqual({ line: 'M0.0 50.0L100.0 0.0', area: 'M0.0 50L0.0 50.0L100.0 0.0L100.0 50Z' })
  expect(paths(values.slice(0, 1), frame).area).toBe('')
})

test('the nearest known value is found', () => {
  const values = [
    { at: 0, value: 1 },
    { at: 10, value: null },
    { at: 20, value: 2 },
  ]
  expect([nearest(values, 9), nearest(values, 11), nearest([], 5)]).toEqual([0, 2, -1])
})

test('quarters of an hour are marked', () => {
  const hour = Date.UTC(2026, 0, 1, 10, 5)
  const marks = quarters({ from: hour, to: hour + 3_600_000 }).map((at) => new Date(at).toISOString().slice(11, 16))
  expect(marks).toEqual(['10:15', '10:30', '10:45', '11:00'])
})
