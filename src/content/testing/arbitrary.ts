import fc from '../../../test/support/fast-check.ts'
import { encodeCbor } from '../../cbor/index.ts'
import type { ContentDraft, MimiContent, Part } from '../index.ts'

/** For property tests: any message that can be written. */

const text = fc.string({ unit: 'grapheme', maxLength: 30 })
const bytes = fc.uint8Array({ maxLength: 40 })
const uint = (bits: number) => fc.integer({ min: 0, max: 2 ** bits - 1 })
const messageId = fc.uint8Array({ minLength: 31, maxLength: 31 }).map((rest) => Uint8Array.of(1, ...rest))
/** Values that are decoded are plain objects. */
const plain = { noNullPrototype: true }
const base = { disposition: uint(8), language: text }

const leaf: fc.Arbitrary<Part> = fc.oneof(
  fc.record({ ...base, cardinality: fc.constant('null' as const) }, plain),
  fc.record({ ...base, cardinality: fc.constant('single' as const), contentType: text, content: bytes }, plain),
  fc.record(
    {
      ...base,
      cardinality: fc.constant('external' as const),
      contentType: text,
      url: text,
      expires: uint(32),
      size: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
      encAlg: uint(16),
      key: bytes,
      nonce: bytes,
      aad: bytes,
      hashAlg: uint(8),
      contentHash: bytes,
      description: text,
      filename: text,
    },
    plain,
  ),
)

function part(levels: number): fc.Arbitrary<Part> {
  if (levels === 1) return leaf
  const multi = fc.record(
    {
      ...base,
      cardinality: fc.constant('multi' as const),
      semantics: fc.constantFrom('chooseOne' as const, 'singleUnit' as const, 'processAll' as const),
      parts: fc.array(part(levels - 1), { minLength: 2, maxLength: 3 }),
    },
    plain,
  )
  return fc.oneof(leaf, multi)
}

const key = fc.oneof(
  fc.maxSafeInteger().filter((number) => number !== 1 && number !== 2),
  fc.string({ unit: 'grapheme-ascii', minLength: 1, maxLength: 20 }),
)
/** The third of them has what values elsewhere have not: a tag, a float, another simple value. */
const extension = fc.oneof(
  text.map(encodeCbor),
  fc.array(fc.oneof(text, bytes, fc.maxSafeInteger())).map(encodeCbor),
  fc.constantFrom('d8206161', 'f93e00', 'f7').map((encoded) => Uint8Array.from(Buffer.from(encoded, 'hex'))),
)

export const anyDraft: fc.Arbitrary<ContentDraft> = fc.record(
  {
    replaces: messageId,
    topicId: fc.uint8Array({ minLength: 1, maxLength: 40 }),
    expires: fc.record({ relative: fc.boolean(), seconds: uint(32) }, plain),
    inReplyTo: messageId,
    sender: text,
    room: text,
    extensions: fc
      .uniqueArray(fc.tuple(key, extension), { minLength: 1, maxLength: 4, selector: ([name]) => name })
      .map((all) => new Map(all)),
    body: part(4),
  },
  { requiredKeys: ['body'], noNullPrototype: true },
)

export const anyContent: fc.Arbitrary<MimiContent> = fc
  .tuple(anyDraft, fc.uint8Array({ minLength: 16, maxLength: 16 }))
  .map(([draft, salt]) => ({ salt, ...draft }))
