// Sizes of the build, compressed: of each file, and of what the first dashboard needs.

import { readdir, readFile } from 'node:fs/promises'
import { gzipSync } from 'node:zlib'

const folder = new URL('../dist/files/', import.meta.url)
const FIRST = /^(index|Dashboard|echarts|compile|rolldown-runtime|inter)-/

let first = 0
const lines = []
for (const name of (await readdir(folder)).sort()) {
  if (name.endsWith('.gz')) continue
  const content = await readFile(new URL(name, folder))
  const size = name.endsWith('.woff2') ? content.length : gzipSync(content).length
  if (FIRST.test(name)) first += size
  lines.push(`${(size / 1000).toFixed(1).padStart(8)} kB  ${name}`)
}
console.log(lines.join('\n'))
console.log(`\n${(first / 1000).toFixed(1).padStart(8)} kB  the first dashboard, of 300 kB at most`)
