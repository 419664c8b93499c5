import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import fc from '../../test/support/fast-check.ts'
import { encodeCbor, rawArray, rawMap } from '../cbor/index.ts'
import { concatBytes, toHex, utf8 } from '../crypto/index.ts'
import { nodeCrypto } from '../crypto/node.ts'
import { webCrypto } from '../crypto/web.ts'
import {
  ContentError,
  contentLimits,
  decodeContent,
  decodeDerivedValues,
  disposition,
  encodeContent,
  encodeDerivedValues,
  type MimiContent,
  messageId,
  type Part,
} from './index.ts'
import { anyContent, anyDraft } from './testing/arbitrary.ts'

const vectors = new URL('../../test/vectors/mimi-content/', import.meta.url)
const read = (name: string) => Uint8Array.from(readFileSync(new URL(name, vectors)))
const hex = (text: string) => Uint8Array.from(Buffer.from(text, 'hex'))

const examples = readdirSync(vectors)
  .filter((name) => name.endsWith('.cbor') && !/^(implied|status)/.test(name))
  .map((name) => name.slice(0, -'.cbor'.length))

const salt = new Uint8Array(16)
const plain: Part = {
  disposition: 1,
  language: '',
  cardinality: 'single',
  contentType: 'text/plain',
  content: utf8('hello'),
}
const codeOf = (run: () => unknown): string => {
  try {
    run()
    return 'accepted'
  } catch (error) {
    assert.ok(error instanceof ContentError, String(error))
    return error.code
  }
}
const encode = (content: Partial<MimiContent>) => encodeContent({ salt, body: plain, ...content })
const nested = (levels: number): Part =>
  levels === 1
    ? plain
    : {
        disposition: 1,
        language: '',
        cardinality: 'multi',
        semantics: 'processAll',
        parts: [nested(levels - 1), plain],
      }

describe('the examples of the draft', () => {
  assert.equal(examples.length, 14)
  for (const name of examples) {
    test(`${name} comes back byte for byte, with the id that the draft states`, () => {
      const encoded = read(`${name}.cbor`)
      const content = decodeContent(encoded)
      assert.deepEqual(encodeContent(content), encoded)
      const { sender = '', room = '', salt } = content
      const [, stated = ''] =
        /message ID = h'([^']*)'/.exec(readFileSync(new URL(`${name}.edn`, vectors), 'utf8')) ?? []
      for (const crypto of [nodeCrypto, webCrypto]) {
        const id = messageId(crypto, { sender, room, encoded, salt })
        assert.equal(toHex(id), stated.replace(/[\s#]/g, ''))
      }
    })
  }

  test('mean what they say', () => {
    const { replaces, inReplyTo, body } = decodeContent(read('unlike.cbor'))
    assert.equal(toHex(replaces!), '0158c4288911e50a8f6be3f47746b6682f10fd91bc8c05557aa589a3157aff68')
    assert.equal(toHex(inReplyTo!), '017ce54837404c3696e0c747b985cb172716d0ed0a3d249ca63ace7d82a096f4')
    assert.deepEqual(body, { disposition: disposition.reaction, language: '', cardinality: 'null' })
    const attachment = decodeContent(read('attachment.cbor')).body
    assert.ok(attachment.cardinality === 'external')
    assert.equal(attachment.size, 708234961n)
    assert.equal(attachment.filename, 'bigfile.mp4')
    assert.deepEqual(decodeContent(read('expiring.cbor')).expires, { relative: false, seconds: 1644390004 })
  })

  test('values that a receiver derives come back byte for byte too', () => {
    const encoded = read('implied-original.cbor')
    const values = decodeDerivedValues(encoded)
    assert.equal(values.hubAcceptedTimestamp, 1644387225019n)
    assert.equal(values.roomUrl, 'mimi://example.com/r/engineering_team')
    assert.deepEqual(encodeDerivedValues(values), encoded)
    const extended = hex('d903e9a10101')
    const again = decodeDerivedValues(encodeDerivedValues({ ...values, hubAcceptedTimestamp: extended }))
    assert.deepEqual(again.hubAcceptedTimestamp, extended)
    const other = { ...values, hubAcceptedTimestamp: hex('d903e801') }
    assert.equal(
      codeOf(() => encodeDerivedValues(other)),
      'malformed',
    )
  })
})

describe('any message', () => {
  test('comes back as it was, and its bytes too', () => {
    fc.assert(
      fc.property(anyContent, (content) => {
        const bytes = encodeContent(content)
        const decoded = decodeContent(bytes)
        assert.deepEqual(decoded, content)
        assert.deepEqual(encodeContent(decoded), bytes)
      }),
      { numRuns: 500 },
    )
  })

  test('has an id that depends on the sender, the room and every byte', () => {
    const encoded = encode({})
    const input = { sender: 'mimi://a.example/u/a', room: 'mimi://a.example/r/b', encoded, salt }
    const id = toHex(messageId(nodeCrypto, input))
    for (const other of [
      { ...input, sender: 'mimi://a.example/u/am' },
      { ...input, room: 'mimi://a.example/r/c' },
      { ...input, encoded: concatBytes(encoded, salt) },
      { ...input, salt: hex('01'.repeat(16)) },
    ]) {
      assert.notEqual(toHex(messageId(nodeCrypto, other)), id)
    }
    // without the lengths, a letter could move from the sender to the room
    const moved = { ...input, sender: `${input.sender}m`, room: input.room.slice(1) }
    assert.notEqual(toHex(messageId(nodeCrypto, moved)), id)
    assert.equal(
      codeOf(() => messageId(nodeCrypto, { ...input, sender: 'x'.repeat(65536) })),
      'malformed',
    )
  })

  test('of any bytes is a value or a typed error', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        codeOf(() => decodeContent(bytes))
        codeOf(() => decodeDerivedValues(bytes))
      }),
    )
  })

  test('with bytes changed on the way is a typed error, or a value with those very bytes', () => {
    const change = fc.tuple(fc.nat(), fc.nat(255))
    fc.assert(
      fc.property(anyDraft, fc.array(change, { minLength: 1, maxLength: 3 }), (draft, changes) => {
        const bytes = encodeContent({ salt, ...draft })
        for (const [at, byte] of changes) bytes[at % bytes.length] = byte
        codeOf(() => assert.deepEqual(encodeContent(decodeContent(bytes)), bytes))
      }),
      { numRuns: 1500 },
    )
  })
})

