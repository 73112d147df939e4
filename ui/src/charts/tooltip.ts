// Tooltips as elements: names and figures come from data, and data is text.

export interface TooltipRow {
  readonly name: string
  readonly value: string
  readonly colour?: string | null
}

export function tooltip(title: string, rows: readonly TooltipRow[]): HTMLElement {
  const box = element('div', 'chart-tooltip-content')
  if (title) box.append(element('div', 'tooltip-title', title))
  for (const row of rows) box.append(line(row))
  return box
}

function line({ name, value, colour }: TooltipRow): HTMLElement {
  const row = element('div', 'tooltip-row')
  if (colour) {
    const swatch = element('span', 'tooltip-swatch')
    swatch.style.background = colour
    row.append(swatch)
  }
  row.append(element('span', 'tooltip-name', name), element('span', 'tooltip-value', value))
  return row
}

function element(tag: string, className: string, text = ''): HTMLElement {
  const made = document.createElement(tag)
  made.className = className
  made.textContent = text
  return made
}
