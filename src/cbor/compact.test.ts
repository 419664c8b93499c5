import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from '../../test/support/fast-check.ts'
import * as codec from './codec.ts'
import * as compact from './compact.ts'
import { CborError } from './errors.ts'

const limits = { bytes: 4096, depth: 8, items: 512 }
const { value: anyValue } = fc.letrec((tie) => ({
  key: fc.oneof(fc.maxSafeInteger(), fc.string({ unit: 'grapheme', maxLength: 9 })),
  value: fc.oneof(
    { maxDepth: 5 },
    fc.maxSafeInteger(),
    fc.bigInt({ min: -(2n ** 64n), max: 2n ** 64n - 1n }),
    fc.string({ unit: 'binary', maxLength: 40 }).map((text) => text.toWellFormed()),
    fc.uint8Array({ maxLength: 300 }),
    fc.boolean(),
    fc.constantFrom(null, undefined, 1.5, '\ufefftext'),
    fc.array(tie('value'), { maxLength: 6 }),
    fc.array(fc.tuple(tie('key'), tie('value')), { maxLength: 6 }).map((entries) => new Map(entries)),
    fc.dictionary(fc.string({ maxLength: 4 }), tie('value'), { maxKeys: 4, noNullPrototype: true }),
  ),
}))

function outcome<T>(run: () => T): { value: T } | { code: string } {
  try {
    return { value: run() }
  } catch (error) {
    assert.ok(error instanceof CborError, String(error))
    return { code: error.code }
  }
}

test('the small codec for pages writes and reads as the other does', () => {
  fc.assert(
    fc.property(anyValue, (value) => {
      const bytes = outcome(() => codec.encodeCbor(value))
      assert.deepEqual(
        outcome(() => compact.encodeCbor(value)),
        bytes,
      )
      if (!('value' in bytes)) return
      assert.deepEqual(
        outcome(() => compact.decodeCbor(bytes.value, limits)),
        outcome(() => codec.decodeCbor(bytes.value, limits)),
      )
    }),
    { numRuns: 1000 },
  )
})

test('and takes and refuses the same bytes', () => {
  const changed = anyValue.chain((value) => {
    const bytes = outcome(() => codec.encodeCbor(value))
    if (!('value' in bytes)) return fc.uint8Array({ maxLength: 30 })
    return fc.tuple(fc.nat({ max: bytes.value.length - 1 }), fc.nat({ max: 255 })).map(([at, byte]) => {
      const copy = bytes.value.slice()
      copy[at] = byte
      return copy
    })
  })
  fc.assert(
    fc.property(fc.oneof(changed, fc.uint8Array({ maxLength: 30 })), (bytes) => {
      assert.deepEqual(
        outcome(() => compact.decodeCbor(bytes, limits)),
        outcome(() => codec.decodeCbor(bytes, limits)),
      )
    }),
    { numRuns: 2000 },
  )
})
