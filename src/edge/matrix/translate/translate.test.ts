import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from '../../../../test/support/fast-check.ts'
import {
  decodeContent,
  disposition,
  encodeContent,
  type MimiContent,
  messengerCapabilities,
  readText,
  textMessage,
} from '../../../content/index.ts'
import { utf8 } from '../../../crypto/index.ts'
import { fromMatrix, isRefused, matrixCapabilities, replyTargetOf, toMatrix } from './index.ts'

const id = (byte: number) => Uint8Array.of(1, ...new Uint8Array(31).fill(byte))
const salt = new Uint8Array(16)
const message = (content: Omit<MimiContent, 'salt'>): MimiContent => ({ ...content, salt })
const single = (contentType: string, text: string, shownAs: number = disposition.render) =>
  ({ disposition: shownAs, language: '', cardinality: 'single', contentType, content: utf8(text) }) as const
const external = {
  disposition: disposition.attachment,
  language: '',
  cardinality: 'external',
  contentType: 'image/jpeg',
  url: 'https://example.org/x',
  expires: 0,
  size: 1n,
  encAlg: 0,
  key: salt,
  nonce: salt,
  aad: salt,
  hashAlg: 0,
  contentHash: salt,
  description: '',
  filename: '',
} as const
const eventBytes = 45_000
const sent = (content: Omit<MimiContent, 'salt'>, replyTo?: string) =>
  toMatrix(message(content), { replyTo, eventBytes })
const text = (body: string, more: object = {}) => ({
  type: 'm.room.message',
  content: { msgtype: 'm.text', body, ...more },
})
const html = (formatted: string, body = 'x') =>
  text(body, { format: 'org.matrix.custom.html', formatted_body: formatted })

test('text goes to Matrix with its formatting', () => {
  const mentions = { 'm.mentions': {} }
  for (const [content, wanted] of [
    [textMessage({ plain: 'hello\n<b>you</b>' }), { msgtype: 'm.text', body: 'hello\n<b>you</b>', ...mentions }],
    [
      { body: single('text/markdown;variant=GFM-MIMI', '**a** [b](https://e.org)\n<i>') },
      {
        msgtype: 'm.text',
        body: 'a b (https://e.org)\n<i>',
        format: 'org.matrix.custom.html',
        formatted_body: '<p><strong>a</strong> <a href="https://e.org">b</a><br>&lt;i&gt;</p>',
        ...mentions,
      },
    ],
    [
      textMessage({ plain: 'ignored', markdown: 'ignored', html: '<b>x</b><script>y</script>' }),
      {
        msgtype: 'm.text',
        body: 'x',
        format: 'org.matrix.custom.html',
        formatted_body: '<strong>x</strong>',
        ...mentions,
      },
    ],
    [
      textMessage({ plain: 'two\nlines', markdown: 'two\nlines' }),
      { msgtype: 'm.text', body: 'two\nlines', ...mentions },
    ],
  ] as const) {
    assert.deepEqual(sent(content), { event: { type: 'm.room.message', content: wanted }, losses: [] })
  }
})

test('a reply goes to Matrix as a relation, without a quotation', () => {
  const reply = textMessage({ plain: 'yes', inReplyTo: id(7) })
  assert.deepEqual(sent(reply, '$target'), {
    event: {
      type: 'm.room.message',
      content: {
        msgtype: 'm.text',
        body: 'yes',
        'm.mentions': {},
        'm.relates_to': { 'm.in_reply_to': { event_id: '$target' } },
      },
    },
    losses: [],
  })
  const unknown = sent(reply)
  assert.ok('losses' in unknown)
  assert.deepEqual(unknown.losses, ['reply'])
})

test('what Matrix cannot have is refused with a code', () => {
  const nullPart = { disposition: disposition.render, language: '', cardinality: 'null' } as const
  const multi = (semantics: 'singleUnit' | 'processAll', ...parts: MimiContent['body'][]) =>
    ({ disposition: disposition.render, language: '', cardinality: 'multi', semantics, parts }) as const
  for (const [content, code] of [
    [{ ...textMessage({ plain: 'a' }), expires: { relative: true, seconds: 60 } }, 'disappearing'],
    [{ body: nullPart, replaces: id(1) }, 'deletion'],
    [{ body: nullPart }, 'empty'],
    [textMessage({ plain: 'a', replaces: id(1) }), 'edit'],
    [{ body: single('text/plain', '❤', disposition.reaction), inReplyTo: id(1) }, 'reaction'],
    [{ body: external }, 'media'],
    [{ body: { ...external, disposition: disposition.session, contentType: '' } }, 'call'],
    [{ body: single('text/vcard', 'BEGIN:VCARD') }, 'contact'],
    [{ body: single('application/unheard-of', 'x') }, 'unsupported'],
    [{ body: multi('singleUnit', single('text/plain', 'a'), external) }, 'media'],
    [textMessage({ plain: '  \n' }), 'empty'],
    [textMessage({ plain: 'x'.repeat(50_000) }), 'too-large'],
  ] as const) {
    const result = sent(content as Omit<MimiContent, 'salt'>)
    assert.ok(isRefused(result), code)
    assert.equal(result.code, code)
  }
  const part = sent({ body: multi('processAll', single('text/plain', 'a'), external) })
  assert.ok('losses' in part)
  assert.deepEqual(part.losses, ['part'])
})

