// The SQL editor. It lives in a shadow root: there its styles are adopted sheets, which a strict
// Content-Security-Policy allows, while style elements written at run time would need a hole in it.

import {
  autocompletion,
  closeBrackets,
  closeBracketsKeymap,
  completionKeymap,
  type CompletionSource,
} from '@codemirror/autocomplete'
import { defaultKeymap, history, historyKeymap, indentWithTab } from '@codemirror/commands'
import { PostgreSQL, sql, type SQLNamespace } from '@codemirror/lang-sql'
import { bracketMatching, HighlightStyle, syntaxHighlighting } from '@codemirror/language'
import { Compartment, EditorState, Prec } from '@codemirror/state'
import { drawSelection, EditorView, highlightActiveLine, keymap, lineNumbers, placeholder } from '@codemirror/view'
import { tags } from '@lezer/highlight'
import type { Catalog } from '../../wire'

export interface Editor {
  text(): string
  /** The marked words, or everything. */
  chosen(): string
  replace(text: string): void
  know(catalog: Catalog): void
  focus(): void
  close(): void
}

interface Actions {
  readonly change: (text: string) => void
  readonly run: () => void
}

const LOOK = EditorView.theme({
  '&': { height: '100%', color: 'var(--text)', fontSize: '13px' },
  '&.cm-focused': { outline: 'none' },
  '.cm-scroller': { fontFamily: 'var(--mono)', lineHeight: '1.6' },
  '.cm-content': { caretColor: 'var(--text)', padding: '10px 0' },
  '.cm-cursor': { borderLeftColor: 'var(--text)' },
  '.cm-gutters': { border: '0', background: 'transparent', color: 'var(--text-quiet)' },
  '.cm-activeLine': { background: 'color-mix(in srgb, var(--accent) 6%, transparent)' },
  '&.cm-focused .cm-selectionBackground, .cm-selectionBackground, &.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground':
    { background: 'color-mix(in srgb, var(--accent) 26%, transparent)' },
  '.cm-placeholder': { color: 'var(--text-quiet)' },
  '.cm-tooltip': {
    border: '0',
    borderRadius: '6px',
    background: 'var(--raised)',
    color: 'var(--text)',
    boxShadow: 'var(--shadow-raised)',
    overflow: 'hidden',
  },
  '.cm-tooltip.cm-tooltip-autocomplete > ul': { fontFamily: 'var(--mono)', fontSize: '12px', maxHeight: '260px' },
  '.cm-tooltip.cm-tooltip-autocomplete > ul > li': { padding: '3px 10px' },
  '.cm-tooltip-autocomplete ul li[aria-selected]': { background: 'var(--accent)', color: 'var(--on-accent)' },
  '.cm-completionDetail': { color: 'inherit', opacity: '0.75', fontStyle: 'normal' },
})

const COLOURS = HighlightStyle.define([
  { tag: tags.keyword, color: 'var(--accent)', fontWeight: '600' },
  { tag: [tags.string, tags.special(tags.string)], color: 'var(--good)' },
  { tag: [tags.number, tags.bool, tags.null], color: 'var(--busy)' },
  { tag: tags.comment, color: 'var(--text-quiet)', fontStyle: 'italic' },
  { tag: tags.typeName, color: 'var(--warn)' },
])

export function createEditor(host: HTMLElement, text: string, { change, run }: Actions): Editor {
  const root = host.shadowRoot ?? host.attachShadow({ mode: 'open' })
  const language = new Compartment()
  const runKey = { key: 'Mod-Enter', preventDefault: true, run: () => (run(), true) }
  const state = EditorState.create({
    doc: text,
    extensions: [
      Prec.highest(keymap.of([runKey])),
      lineNumbers(),
      history(),
      drawSelection(),
      bracketMatching(),
      closeBrackets(),
      highlightActiveLine(),
      autocompletion({ icons: false }),
      syntaxHighlighting(COLOURS),
      language.of(sql({ dialect: PostgreSQL })),
      placeholder('select * from …'),
      keymap.of([...closeBracketsKeymap, ...completionKeymap, ...historyKeymap, ...defaultKeymap, indentWithTab]),
      EditorView.contentAttributes.of({ 'aria-label': 'SQL statement. Escape, then Tab leaves the editor.' }),
      EditorView.updateListener.of((update) => update.docChanged && change(update.state.doc.toString())),
      LOOK,
    ],
  })
  const view = new EditorView({ state, parent: root, root })
  return {
    text: () => view.state.doc.toString(),
    chosen: () => {
      const { from, to } = view.state.selection.main
      return from === to ? view.state.doc.toString() : view.state.sliceDoc(from, to)
    },
    replace: (next) => view.dispatch({ changes: { from: 0, to: view.state.doc.length, insert: next } }),
    know: (catalog) => view.dispatch({ effects: language.reconfigure(known(catalog)) }),
    focus: () => view.focus(),
    close: () => view.destroy(),
  }
}

function known(catalog: Catalog) {
  const support = sql({ dialect: PostgreSQL, schema: namespace(catalog), defaultSchema: catalog.default_schema })
  return [support, support.language.data.of({ autocomplete: functions(catalog.functions) })]
}

function namespace(catalog: Catalog): SQLNamespace {
  const schemas: Record<string, Record<string, SQLNamespace>> = {}
  for (const table of catalog.tables) {
    const columns = table.columns.map(({ name, data_type }) => ({ label: name, type: 'property', detail: data_type }))
    const self = { label: table.name, type: 'type', detail: table.is_view ? 'view' : 'table' }
    ;(schemas[table.schema] ??= {})[table.name] = { self, children: columns }
  }
  return schemas
}

function functions(names: readonly string[]): CompletionSource {
  const options = names.map((label) => ({ label, type: 'function', detail: 'function', apply: `${label}(`, boost: -1 }))
  return (context) => {
    const word = context.matchBefore(/\w+/)
    return word && word.to - word.from >= 2 ? { from: word.from, options, validFor: /^\w*$/ } : null
  }
}
