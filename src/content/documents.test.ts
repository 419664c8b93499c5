import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import fc from '../../test/support/fast-check.ts'
import { toHex, utf8 } from '../crypto/index.ts'
import {
  type ContentDraft,
  ContentError,
  capabilityDocument,
  decodeContent,
  decodeStatusReport,
  disposition,
  encodeContent,
  encodeStatusReport,
  expiryOf,
  features,
  mediaTypes,
  outcomeMessage,
  type Part,
  profileMessage,
  readOutcome,
  readProfile,
  readStatus,
  readText,
  requirePlausibleExpiry,
  singlePart,
  statusMessage,
  textMessage,
} from './index.ts'
import { anyDraft } from './testing/arbitrary.ts'

const vectors = new URL('../../test/vectors/mimi-content/', import.meta.url)
const example = (name: string) => Uint8Array.from(readFileSync(new URL(`${name}.cbor`, vectors)))
const sent = (draft: ContentDraft) => decodeContent(encodeContent({ salt: new Uint8Array(16), ...draft }))
const id = Uint8Array.of(1, ...new Uint8Array(31))
const refusedAs = (code: string) => (error: unknown) => error instanceof ContentError && error.code === code
const multi = (semantics: 'chooseOne' | 'singleUnit' | 'processAll', ...parts: Part[]): ContentDraft => ({
  body: { disposition: disposition.render, language: '', cardinality: 'multi', semantics, parts },
})
const plain = (text: string) => singlePart(mediaTypes.plain, utf8(text))
const html = (text: string) => singlePart(mediaTypes.html, utf8(text))
const image = singlePart('image/png', new Uint8Array(4), disposition.inline)

describe('text', () => {
  test('arrives in every form in which it was written', () => {
    assert.deepEqual(readText(sent(textMessage({ plain: 'hello' }))), { plain: 'hello' })
    const formatted = { plain: 'hello', markdown: '**hello**', html: '<b>hello</b>' }
    assert.deepEqual(readText(sent(textMessage(formatted))), formatted)
    fc.assert(
      fc.property(
        fc.string({ unit: 'grapheme' }),
        (text) => readText(sent(textMessage({ plain: text })))?.plain === text,
      ),
    )
  })

  test('that answers or edits names the other message', () => {
    const { inReplyTo, replaces } = sent(textMessage({ plain: 'x', inReplyTo: id, replaces: id }))
    assert.deepEqual([inReplyTo, replaces], [id, id])
  })

  test('is plain when alone, which every client must be able to read', () => {
    const { body } = textMessage({ plain: 'x' })
    assert.ok(body.cardinality === 'single')
    assert.equal(body.contentType, 'text/plain;charset=utf-8')
  })

  test('of the draft’s examples is read', () => {
    const textOf = (name: string) => readText(decodeContent(example(name)))
    assert.equal(textOf('original')?.markdown, 'Hi everyone, we just shipped release 2.0. __Good  work__!')
    assert.equal(textOf('original')?.plain, textOf('original')?.markdown)
    assert.equal(textOf('mention-html')?.plain, 'Kudos to @Alice Smith for making the release happen!')
    assert.equal(textOf('multipart-1')?.markdown, '# Welcome!')
    assert.match(textOf('multipart-3')?.plain ?? '', /^Welcome!$/)
    for (const name of ['reaction', 'unlike', 'delete', 'attachment', 'conferencing', 'multipart-2']) {
      assert.equal(textOf(name), undefined, name)
    }
  })

  test('of parts: the first of alternatives, all of a sequence, none of a unit that is not understood', () => {
    assert.deepEqual(readText(multi('chooseOne', plain('one'), html('<i>1</i>'), plain('two'))), {
      plain: 'one',
      html: '<i>1</i>',
    })
    assert.deepEqual(readText(multi('processAll', plain('one'), image, html('<i>two</i>'))), { plain: 'one\ntwo' })
    assert.deepEqual(readText(multi('processAll', html('<i>two</i>'), image)), { plain: 'two', html: '<i>two</i>' })
    assert.equal(readText(multi('singleUnit', plain('one'), image)), undefined)
    assert.deepEqual(readText(multi('singleUnit', plain('one'), plain('two'))), { plain: 'one\ntwo' })
    assert.equal(readText(multi('processAll', image, image)), undefined)
  })

  test('in another charset, or not in the one that it claims, is none', () => {
    const of = (type: string, bytes = utf8('x')) => readText({ body: singlePart(type, bytes) })
    assert.deepEqual(of('TEXT/Plain; charset="UTF-8"'), { plain: 'x' })
    assert.deepEqual(of('text/plain'), { plain: 'x' })
    assert.equal(of('text/plain;charset=iso-8859-1'), undefined)
    assert.equal(of('text/plain', Uint8Array.of(0xff)), undefined)
  })

  test('of HTML alone loses tags, keeps lines and is text only', () => {
    const textOf = (markup: string) => readText({ body: html(markup) })?.plain
    assert.equal(textOf('<p>one</p><p>two<br/>three</p>'), 'one\ntwo\nthree')
    assert.equal(textOf('a &lt;b&gt; &amp;lt; &#39;c&#39; &nosuch;'), "a <b> &lt; 'c' &nosuch;")
    assert.equal(textOf('1 < 2'), '1 < 2')
    const long = performance.now()
    textOf('<'.repeat(200_000))
    textOf('<a '.repeat(60_000))
    textOf('&'.repeat(200_000))
    assert.ok(performance.now() - long < 1000)
  })
})

