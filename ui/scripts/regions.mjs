// Writes src/charts/regions/us-states.ts: outlines of the US states, simplified from us-atlas (ISC licence), which is
// made from public-domain data of the US Census Bureau. Coordinates are those of d3-geo's Albers projection of the
// United States at scale 1300, moved to (487.5, 305), so points can be placed on the same picture.
import { readFile, writeFile } from 'node:fs/promises'
import { feature } from 'topojson-client'
import { presimplify, simplify } from 'topojson-simplify'

const SMALLEST_TRIANGLE = 3
const SMALLEST_RING = 4

const CODES = {
  Alabama: 'AL',
  Alaska: 'AK',
  Arizona: 'AZ',
  Arkansas: 'AR',
  California: 'CA',
  Colorado: 'CO',
  Connecticut: 'CT',
  Delaware: 'DE',
  'District of Columbia': 'DC',
  Florida: 'FL',
  Georgia: 'GA',
  Hawaii: 'HI',
  Idaho: 'ID',
  Illinois: 'IL',
  Indiana: 'IN',
  Iowa: 'IA',
  Kansas: 'KS',
  Kentucky: 'KY',
  Louisiana: 'LA',
  Maine: 'ME',
  Maryland: 'MD',
  Massachusetts: 'MA',
  Michigan: 'MI',
  Minnesota: 'MN',
  Mississippi: 'MS',
  Missouri: 'MO',
  Montana: 'MT',
  Nebraska: 'NE',
  Nevada: 'NV',
  'New Hampshire': 'NH',
  'New Jersey': 'NJ',
  'New Mexico': 'NM',
  'New York': 'NY',
  'North Carolina': 'NC',
  'North Dakota': 'ND',
  Ohio: 'OH',
  Oklahoma: 'OK',
  Oregon: 'OR',
  Pennsylvania: 'PA',
  'Rhode Island': 'RI',
  'South Carolina': 'SC',
  'South Dakota': 'SD',
  Tennessee: 'TN',
  Texas: 'TX',
  Utah: 'UT',
  Vermont: 'VT',
  Virginia: 'VA',
  Washington: 'WA',
  'West Virginia': 'WV',
  Wisconsin: 'WI',
  Wyoming: 'WY',
}

const atlas = JSON.parse(await readFile(new URL('../node_modules/us-atlas/states-albers-10m.json', import.meta.url)))
const states = feature(simplify(presimplify(atlas), SMALLEST_TRIANGLE), 'states').features

function area(ring) {
  return (
    Math.abs(
      ring.reduce((sum, [x, y], i) => {
        const [nextX, nextY] = ring[(i + 1) % ring.length]
        return sum + x * nextY - nextX * y
      }, 0),
    ) / 2
  )
}

function outline(ring) {
  const points = ring.map(([x, y]) => [Math.round(x), Math.round(y)])
  const kept = points.filter(([x, y], i) => i === 0 || x !== points[i - 1][0] || y !== points[i - 1][1])
  const [first, ...rest] = kept
  let [x, y] = first
  let path = `M${x} ${y}l`
  path += rest
    .slice(0, -1)
    .map(([toX, toY]) => {
      const step = `${toX - x} ${toY - y}`
      ;[x, y] = [toX, toY]
      return step
    })
    .join(' ')
  return `${path}z`
}

function path(geometry) {
  const polygons = geometry.type === 'Polygon' ? [geometry.coordinates] : geometry.coordinates
  const rings = polygons
    .flat()
    .filter((ring) => ring.length > 3)
    .sort((a, b) => area(b) - area(a))
  return rings
    .filter((ring, i) => i === 0 || area(ring) > SMALLEST_RING)
    .map(outline)
    .join('')
}

const lines = states
  .filter((state) => CODES[state.properties.name])
  .map((state) => ({ code: CODES[state.properties.name], name: state.properties.name, path: path(state.geometry) }))
  .sort((a, b) => (a.code < b.code ? -1 : 1))
  .map(({ code, name, path }) => `  { code: '${code}', name: '${name}', path: '${path}' },`)

await writeFile(
  new URL('../src/charts/regions/us-states.ts', import.meta.url),
  `// Written by \`npm run regions\`; not edited by hand. Outlines simplified from us-atlas
// (https://github.com/topojson/us-atlas, ISC licence, copyright 2013-2019 Michael Bostock), made from public-domain
// data of the US Census Bureau.

export interface Region {
  readonly code: string
  readonly name: string
  readonly path: string
}

/** The picture the outlines lie in. */
export const US_WIDTH = 975
export const US_HEIGHT = 610

export const US_STATES: readonly Region[] = [
${lines.join('\n')}
]
`,
)
console.log(`${lines.length} states`)