describe('limits', () => {
  test('parts nest four deep', () => {
    assert.equal(
      codeOf(() => encode({ body: nested(4) })),
      'accepted',
    )
    assert.equal(
      codeOf(() => encode({ body: nested(5) })),
      'too-deep',
    )
  })

  test('a message has 1024 parts at most', () => {
    const parts = (count: number): Part => ({ ...nested(2), parts: new Array(count).fill(plain) }) as Part
    assert.equal(
      codeOf(() => encode({ body: parts(1023) })),
      'accepted',
    )
    assert.equal(
      codeOf(() => encode({ body: parts(1024) })),
      'too-many-items',
    )
  })

  test('a message has so many bytes and no more, and is refused by its length alone', () => {
    const body = (length: number): Part => ({ ...plain, content: new Uint8Array(length) }) as Part
    const overhead = encode({ body: body(100_000) }).length - 100_000
    assert.equal(
      codeOf(() => encode({ body: body(contentLimits.bytes - overhead) })),
      'accepted',
    )
    assert.equal(
      codeOf(() => encode({ body: body(contentLimits.bytes - overhead + 1) })),
      'too-large',
    )
    assert.equal(
      codeOf(() => decodeContent(new Uint8Array(50_000_000))),
      'too-large',
    )
  })

  test('extensions nest four deep, as in the example of the draft', () => {
    const withMap = (map: Uint8Array) =>
      rawArray([salt, null, new Uint8Array(), null, null].map(encodeCbor).concat(map, encodeCbor([1, '', 0])))
    const uri = encodeCbor('mimi://a.example/u/alice')
    const pairs = (value: string) =>
      rawMap([
        { key: encodeCbor(1), value: uri },
        { key: encodeCbor(256), value: hex(value) },
      ])
    const four = '8282421234d82072687474703a2f2f6578616d706c652e636f6d8242345619168b'
    const bytes = withMap(pairs(four))
    const content = decodeContent(bytes)
    assert.equal(content.sender, 'mimi://a.example/u/alice')
    assert.equal(toHex(content.extensions!.get(256)!), four)
    assert.deepEqual(encodeContent(content), bytes)
    assert.equal(
      codeOf(() => decodeContent(withMap(pairs('81818180')))),
      'too-deep',
    )
    assert.equal(
      codeOf(() => decodeContent(withMap(pairs('818180')))),
      'accepted',
    )
  })
})

