import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from '../../test/support/fast-check.ts'
import { equalBytes, toHex } from '../crypto/index.ts'
import { CborError, checkCbor, decodeCbor, encodeCbor, itemsOf, pairsOf, rawArray, rawMap, readArray } from './index.ts'

const limits = { bytes: 4096, depth: 8, items: 512 }
const hex = (text: string) => Uint8Array.from(Buffer.from(text.replaceAll(' ', ''), 'hex'))
const codeOf = (run: () => unknown): string => {
  try {
    run()
    return 'accepted'
  } catch (error) {
    assert.ok(error instanceof CborError, String(error))
    return error.code
  }
}

const { value: anyValue } = fc.letrec((tie) => ({
  key: fc.oneof(fc.maxSafeInteger(), fc.string({ unit: 'grapheme', maxLength: 9 })),
  value: fc.oneof(
    { maxDepth: 6 },
    fc.maxSafeInteger(),
    fc.bigInt({ min: 2n ** 53n, max: 2n ** 64n - 1n }),
    fc.string({ unit: 'grapheme', maxLength: 40 }),
    fc.uint8Array({ maxLength: 40 }),
    fc.boolean(),
    fc.constant(null),
    fc.array(tie('value'), { maxLength: 6 }),
    fc.array(fc.tuple(tie('key'), tie('value')), { maxLength: 6 }).map((entries) => new Map(entries)),
  ),
}))

describe('deterministic CBOR', () => {
  test('values come back as they were, and their bytes too', () => {
    fc.assert(
      fc.property(anyValue, (value) => {
        const bytes = encodeCbor(value)
        const decoded = decodeCbor(bytes, { bytes: 1e6, depth: 16, items: 1e5 })
        assert.deepEqual(encodeCbor(decoded), bytes)
        assert.deepEqual(decoded, sorted(value))
      }),
    )
  })

  test('a text keeps its byte order mark', () => {
    const text = '\ufeffa name that is longer than thirty-two bytes'
    assert.equal(decodeCbor(encodeCbor(text), limits), text)
  })

  // The walk over heads is what decides; encoding again is the definition. They must not differ.
  test('whatever the walk lets pass encodes to the same bytes again', () => {
    let accepted = 0
    fc.assert(
      fc.property(mutated(), (bytes) => {
        const code = codeOf(() => {
          const value = decodeCbor(bytes, limits)
          assert.ok(equalBytes(encodeCbor(value), bytes), toHex(bytes))
          accepted++
        })
        assert.ok(code.length > 0)
      }),
      { numRuns: 3000 },
    )
    assert.ok(accepted > 50)
  })

  test('other encodings of the same value are refused', () => {
    for (const bytes of [
      '1817',
      '190018',
      '1a0000ffff',
      '1b00000000ffffffff',
      '5800',
      '9fff',
      'bfff',
      '5f4100ff',
      '7f6161ff',
      'a2616201616102',
      'a2200218 1801',
      'c24101',
      'c2490000000000000000 01',
      'fa3fc00000',
      'fb3ff8000000000000',
      'fb3fb99999a0000000',
      'f97e01',
      'fa7fc00000',
      'fb7ff8000000000000',
      'fa33800000', // 2^-24, the smallest half
      'fb7ff0000000000000',
    ]) {
      assert.equal(
        codeOf(() => checkCbor(hex(bytes), limits)),
        'not-deterministic',
        bytes,
      )
    }
  })

  test('floats, tags and simple values in their shortest form pass the walk and are not decoded', () => {
    for (const bytes of [
      'f93e00',
      'f97e00',
      'f97c00',
      'f90001',
      'fa33000000', // 2^-25, below the smallest half
      'fa47800000', // 65536, above the largest half
      'fb3fb999999999999a',
      'd82061 61',
      'c249010000000000000000',
      'f0',
      'f820',
      'f7',
    ]) {
      assert.equal(
        codeOf(() => checkCbor(hex(bytes), limits)),
        'accepted',
        bytes,
      )
      assert.equal(
        codeOf(() => decodeCbor(hex(bytes), limits)),
        'unexpected',
        bytes,
      )
    }
  })

  test('what is not CBOR is malformed', () => {
    for (const bytes of [
      '',
      '18',
      '1c',
      '1f',
      'df00',
      'fd',
      '4261',
      '61ff',
      '8101 01',
      '82 01',
      'a1 01',
      'a2 0101 0102',
      'a1 8001',
      'a1 f501',
      'a11b002000000000000001',
      'a13b001fffffffffffff01',
      'a24141014141 02',
      'f81f',
      'c2 01',
      '5bffffffffffffffff',
      '9bffffffffffffffff',
      'bb7fffffffffffffff',
    ]) {
      assert.equal(
        codeOf(() => checkCbor(hex(bytes), limits)),
        'malformed',
        bytes,
      )
    }
    assert.equal(
      codeOf(() => checkCbor(hex('a13b001ffffffffffffe01'), limits)),
      'accepted',
    )
  })

  test('limits are checked before anything is built', () => {
    assert.equal(
      codeOf(() => checkCbor(new Uint8Array(5000), limits)),
      'too-large',
    )
    assert.equal(
      codeOf(() => checkCbor(hex(`${'81'.repeat(8)}00`), limits)),
      'accepted',
    )
    assert.equal(
      codeOf(() => checkCbor(hex(`${'81'.repeat(9)}00`), limits)),
      'too-deep',
    )
    assert.equal(
      codeOf(() => checkCbor(hex('81'.repeat(4095)), limits)),
      'too-deep',
    )
    assert.equal(
      codeOf(() => checkCbor(hex(`${'c1'.repeat(9)}00`), limits)),
      'too-deep',
    )
    assert.equal(
      codeOf(() => checkCbor(hex(`990200${'00'.repeat(512)}`), limits)),
      'too-many-items',
    )
    assert.equal(
      codeOf(() => checkCbor(hex(`9901ff${'00'.repeat(511)}`), limits)),
      'accepted',
    )
  })

  test('values of kinds that are not used are not encoded', () => {
    for (const value of [1.5, Number.NaN, undefined, [undefined], 2 ** 53, new Date(), Symbol.iterator]) {
      assert.equal(
        codeOf(() => encodeCbor(value)),
        'unexpected',
        String(value),
      )
    }
  })
})

