import { describe, expect, test } from 'vitest'
import { compareCells, show, showExact } from './cell'
import { compare, digitsOf, plain, round, sum, write } from './decimal'
import { change, exact, figure, short, unitSuffix, type FigureStyle } from './number'
import { bytes, rate } from './size'
import { addDays, ago, date, duration, instant, shortDate } from './time'

describe('exact numbers', () => {
  test.each([
    ['9223372036854775807', '9,223,372,036,854,775,807'],
    ['-9223372036854775808', '−9,223,372,036,854,775,808'],
    ['99999999999999999999999999999999999.001', '99,999,999,999,999,999,999,999,999,999,999,999.001'],
    ['134.460', '134.460'],
    [1e21, '1,000,000,000,000,000,000,000'],
    [-0, '0'],
    ['-0.00', '0.00'],
    ['NaN', 'NaN'],
  ])('%s is written with every digit', (value, expected) => {
    expect(exact(value)).toBe(expected)
  })

  test.each([
    ['0.005', 2, '0.01'],
    ['9.995', 2, '10.00'],
    ['-2.5', 0, '−3'],
    ['18446744073709551615.5', 0, '18,446,744,073,709,551,616'],
    ['1', 3, '1.000'],
  ])('%s rounded to %i places is %s', (value, places, expected) => {
    expect(write(round(digitsOf(value)!, places))).toBe(expected)
  })

  test('digits beyond a double still order and add up', () => {
    expect(compare(digitsOf('9007199254740993')!, digitsOf('9007199254740992')!)).toBe(1)
    expect(compare(digitsOf('-1.10')!, digitsOf('-1.1')!)).toBe(0)
    expect(plain(sum(['9007199254740993', '0.1', '-0.3', 1])!)).toBe('9007199254740993.8')
    expect(sum(['1', 'NaN'])).toBeNull()
  })
})

describe('figures', () => {
  test.each<[number | string, FigureStyle, string]>([
    [481, { unit: 'users' }, '481'],
    [0.22453222453222457, { unit: 'share' }, '22.5%'],
    [0.0019946380697050937, { unit: 'dollars' }, '$0.0020'],
    ['134.460', { unit: 'dollars' }, '$134.46'],
    ['-134.460', { unit: 'dollars' }, '−$134.46'],
    ['1234567', { format: 'compact' }, '1.2M'],
    [999, { format: 'compact' }, '999'],
    ['12.7', { format: 'integer' }, '13'],
    [0.1 + 0.2, {}, '0.3'],
    ['0.0034', { unit: 'share' }, '0.34%'],
  ])('%s with %o is %s', (value, style, expected) => {
    expect(figure(value, style)).toBe(expected)
  })

  test('axes are short', () => {
    expect([0, 0.25, 1500, 2_000_000].map((value) => short(value))).toEqual(['0', '0.25', '1.5k', '2M'])
    expect(short(0.05, { unit: 'share' })).toBe('5%')
    expect(short(25_000, { unit: 'dollars' })).toBe('$25k')
    expect([0, 0.2, 0.15, 12].map((value) => short(value, { unit: 'dollars' }))).toEqual([
      '$0',
      '$0.20',
      '$0.15',
      '$12',
    ])
  })

  test('a unit is written once', () => {
    expect(unitSuffix({ unit: 'users' })).toBe('users')
    expect(unitSuffix({ unit: 'dollars' })).toBeNull()
    expect(unitSuffix({ unit: 'share' })).toBeNull()
  })

  test('a change is told by per cent, of a share by percentage points', () => {
    expect(change(481, 469)).toMatchObject({ text: '2.6%', direction: 'up' })
    expect(change(0.2245, 0.2153, { unit: 'share' })).toMatchObject({ text: '0.9 pp', direction: 'up' })
    expect(change('5', '0')).toMatchObject({ text: 'from 0', share: null })
    expect(change(3, 3)).toMatchObject({ direction: 'same' })
    expect(change('NaN', 3)).toBeNull()
  })
})

describe('times', () => {
  test('dates and instants name their zone', () => {
    expect(date('2026-11-01')).toBe('1 Nov 2026')
    expect(shortDate('2026-11-01T00:00:00Z')).toBe('1 Nov')
    expect(instant('2026-11-21T11:52:01.253366+01:00')).toBe('21 Nov 2026, 10:52:01 UTC')
    expect(instant(null)).toBe('–')
    expect(date('no date')).toBe('no date')
  })

  test('durations and distances', () => {
    expect([0.0123, 4.25, 61, 7260, 90_000].map(duration)).toEqual([
      '12 ms',
      '4.3 s',
      '1 min 1 s',
      '2 h 1 min',
      '1 d 1 h',
    ])
    const now = Date.parse('2026-11-21T10:00:00Z')
    expect(ago('2026-11-21T09:59:48Z', now)).toBe('12 s ago')
    expect(ago('2026-11-21T10:05:00Z', now)).toBe('in 5 min')
    expect(addDays('2026-02-27', 2)).toBe('2026-03-01')
  })
})

describe('cells', () => {
  test.each([
    ['9007199254740993', 'Int64', '9,007,199,254,740,993'],
    [0.1 + 0.2, 'Float64', '0.3'],
    ['2026-11-21', 'Date32', '21 Nov 2026'],
    ['2026-11-21T10:52:01Z', 'Timestamp(Microsecond, Some("UTC"))', '21 Nov 2026, 10:52:01 UTC'],
    ['2026-11-21T10:52:01', 'Timestamp(Microsecond, None)', '21 Nov 2026, 10:52:01'],
    ['<b>1</b>', 'Utf8View', '<b>1</b>'],
    [null, 'Int64', ''],
    [[1, 2], 'List(Int64)', '[1,2]'],
  ])('%s of %s shows as %s', (cell, type, expected) => {
    expect(show(cell, type)).toBe(expected)
  })

  test('a tooltip keeps what a table shortens', () => {
    expect(showExact(0.22453222453222457, 'Float64')).toBe('0.22453222453222457')
    expect(showExact(null, 'Int64')).toBe('null')
  })

  test('numbers sort by value, missing cells last', () => {
    const sorted = ['10', '9007199254740993', null, '9', '9007199254740992'].sort((a, b) => compareCells(a, b, 'Int64'))
    expect(sorted).toEqual(['9', '10', '9007199254740992', '9007199254740993', null])
  })
})

test('sizes and rates', () => {
  expect([0, 999, 1000, 4_159_874, 384_012_288, '9007199254740993'].map(bytes)).toEqual([
    '0 B',
    '999 B',
    '1.0 kB',
    '4.2 MB',
    '384 MB',
    '9.0 PB',
  ])
  expect(bytes(null)).toBe('–')
  expect([0.25, 1234.4, null].map((value) => rate(value))).toEqual(['0.3 rows/s', '1,234 rows/s', '–'])
})