describe('a message is refused', () => {
  const fields = (change: Record<number, unknown>) => {
    const usual = [salt, null, new Uint8Array(), null, null, new Map(), [1, '', 1, 'text/plain', utf8('x')]]
    for (const [at, value] of Object.entries(change)) usual[Number(at)] = value as never
    return encodeCbor(usual)
  }
  const id = (first: number) => Uint8Array.of(first, ...new Uint8Array(31))

  test('when a field is of another kind or out of its range', () => {
    assert.equal(
      codeOf(() => decodeContent(fields({}))),
      'accepted',
    )
    for (const change of [
      { 0: new Uint8Array(15) },
      { 0: 'a'.repeat(16) },
      { 1: new Uint8Array(31) },
      { 1: '' },
      { 2: null },
      { 2: new Uint8Array(4097) },
      { 3: [true] },
      { 3: [1, 5] },
      { 3: [true, 2 ** 32] },
      { 3: [true, 5, 5] },
      { 4: 0 },
      { 5: null },
      { 5: [] },
      { 5: new Map<unknown, unknown>([[1, 5]]) },
      { 5: new Map<unknown, unknown>([[2, null]]) },
      { 5: new Map<unknown, unknown>([['', 1]]) },
      { 5: new Map<unknown, unknown>([['x'.repeat(256), 1]]) },
      { 5: new Map<unknown, unknown>([[new Uint8Array(1), 1]]) },
      { 6: null },
      { 6: [] },
      { 6: [256, '', 0] },
      { 6: [1, null, 0] },
      { 6: [1, '', 4] },
      { 6: [1, '', 0, 0] },
      { 6: [1, '', 1, 'text/plain'] },
      { 6: [1, '', 1, 'text/plain', 'text'] },
      { 6: [1, '', 1, 5, new Uint8Array()] },
      {
        6: [
          1,
          '',
          3,
          3,
          [
            [1, '', 0],
            [1, '', 0],
          ],
        ],
      },
      { 6: [1, '', 3, 0, [[1, '', 0]]] },
      { 6: [1, '', 3, 0, []] },
      { 6: [1, '', 3, 0] },
      { 6: [1, '', 2, 'video/mp4'] },
    ]) {
      assert.equal(
        codeOf(() => decodeContent(fields(change))),
        'malformed',
        JSON.stringify(change),
      )
    }
    const external: unknown[] = [1, '', 2, 'a/b', 'u', 0, 0, 0, salt, salt, salt, 0, salt, '', '']
    assert.equal(
      codeOf(() => decodeContent(fields({ 6: external }))),
      'accepted',
    )
    for (const [at, value] of [
      [5, 2 ** 32],
      [7, 65536],
      [11, 256],
      [6, -1],
    ] as const) {
      assert.equal(
        codeOf(() => decodeContent(fields({ 6: external.with(at, value) }))),
        'malformed',
      )
    }
    assert.equal(
      codeOf(() => decodeContent(fields({ 6: external.with(6, 2n ** 64n - 1n) }))),
      'accepted',
    )
    assert.equal(
      codeOf(() => decodeContent(encodeCbor([salt]))),
      'malformed',
    )
  })

  test('when it refers to an id of an unknown hash function', () => {
    assert.equal(
      codeOf(() => decodeContent(fields({ 1: id(1), 4: id(1) }))),
      'accepted',
    )
    assert.equal(
      codeOf(() => decodeContent(fields({ 1: id(2) }))),
      'unknown-hash',
    )
    assert.equal(
      codeOf(() => decodeContent(fields({ 4: id(0) }))),
      'unknown-hash',
    )
  })

  test('when it is in another encoding, the same or not', () => {
    const bytes = read('original.cbor')
    assert.equal(
      codeOf(() => decodeContent(concatBytes(hex('9807'), bytes.subarray(1)))),
      'not-deterministic',
    )
    assert.equal(
      codeOf(() => decodeContent(concatBytes(hex('9f'), bytes.subarray(1), hex('ff')))),
      'not-deterministic',
    )
    assert.equal(
      codeOf(() => decodeContent(concatBytes(bytes, hex('00')))),
      'malformed',
    )
    assert.equal(
      codeOf(() => decodeContent(bytes.subarray(0, -1))),
      'malformed',
    )
  })

  test('before it is sent, when nobody could read it', () => {
    assert.equal(
      codeOf(() => encode({ salt: new Uint8Array(8) })),
      'malformed',
    )
    assert.equal(
      codeOf(() => encode({ sender: 'a', extensions: new Map([[1, encodeCbor('b')]]) })),
      'malformed',
    )
    assert.equal(
      codeOf(() => encode({ extensions: new Map([['x', hex('ff')]]) })),
      'malformed',
    )
    assert.equal(
      codeOf(() => encode({ expires: { relative: true, seconds: -1 } })),
      'malformed',
    )
    assert.equal(
      codeOf(() => encode({ expires: { relative: true, seconds: 1.5 } })),
      'malformed',
    )
  })
})