describe('encoded items', () => {
  test('arrays and maps come apart and together again byte for byte', () => {
    fc.assert(
      fc.property(fc.array(anyValue, { maxLength: 30 }), (values) => {
        const bytes = encodeCbor(values)
        assert.deepEqual(rawArray(itemsOf(bytes)), bytes)
        const map = encodeCbor(new Map(values.map((value, i) => [i % 2 ? i * 100 : `k${i}`, value])))
        assert.deepEqual(rawMap(pairsOf(map).reverse()), map)
      }),
    )
    for (const count of [23, 24, 255, 256, 65535, 65536]) {
      const bytes = encodeCbor(new Array(count).fill(0))
      assert.deepEqual(rawArray(new Array(count).fill(Uint8Array.of(0))), bytes)
    }
    assert.equal(
      codeOf(() => itemsOf(hex('a0'))),
      'unexpected',
    )
    assert.equal(
      codeOf(() => pairsOf(hex('80'))),
      'unexpected',
    )
  })

  test('a reader takes items of the kinds it asks for and nothing else', () => {
    const reader = readArray(['a', null, new Uint8Array(2), 5, true, ['x'], 'b'], 'example')
    assert.equal(reader.text(1), 'a')
    assert.equal(reader.textOrNull(1), undefined)
    assert.equal(
      codeOf(() => reader.end()),
      'unexpected',
    )
    assert.deepEqual(reader.bytes(2), new Uint8Array(2))
    assert.equal(reader.unsigned(5), 5)
    assert.equal(reader.boolean(), true)
    assert.deepEqual(reader.array(), ['x'])
    assert.equal(reader.oneOf(['a', 'b']), 'b')
    reader.end()
    assert.equal(
      codeOf(() => reader.any()),
      'unexpected',
    )
    for (const value of [0, 5, 2n ** 64n - 1n]) {
      assert.equal(readArray([value], 'example').unsigned64(), BigInt(value))
    }
    for (const value of [-1, -(2n ** 60n), '1', null]) {
      assert.equal(
        codeOf(() => readArray([value], 'example').unsigned64()),
        'unexpected',
      )
    }
    for (const value of [-1, 6, 1.5, 2n ** 60n, '1', null]) {
      assert.equal(
        codeOf(() => readArray([value], 'example').unsigned(5)),
        'unexpected',
      )
    }
    assert.equal(
      codeOf(() => readArray(new Map(), 'example')),
      'unexpected',
    )
  })
})

/** Encoded values with a few bytes changed, and plain noise. */
function mutated() {
  const change = fc.tuple(fc.nat(200), fc.nat(255))
  return fc.oneof(
    fc.uint8Array({ maxLength: 24 }),
    fc.tuple(anyValue, fc.array(change, { maxLength: 3 })).map(([value, changes]) => {
      const bytes = encodeCbor(value)
      for (const [at, byte] of changes) if (bytes.length > 0) bytes[at % bytes.length] = byte
      return bytes
    }),
  )
}

/** Maps in the order in which decoding gives them. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted)
  if (!(value instanceof Map)) return value
  const entries = [...value].map(([key, inner]) => [key, sorted(inner)] as const)
  return new Map(entries.sort((a, b) => Buffer.compare(encodeCbor(a[0]), encodeCbor(b[0]))))
}
