// SQL in pieces of one colour each. A reader's aid, no parser: what it does not know stays plain.

export interface Piece {
  readonly kind: 'plain' | 'word' | 'text' | 'number' | 'remark' | 'jinja'
  readonly text: string
}

const WORDS = new Set(
  (
    'select from where group by order having limit offset with as join inner left right full outer cross on using and or ' +
    'not in is null case when then else end distinct union all except intersect between like exists over partition rows ' +
    'range cast interval date timestamp true false asc desc nulls first last lateral filter values insert update delete ' +
    'create table view'
  ).split(' '),
)
const PIECE =
  /(--[^\n]*|\/\*[\s\S]*?\*\/)|(\{\{[\s\S]*?\}\}|\{%[\s\S]*?%\}|\{#[\s\S]*?#\})|('(?:[^']|'')*')|(\b\d+(?:\.\d+)?\b)|([A-Za-z_]\w*)|([^A-Za-z_\d'{\-/]+|[-/{'])/g

export function pieces(sql: string): Piece[] {
  const found: Piece[] = []
  for (const [text, remark, jinja, quoted, number, word] of sql.matchAll(PIECE)) {
    const kind = remark
      ? 'remark'
      : jinja
        ? 'jinja'
        : quoted
          ? 'text'
          : number
            ? 'number'
            : word && WORDS.has(word.toLowerCase())
              ? 'word'
              : 'plain'
    const last = found.at(-1)
    if (last?.kind === kind) found[found.length - 1] = { kind, text: last.text + text }
    else found.push({ kind, text })
  }
  return found
}