test('a text that is too long with its formatting goes without it', () => {
  const result = sent(textMessage({ plain: 'x', html: `<i>${'<b>x</b>'.repeat(3_000)}</i>` }))
  assert.ok('losses' in result)
  assert.deepEqual(result.losses, ['formatting'])
  assert.equal(result.event.content.body, 'x'.repeat(3_000))
  assert.equal(result.event.content.formatted_body, undefined)
})

test('a mention goes to Matrix as its text', () => {
  const result = sent(textMessage({ plain: 'x', html: '<p>Hi <a href="mimi://e.org/u/x">@Ana</a> <b>!</b></p>' }))
  assert.ok('losses' in result)
  assert.equal(result.event.content.formatted_body, '<p>Hi @Ana <strong>!</strong></p>')
  assert.deepEqual(result.losses, ['mention'])
})

test('text comes from Matrix with its formatting', () => {
  for (const [event, wanted, losses] of [
    [text('hello *you*'), { plain: 'hello *you*' }, []],
    [html('<p>a <b>b</b></p>'), { plain: 'a b', html: '<p>a <strong>b</strong></p>', markdown: 'a **b**' }, []],
    [html('<p>plain</p>', 'plain'), { plain: 'plain' }, []],
    [
      html('<a href="https://matrix.to/#/@ana:e.org">Ana</a> <b>!</b>'),
      { plain: 'Ana !', html: 'Ana <strong>!</strong>', markdown: 'Ana **!**' },
      ['mention'],
    ],
    [
      html('<img alt="cat" src="mxc://a/b"> <b>x</b>'),
      { plain: 'cat x', html: 'cat <strong>x</strong>', markdown: 'cat **x**' },
      ['formatting'],
    ],
    [{ type: 'm.room.message', content: { msgtype: 'm.emote', body: 'waves' } }, { plain: '* waves' }, ['emote']],
    [{ type: 'm.room.message', content: { msgtype: 'm.notice', body: 'beep' } }, { plain: 'beep' }, ['notice']],
    [
      { type: 'm.room.message', content: { msgtype: 'org.example.new', body: 'fallback' } },
      { plain: 'fallback' },
      ['part'],
    ],
    [text('x', { format: 'org.example', formatted_body: '<b>x</b>' }), { plain: 'x' }, []],
  ] as const) {
    const result = fromMatrix(event, {})
    assert.ok('content' in result, JSON.stringify(event))
    assert.deepEqual(readText(result.content), wanted)
    assert.deepEqual(result.losses, losses)
  }
})

test('a reply comes from Matrix without the quotation that older clients put in front', () => {
  const relation = { 'm.relates_to': { 'm.in_reply_to': { event_id: '$target' } } }
  const old = text('> <@ana:e.org> first\n> second\n\nanswer', {
    ...relation,
    format: 'org.matrix.custom.html',
    formatted_body: '<mx-reply><blockquote>first</blockquote></mx-reply>answer',
  })
  assert.equal(replyTargetOf(old.content), '$target')
  for (const [event, plain] of [
    [old, 'answer'],
    [text('> my own quote\nanswer', relation), '> my own quote\nanswer'],
    [text('answer', relation), 'answer'],
  ] as const) {
    const result = fromMatrix(event, { inReplyTo: id(3) })
    assert.ok('content' in result)
    assert.deepEqual(result.content.inReplyTo, id(3))
    assert.equal(readText(result.content)?.plain, plain)
    assert.deepEqual(result.losses, [])
  }
  const unknown = fromMatrix(text('answer', relation), {})
  assert.ok('content' in unknown)
  assert.deepEqual(unknown.losses, ['reply'])
  const thread = {
    'm.relates_to': {
      rel_type: 'm.thread',
      event_id: '$root',
      is_falling_back: true,
      'm.in_reply_to': { event_id: '$last' },
    },
  }
  assert.equal(replyTargetOf(thread), undefined)
})

