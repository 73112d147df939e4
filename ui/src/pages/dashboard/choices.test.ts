import { describe as group, expect, test } from 'vitest'
import type { Filter, FilterKind, Json, Tile } from '../../wire'
import { describe, held, isDefault, readChoices, requestOf, toggled, writeChoices } from './choices'

function filter(name: string, kind: FilterKind, standard: Json): Filter {
  return {
    name,
    title: name,
    kind,
    default: standard,
    presets: [{ name: 'last_30_days', start: '2026-10-23', end: '2026-11-21' }],
    options: null,
    options_truncated: false,
    options_error: null,
    min: null,
    max: null,
  }
}

const PERIOD = filter('period', 'date_range', 'last_30_days')
const STATES = filter('states', 'multi_select', [])
const LEVEL = filter('level', 'select', '')
const AGE = filter('age', 'number_range', [null, null])
const TAB = filter('tab', 'text', '')
const ALL = [PERIOD, STATES, LEVEL, AGE, TAB]

group('the address', () => {
  test.each<[Record<string, Json>, string]>([
    [{}, ''],
    [{ period: 'last_30_days', states: [], level: '' }, ''],
    [{ period: '2026-01-01..2026-01-31' }, 'period=2026-01-01..2026-01-31'],
    [{ states: ['TX', 'CA'] }, 'states=TX&states=CA'],
    [{ level: 'a&b=<i>' }, 'level=a%26b%3D%3Ci%3E'],
    [{ age: [18, null] }, 'age=18..'],
    [{ age: [0, 1.5] }, 'age=0..1.5'],
    [{ tab: 'x' }, 'f.tab=x'],
  ])('%o is written as "%s" and read back', (choices, expected) => {
    const written = writeChoices(ALL, choices, new URLSearchParams())
    expect(written.toString()).toBe(expected)
    const kept = Object.fromEntries(
      Object.entries(choices).filter(
        ([name]) =>
          !isDefault(
            ALL.find((one) => one.name === name)!,
            choices,
          ),
      ),
    )
    expect(readChoices(ALL, written)).toEqual(kept)
  })

  test('what is no filter stays in the address', () => {
    const written = writeChoices(ALL, { level: 'paid' }, new URLSearchParams('tab=money&embed='))
    expect(written.get('tab')).toBe('money')
    expect(written.has('embed')).toBe(true)
  })

  test('nothing chosen differs from a default that chooses something', () => {
    const some = filter('states', 'multi_select', ['CA'])
    const written = writeChoices([some], { states: [] }, new URLSearchParams())
    expect(written.toString()).toBe('states=')
    expect(readChoices([some], written)).toEqual({ states: [] })
  })
})

group('choosing', () => {
  test('a second click on a mark takes its value out', () => {
    const once = toggled(STATES, {}, 'CA')
    expect(once).toEqual({ states: ['CA'] })
    expect(toggled(STATES, once, 'CA')).toEqual({ states: [] })
    expect(toggled(LEVEL, toggled(LEVEL, {}, 'paid'), 'paid')).toEqual({ level: '' })
    expect(toggled(PERIOD, {}, '2026-11-01')).toEqual({ period: '2026-11-01..2026-11-01' })
    expect(toggled(PERIOD, { period: '2026-11-01..2026-11-01' }, '2026-11-01')).toEqual({ period: 'last_30_days' })
  })

  test('only filters with something chosen make marks step back', () => {
    expect(held(STATES, {})).toBeNull()
    expect(held(STATES, { states: ['CA'] })).toEqual(new Set(['CA']))
    expect(held(LEVEL, { level: 'paid' })).toEqual(new Set(['paid']))
    expect(held(undefined, {})).toBeNull()
  })

  test('a tile is asked with its own filters only', () => {
    const tile = { filters: ['period'] } as Tile
    expect(requestOf(tile, { period: 'last_7_days', states: ['CA'] })).toEqual({ period: 'last_7_days' })
    expect(requestOf(tile, { states: ['CA'] })).toEqual({})
  })

  test('choices are told in words', () => {
    expect(describe(PERIOD, 'last_30_days')).toBe('Last 30 days')
    expect(describe(PERIOD, '2026-01-01..2026-01-31')).toBe('1 Jan 2026 – 31 Jan 2026')
    expect(describe(STATES, [])).toBe('All')
    expect(describe(STATES, ['CA', 'NY', 'TX'])).toBe('CA + 2')
    expect(describe(AGE, [18, null])).toBe('from 18')
  })
})
