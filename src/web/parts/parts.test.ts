import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { initialsOf, shownName } from './names.ts'
import type { Note, Placed } from './notes.ts'
import { rowsOf } from './rows.ts'
import { isEmojiOnly, piecesOf } from './text-pieces.ts'

const at = new Date(2026, 3, 10, 9).getTime()
const minute = 60_000
const note = (seq: number, fields: Partial<Note> = {}): Placed & Note => ({
  seq,
  id: `m${seq}`,
  mine: false,
  text: `text ${seq}`,
  at: at + seq * minute,
  ...fields,
})
const show = (placed: Placed[], more: Partial<Parameters<typeof rowsOf>[0]> = {}) =>
  rowsOf({ placed, waiting: [], marks: new Map(), newAfter: undefined, limit: 100, ...more })

describe('rows of a conversation', () => {
  test('days stand above their messages, and what one person writes in a row is one group', () => {
    const rows = show([note(1), note(2), note(3, { mine: true }), note(4, { at: at + 30 * 3600_000 })])
    assert.deepEqual(
      rows.map((row) =>
        row.row === 'message' ? `${row.key} ${row.first ? 'first' : ''} ${row.last ? 'last' : ''}` : row.row,
      ),
      ['day', 'm1 first ', 'm2  last', 'm3 first last', 'day', 'm4 first last'],
    )
  })

  test('the line above what is new stands once, above the first of others', () => {
    const rows = show([note(1), note(2, { mine: true }), note(3), note(4)], { newAfter: 1 })
    assert.deepEqual(rows.map(({ key }) => key).slice(1), ['m1', 'm2', 'unread', 'm3', 'm4'])
  })

  test('a message of ours goes from waiting to read; a refused one says why', () => {
    const state = (rows: ReturnType<typeof show>) => rows.flatMap((row) => (row.row === 'message' ? [row.state] : []))
    const mine = note(1, { mine: true })
    const { seq: _, ...waiting } = mine
    assert.deepEqual(state(show([], { waiting: [waiting] })), ['waiting'])
    assert.deepEqual(state(show([], { waiting: [{ ...waiting, refused: 'blocked' }] })), ['refused'])
    assert.deepEqual(state(show([mine])), ['sent'])
    assert.deepEqual(state(show([mine], { marks: new Map([['m1', 'read']]) })), ['read'])
    const later = note(2, { mine: true })
    assert.deepEqual(state(show([mine, later], { marks: new Map([['m2', 'read']]) })), ['read', 'read'])
    assert.deepEqual(state(show([mine, later], { marks: new Map([['m2', 'delivered']]) })), ['sent', 'delivered'])
    assert.deepEqual(state(show([note(1)])), [undefined])
  })

  test('a reply shows what it answers, also from before the part that is shown', () => {
    const rows = show([note(1), note(2, { replyTo: 'm1' })], { limit: 1 })
    const last = rows.at(-1)
    assert.equal(last?.row === 'message' && last.answered?.text, 'text 1')
  })
})

describe('text', () => {
  const links = (text: string) => piecesOf(text).flatMap(({ href }) => href ?? [])
  test('http and https are links, and nothing else is', () => {
    assert.deepEqual(links('see https://example.org/a(b), or (http://b.example).'), [
      'https://example.org/a(b)',
      'http://b.example/',
    ])
    for (const text of ['javascript:alert(1)', 'data:text/html,x', 'https://', 'xhttps://a.example', 'ftp://a.example'])
      assert.deepEqual(links(text), [], text)
    assert.equal(
      piecesOf('a https://b.example c')
        .map(({ text }) => text)
        .join(''),
      'a https://b.example c',
    )
  })

  test('what turns text around ends a link', () => {
    assert.deepEqual(links('https://a.example/\u202egnp.exe'), ['https://a.example/'])
  })

  test('a few emoji alone are large', () => {
    for (const text of ['🎉', '👍🏽 👨‍👩‍👧', '🇫🇮🇷🇴']) assert.ok(isEmojiOnly(text), text)
    for (const text of ['', ' ', '1', 'a🎉', '🎉'.repeat(7)]) assert.ok(!isEmojiOnly(text), text)
  })
})

describe('names', () => {
  test('lose what cannot be seen, and are not endless', () => {
    assert.equal(shownName(' Mi\u202ea\u0007 '), 'Mia')
    assert.equal(shownName('\u200b'), undefined)
    assert.equal([...shownName('é'.repeat(500))!].length, 64)
  })
  test('have initials', () => {
    assert.deepEqual(['Anna Virtanen', 'mia', 'Anna Maria von Trapp', '👩‍👧 x'].map(initialsOf), [
      'AV',
      'm',
      'AT',
      '👩‍👧x',
    ])
  })
})
