// Files made in the browser from rows it already has.

import { textOf, type Cell } from '../format/cell'
import type { Rows } from '../wire'

/** RFC 4180, each cell as the server wrote it: no digit is lost. */
export function toCsv(data: Pick<Rows, 'columns' | 'rows'>): string {
  const lines = [
    data.columns.map(({ name }) => quoted(name)),
    ...data.rows.map((row) => row.map((cell) => quoted(textOf(cell as Cell)))),
  ]
  return lines.map((line) => line.join(',')).join('\r\n') + '\r\n'
}

export function saveText(name: string, type: string, text: string): void {
  saveBlob(name, new Blob([text], { type }))
}

export function saveBlob(name: string, blob: Blob): void {
  const link = document.createElement('a')
  link.href = URL.createObjectURL(blob)
  link.download = name
  link.click()
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000)
}

function quoted(text: string): string {
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}
