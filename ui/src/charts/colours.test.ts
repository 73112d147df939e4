import { expect, test } from 'vitest'
import { OTHERS, SeriesColours } from './colours.svelte'

const MARKS = ['a', 'b', 'c', 'd']
const seen = (colours: SeriesColours, ...names: string[]) => names.map((name) => colours.colourOf(name, MARKS))

test('colours follow the order of the tiles, not of their answers', () => {
  const late = new SeriesColours()
  late.note(1, ['Rock', OTHERS])
  late.note(0, ['free', 'paid'])
  expect(seen(late, 'free', 'paid', 'Rock', OTHERS)).toEqual(['a', 'b', 'c', null])
})

test('a name keeps its colour once the page has settled', () => {
  const colours = new SeriesColours()
  colours.note(0, ['Rock', 'Pop'])
  colours.settle()
  colours.note(0, ['Jazz', 'Pop'])
  expect(seen(colours, 'Rock', 'Pop', 'Jazz')).toEqual(['a', 'b', 'c'])
})

test('more names than colours share them', () => {
  const colours = new SeriesColours()
  colours.note(0, ['1', '2', '3', '4', '5'])
  expect(seen(colours, '5')).toEqual(['a'])
})