describe('documents in a message', () => {
  test('a status report of the draft comes back byte for byte', () => {
    const bytes = example('status')
    const entries = decodeStatusReport(bytes)
    assert.deepEqual(
      entries.map(({ status }) => status),
      ['read', 'read', 'unread', 'expired'],
    )
    assert.equal(toHex(entries[0]!.messageId).slice(0, 8), '017ce548')
    assert.deepEqual(encodeStatusReport(entries), bytes)
  })

  test('a status report is told from other messages, and keeps statuses that are not known', () => {
    const entries = [
      { messageId: id, status: 'delivered' as const },
      { messageId: id, status: 200 },
    ]
    const report = sent(statusMessage(entries))
    assert.deepEqual(readStatus(report), entries)
    assert.equal(readText(report), undefined)
    assert.equal(readStatus(sent(textMessage({ plain: 'x' }))), undefined)
    assert.throws(() => statusMessage([]), refusedAs('malformed'))
    assert.throws(() => encodeStatusReport([{ messageId: id.with(0, 2), status: 'read' }]), refusedAs('unknown-hash'))
    assert.throws(() => encodeStatusReport([{ messageId: id, status: 256 }]), refusedAs('malformed'))
    assert.throws(() => encodeStatusReport(new Array(2000).fill(entries[0])), refusedAs('too-large'))
  })

  test('a profile says what it holds', () => {
    for (const profile of [{}, { name: 'Ana' }, { name: 'Ben', foreignAddress: '@ben:matrix.example' }]) {
      const message = sent(profileMessage(profile))
      assert.deepEqual(readProfile(message), profile)
      assert.equal(readText(message), undefined)
    }
    assert.throws(() => profileMessage({ name: 'x'.repeat(257) }), refusedAs('malformed'))
  })

  test('an outcome says what became of a message', () => {
    const outcome = { messageId: id, outcome: 'partial' as const, code: 'formatting-simplified' }
    assert.deepEqual(readOutcome(sent(outcomeMessage(outcome))), outcome)
    const withDetail = { ...outcome, detail: 'A table was shown as text.' }
    assert.deepEqual(readOutcome(sent(outcomeMessage(withDetail))), withDetail)
    assert.throws(() => outcomeMessage({ ...outcome, outcome: 'lost' as never }), refusedAs('malformed'))
  })

  test('what claims to be one and is not gives a typed error', () => {
    const readers = [readStatus, readProfile, readOutcome] as const
    const types = [mediaTypes.status, mediaTypes.profile, mediaTypes.outcome]
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), fc.nat(2), (bytes, kind) => {
        const message = { body: singlePart(types[kind]!, bytes) }
        try {
          assert.notEqual(readers[kind]!(message), undefined)
        } catch (error) {
          assert.ok(error instanceof ContentError, String(error))
        }
      }),
    )
  })

  test('reading any message for text and documents ends in a value or a typed error', () => {
    fc.assert(
      fc.property(anyDraft, (draft) => {
        for (const read of [readText, readStatus, readProfile, readOutcome]) {
          try {
            read(draft)
          } catch (error) {
            assert.ok(error instanceof ContentError, String(error))
          }
        }
      }),
    )
  })
})

describe('expiry', () => {
  const now = 1_800_000_000
  const year = 365 * 24 * 3600

  test('counts from the epoch, or from when the message was read', () => {
    assert.equal(expiryOf({}, now), undefined)
    assert.equal(expiryOf({ expires: { relative: false, seconds: now } }, undefined), now)
    assert.equal(expiryOf({ expires: { relative: true, seconds: 60 } }, undefined), undefined)
    assert.equal(expiryOf({ expires: { relative: true, seconds: 60 } }, now), now + 60)
  })

  test('more than a year away is implausible', () => {
    const check = (relative: boolean, seconds: number) => () =>
      requirePlausibleExpiry({ expires: { relative, seconds } }, now)
    requirePlausibleExpiry({}, now)
    check(false, now + year)()
    check(false, now - year)()
    check(true, year)()
    assert.throws(check(false, now + year + 1), refusedAs('implausible'))
    assert.throws(check(false, now - year - 1), refusedAs('implausible'))
    assert.throws(check(true, year + 1), refusedAs('implausible'))
  })
})

test('a capability document speaks of every feature', () => {
  const document = capabilityDocument('matrix', {
    text: { level: 'full' },
    poll: { level: 'dropped', code: 'no-polls' },
  })
  assert.deepEqual(Object.keys(document.features), [...features])
  assert.deepEqual(document.features.text, { level: 'full' })
  assert.deepEqual(document.features['view-once'], { level: 'rejected', code: 'not-supported' })
})
