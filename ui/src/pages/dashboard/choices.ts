// What a viewer chose, in the form requests take, and how an address holds it. A filter left at its default is not in
// the address, so a link keeps meaning "the last 30 days" tomorrow.

import { date } from '../../format/time'
import type { DatePreset, Filter, Json, Tile } from '../../wire'

export type Choices = Readonly<Record<string, Json>>

/** Names of the address that are not filters'. */
const RESERVED = new Set(['tab', 'embed', 'tile', 'theme'])

export function parameterOf(filter: string): string {
  return RESERVED.has(filter) ? `f.${filter}` : filter
}

export function readChoices(filters: readonly Filter[], query: URLSearchParams): Choices {
  const chosen: Record<string, Json> = {}
  for (const filter of filters) {
    const texts = query.getAll(parameterOf(filter.name))
    if (texts.length > 0) chosen[filter.name] = read(filter, texts)
  }
  return chosen
}

/** The address with the choices, everything else in it kept. */
export function writeChoices(filters: readonly Filter[], choices: Choices, query: URLSearchParams): URLSearchParams {
  const written = new URLSearchParams(query)
  for (const filter of filters) {
    const name = parameterOf(filter.name)
    written.delete(name)
    const value = choices[filter.name]
    if (value === undefined || same(value, filter.default)) continue
    for (const text of write(filter, value)) written.append(name, text)
  }
  return written
}

export function valueOf(filter: Filter, choices: Choices): Json {
  return choices[filter.name] ?? filter.default
}

/** What a tile is asked with: only the filters its answer depends on. */
export function requestOf(tile: Tile, choices: Choices): Record<string, Json> {
  const request: Record<string, Json> = {}
  for (const name of tile.filters) {
    const value = choices[name]
    if (value !== undefined) request[name] = value
  }
  return request
}

export function isDefault(filter: Filter, choices: Choices): boolean {
  return same(valueOf(filter, choices), filter.default)
}

/** Puts a mark's value into a filter; a second click on the mark takes it out again. */
export function toggled(filter: Filter, choices: Choices, value: string): Choices {
  const now = valueOf(filter, choices)
  if (filter.kind === 'multi_select') {
    const list = listOf(now)
    const next = list.includes(value) ? list.filter((one) => one !== value) : [...list, value]
    return { ...choices, [filter.name]: next }
  }
  if (filter.kind === 'date_range') {
    const day = `${value.slice(0, 10)}..${value.slice(0, 10)}`
    return { ...choices, [filter.name]: now === day ? filter.default : day }
  }
  if (filter.kind === 'number_range') {
    const point = [Number(value), Number(value)]
    return { ...choices, [filter.name]: same(now, point) ? filter.default : point }
  }
  return { ...choices, [filter.name]: now === value ? '' : value }
}

/** The values a filter holds, when it holds some: marks of other values step back. */
export function held(filter: Filter | undefined, choices: Choices): ReadonlySet<string> | null {
  if (!filter) return null
  const value = valueOf(filter, choices)
  const list = filter.kind === 'multi_select' ? listOf(value) : filter.kind === 'select' && value ? [String(value)] : []
  return list.length > 0 ? new Set(list) : null
}

export function listOf(value: Json): string[] {
  return Array.isArray(value) ? value.map(String) : []
}

export function rangeOf(value: Json): [number | null, number | null] {
  const [low, high] = Array.isArray(value) ? value : []
  const bound = (end: Json | undefined) => (typeof end === 'number' ? end : null)
  return [bound(low), bound(high)]
}

/** The days a date range means. */
export function daysOf(value: Json, presets: readonly DatePreset[]): { start: string; end: string } {
  const preset = presets.find(({ name }) => name === value)
  if (preset) return preset
  const [start = '', end = ''] = String(value ?? '').split('..')
  return { start, end }
}

export function presetTitle(name: string): string {
  const words = name.replaceAll('_', ' ')
  return words.charAt(0).toUpperCase() + words.slice(1)
}

export function describe(filter: Filter, value: Json): string {
  switch (filter.kind) {
    case 'date_range': {
      if (filter.presets.some(({ name }) => name === value)) return presetTitle(String(value))
      const { start, end } = daysOf(value, [])
      return start ? (start === end ? date(start) : `${date(start)} – ${date(end)}`) : 'All time'
    }
    case 'multi_select': {
      const list = listOf(value)
      return list.length === 0 ? 'All' : list.length <= 2 ? list.join(', ') : `${list[0]} + ${list.length - 1}`
    }
    case 'number_range': {
      const [low, high] = rangeOf(value)
      if (low === null && high === null) return 'All'
      if (high === null) return `from ${low}`
      return low === null ? `to ${high}` : `${low} – ${high}`
    }
    default:
      return value ? String(value) : 'All'
  }
}

function read(filter: Filter, texts: string[]): Json {
  const [first = ''] = texts
  if (filter.kind === 'multi_select') return texts.filter((text) => text !== '')
  if (filter.kind !== 'number_range') return first
  const [low = '', high = ''] = first.split('..')
  const bound = (text: string) => (text === '' || !Number.isFinite(Number(text)) ? null : Number(text))
  return [bound(low), bound(high)]
}

function write(filter: Filter, value: Json): string[] {
  if (filter.kind === 'multi_select') return listOf(value).length > 0 ? listOf(value) : ['']
  if (filter.kind !== 'number_range') return [String(value ?? '')]
  const [low, high] = rangeOf(value)
  return [`${low ?? ''}..${high ?? ''}`]
}

function same(a: Json, b: Json): boolean {
  return JSON.stringify(normal(a)) === JSON.stringify(normal(b))
}

/** The order of chosen names says nothing; nothing chosen is written in several ways. */
function normal(value: Json): Json {
  if (!Array.isArray(value)) return value ?? ''
  return value.every((one) => typeof one === 'string') ? [...value].sort() : value
}
