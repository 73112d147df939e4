import { expect, test } from 'vitest'
import { pieces } from './highlight'

test.each([
  "select 'it''s' as a, 1.5 -- remark\nfrom {{ ref('x') }} where a-b / 2 > 0",
  '/* open',
  "unclosed 'text",
  'ünïcode ß { } - /',
  '',
])('no character of %j is lost', (sql) => {
  expect(
    pieces(sql)
      .map(({ text }) => text)
      .join(''),
  ).toBe(sql)
})

test('words, texts, numbers, remarks and Jinja are told apart', () => {
  const kinds = pieces("SELECT 1, 'a' -- b\n{{ ref('c') }} d").map(({ kind, text }) => `${kind}:${text.trim()}`)
  expect(kinds).toEqual([
    'word:SELECT',
    'plain:',
    'number:1',
    'plain:,',
    "text:'a'",
    'plain:',
    'remark:-- b',
    'plain:',
    "jinja:{{ ref('c') }}",
    'plain:d',
  ])
})