test('what the messenger cannot have is refused with a code', () => {
  const of = (type: string, content: object = {}) =>
    fromMatrix({ type, content: content as Record<string, unknown> }, {})
  const relation = (rel_type: string) => text('x', { 'm.relates_to': { rel_type, event_id: '$e' } }).content
  for (const [result, code] of [
    [of('m.room.message', { msgtype: 'm.image', body: 'a.jpg', url: 'mxc://a/b' }), 'media'],
    [of('m.room.message', { msgtype: 'm.location', body: 'here' }), 'location'],
    [of('m.room.message', { msgtype: 'm.key.verification.request', body: 'x' }), 'verification'],
    [of('m.room.message', relation('m.replace')), 'edit'],
    [of('m.room.message', relation('m.annotation')), 'reaction'],
    [of('m.room.message', { msgtype: 'm.text', body: 7 }), 'malformed'],
    [of('m.room.message', { msgtype: 'm.text', body: ' ' }), 'empty'],
    [of('m.room.message', { msgtype: 'm.text', body: 'x'.repeat(70_000) }), 'too-large'],
    [of('m.room.message', { msgtype: 'm.text', body: 'ä'.repeat(8 * 1024 + 1) }), 'too-large'],
    [of('org.example.strange', { body: 'x' }), 'unsupported'],
    [of('__proto__', { body: 'x' }), 'unsupported'],
    [of('org.matrix.msc4075.rtc.notification', { lifetime: 1 }), 'call'],
    [of('m.sticker', { body: 's' }), 'sticker'],
    [of('m.reaction'), 'reaction'],
    [of('m.room.redaction'), 'deletion'],
    [of('org.matrix.msc3381.poll.start'), 'poll'],
    [of('m.call.invite'), 'call'],
  ] as const) {
    assert.ok(isRefused(result), code)
    assert.equal(result.code, code)
  }
  // What apps say to each other about a call or a poll, and what was removed before it came.
  for (const type of ['m.call.candidates', 'm.key.verification.start', 'org.matrix.msc3381.poll.end'])
    assert.deepEqual(of(type, { version: '1' }), { nothing: true })
  for (const type of ['org.example.strange', 'constructor', 'm.room.message'])
    assert.deepEqual(of(type), { nothing: true })
})

test('a text of as many bytes as the room says can be said crosses', () => {
  const { textBytes = 0 } = messengerCapabilities.limits
  for (const body of ['x'.repeat(textBytes), 'ä'.repeat(textBytes / 2)])
    assert.ok('content' in fromMatrix(text(body), {}))
})

test('any JSON as an event gives content that can be sent, a refusal, or nothing', () => {
  const key = fc.oneof(
    fc.constantFrom(
      'msgtype',
      'body',
      'format',
      'formatted_body',
      'm.relates_to',
      'm.in_reply_to',
      'event_id',
      'rel_type',
    ),
    fc.string({ maxLength: 5 }),
  )
  const value = fc.letrec<{ node: unknown }>((tie) => ({
    node: fc.oneof(
      { maxDepth: 3 },
      fc.constantFrom(
        'm.text',
        'm.emote',
        'm.notice',
        'org.matrix.custom.html',
        '<b>x</b>',
        'm.thread',
        '> <@a:b> x\n\ny',
      ),
      fc.string(),
      fc.jsonValue({ maxDepth: 1 }) as fc.Arbitrary<unknown>,
      fc.dictionary(key, tie('node')),
    ),
  })).node
  const type = fc.oneof(fc.constant('m.room.message'), fc.constantFrom('m.reaction', 'm.sticker'), fc.string())
  fc.assert(
    fc.property(type, fc.dictionary(key, value), (type, content) => {
      const result = fromMatrix({ type, content: content as Record<string, unknown> }, {})
      if ('content' in result) {
        const encoded = encodeContent(message(result.content))
        const back = toMatrix(decodeContent(encoded), { eventBytes })
        assert.ok('event' in back || isRefused(back))
      } else assert.ok('nothing' in result || isRefused(result))
    }),
    { numRuns: 2_000 },
  )
})

test('formatted text that came from Matrix goes back as it came', () => {
  for (const formatted of [
    '<p>a <strong>b</strong></p>',
    '<ul><li>x</li><li>y</li></ul>',
    '<pre><code class="language-js">1 &lt; 2\n</code></pre>',
  ]) {
    const result = fromMatrix(html(formatted), {})
    assert.ok('content' in result)
    const back = sent(result.content)
    assert.ok('event' in back)
    assert.equal(back.event.content.formatted_body, formatted)
  }
})

test('the capability document says what the translation does', () => {
  const { features } = matrixCapabilities
  assert.equal(features.text.level, 'full')
  const reaction = sent({ body: single('text/plain', '❤', disposition.reaction), inReplyTo: id(1) })
  assert.deepEqual(reaction, features.reaction)
  const expiring = sent({ ...textMessage({ plain: 'a' }), expires: { relative: false, seconds: 9 } })
  assert.deepEqual(expiring, features.expiry)
})
