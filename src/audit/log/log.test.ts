import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from '../../../test/support/fast-check.ts'
import { fromUtf8, toHex, utf8 } from '../../crypto/index.ts'
import { nodeCrypto as crypto } from '../../crypto/node.ts'
import { buildLog, type LogFiles, testEntries, testSigner } from '../testing/log.ts'
import { openCheckpoint, signCheckpoint } from './checkpoint.ts'
import { LogError, type LogErrorCode } from './errors.ts'
import { emptyFrontier, grow, partialTiles, rootOf } from './frontier.ts'
import { leafHash, nodeHash } from './hashes.ts'
import { encodeVerifier, noteSigner, openNote, parseVerifier, signNote } from './note.ts'
import { proveConsistency, proveInclusion, verifyConsistency, verifyInclusion } from './proofs.ts'
import { openTiles, readFrontier } from './reader.ts'
import { decodeBundle, encodeBundle, parseTilePath, tilePath } from './tiles.ts'
import { verifyLog } from './verify.ts'

const entries = testEntries(70_000)
const leaves = entries.map((entry) => leafHash(crypto, entry))
const reading = (files: LogFiles) => async (path: string) => files.get(path)
const refused = (code: LogErrorCode) => (error: unknown) => error instanceof LogError && error.code === code
const { verifier } = testSigner

/** The definition of RFC 6962 §2.1, word by word. */
function definedRoot(hashes: readonly Uint8Array[]): Uint8Array {
  if (hashes.length === 0) return crypto.sha256()
  if (hashes.length === 1) return hashes[0]!
  let k = 1
  while (k * 2 < hashes.length) k *= 2
  return nodeHash(crypto, definedRoot(hashes.slice(0, k)), definedRoot(hashes.slice(k)))
}

/** The right edge at every 4096th size: the way from there to any size is short. */
const edges = [emptyFrontier]
for (let size = 4096; size <= leaves.length; size += 4096)
  edges.push(grow(crypto, edges.at(-1)!, leaves.slice(size - 4096, size)).frontier)

function frontierAt(size: number) {
  const begun = edges[Math.floor(size / 4096)]!
  return grow(crypto, begun, leaves.slice(begun.size, size)).frontier
}

const rootAt = (size: number) => rootOf(crypto, frontierAt(size))

describe('the tree', () => {
  const files = buildLog(entries)
  const tiles = openTiles(crypto, reading(files), entries.length)

  test('has the root that RFC 6962 defines, however it has grown', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 700 }), fc.integer({ min: 0, max: 700 }), (size, first) => {
        const begun = grow(crypto, emptyFrontier, leaves.slice(0, Math.min(first, size))).frontier
        const { frontier } = grow(crypto, begun, leaves.slice(begun.size, size))
        assert.deepEqual(rootOf(crypto, frontier), definedRoot(leaves.slice(0, size)))
      }),
      { numRuns: 60 },
    )
    // The well-known test vectors of certificate transparency.
    const known = ['', '00', '10', '2021', '3031', '40414243', '5051525354555657', '606162636465666768696a6b6c6d6e6f']
    const grown = grow(
      crypto,
      emptyFrontier,
      known.map((hex) => leafHash(crypto, new Uint8Array(Buffer.from(hex, 'hex')))),
    )
    const root = '5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328'
    assert.equal(toHex(rootOf(crypto, grown.frontier)), root)
  })

  test('can be taken up again from its tiles', async () => {
    for (const size of [1, 255, 256, 257, 65_535, 65_536, 65_537, 70_000]) {
      const log = buildLog(entries.slice(0, size))
      const frontier = await readFrontier(openTiles(crypto, reading(log), size))
      assert.deepEqual(rootOf(crypto, frontier), rootAt(size))
      assert.deepEqual(partialTiles(frontier).length > 0, true)
    }
  })

  test('proves any entry, and nothing else', async () => {
    const place = fc
      .oneof(fc.integer({ min: 1, max: 600 }), fc.integer({ min: 65_000, max: 70_000 }))
      .chain((size) => fc.record({ size: fc.constant(size), index: fc.integer({ min: 0, max: size - 1 }) }))
    await fc.assert(
      fc.asyncProperty(place, fc.nat(), async ({ size, index }, salt) => {
        const proof = await proveInclusion(openTiles(crypto, readingAt(files, size), size), index)
        const tree = { size, root: rootAt(size) }
        const leaf = leaves[index]!
        verifyInclusion(crypto, proof, { leaf, index, tree })
        const wrong = (change: () => void) => assert.throws(change, refused('bad-proof'))
        wrong(() => verifyInclusion(crypto, proof, { leaf: leaves[index + 1]!, index, tree }))
        if (size > 1) wrong(() => verifyInclusion(crypto, proof, { leaf, index: (index + 1) % size, tree }))
        wrong(() => verifyInclusion(crypto, [...proof, leaf], { leaf, index, tree }))
        if (proof.length === 0) return
        wrong(() => verifyInclusion(crypto, proof.slice(1), { leaf, index, tree }))
        const bent = proof.map((hash) => Uint8Array.from(hash))
        bent[salt % bent.length]![salt % 32]! ^= 1
        wrong(() => verifyInclusion(crypto, bent, { leaf, index, tree }))
      }),
      { numRuns: 40 },
    )
  })

  test('proves that it continues any earlier one, and no other', async () => {
    const sizes = fc.tuple(fc.integer({ min: 0, max: 70_000 }), fc.integer({ min: 0, max: 3000 }))
    await fc.assert(
      fc.asyncProperty(sizes, async ([newest, before]) => {
        const newer = { size: newest, root: rootAt(newest) }
        const size = Math.max(0, newest - before)
        const older = { size, root: rootAt(size) }
        const proof = await proveConsistency(openTiles(crypto, readingAt(files, newest), newest), size)
        verifyConsistency(crypto, proof, { older, newer })
        if (size === 0) return
        const other = { size, root: crypto.sha256(older.root) }
        assert.throws(() => verifyConsistency(crypto, proof, { older: other, newer }), refused('inconsistent'))
        if (proof.length > 0) assert.throws(() => verifyConsistency(crypto, proof.slice(1), { older, newer }), LogError)
      }),
      { numRuns: 25 },
    )
    assert.deepEqual(await proveConsistency(tiles, entries.length), [])
  })
})

/** Files of an earlier size, of which the partial ones are gone: the full ones that followed serve instead. */
function readingAt(files: LogFiles, size: number) {
  const earlier = buildEdge(size)
  return async (path: string) => files.get(path) ?? earlier.get(path)
}

function buildEdge(size: number): LogFiles {
  return new Map(partialTiles(frontierAt(size)).map(({ name, bytes }) => [tilePath(name), bytes]))
}

describe('verification of a whole log', () => {
  for (const size of [0, 1, 255, 256, 257, 65_536, 70_000])
    test(`takes a good one of ${size} entries`, async () => {
      const log = buildLog(entries.slice(0, size))
      const seen: number[] = []
      const verified = await verifyLog(crypto, {
        read: reading(log),
        verifier,
        onEntry: (_, index) => void seen.push(index),
      })
      assert.equal(verified.size, size)
      assert.deepEqual([seen.length, seen.at(-1)], [size, size > 0 ? size - 1 : undefined])
    })

  const size = 600
  const good = buildLog(entries.slice(0, size))
  const kept = buildLog(entries.slice(0, 300)).get('checkpoint')!
  const changed = (path: string, change: (bytes: Uint8Array) => Uint8Array) => {
    const files = new Map(good)
    files.set(path, change(Uint8Array.from(files.get(path)!)))
    return files
  }
  const flip = (at: number) => (bytes: Uint8Array) => {
    bytes[at]! ^= 1
    return bytes
  }
  const verify = (files: LogFiles, earlier?: Uint8Array) =>
    verifyLog(crypto, { read: reading(files), verifier, earlier })
  const blames =
    (code: LogErrorCode, first?: number, last = first) =>
    (error: unknown) => {
      assert.ok(error instanceof LogError)
      const entries = first === undefined ? undefined : { first, last }
      assert.deepEqual({ code: error.code, entries: error.entries }, { code, entries })
      return true
    }

  test('names a changed entry', async () => {
    await assert.rejects(verify(changed('tile/entries/001', flip(17 * 16 + 5))), blames('entry-mismatch', 256 + 17))
  })
  test('names a changed hash in a tile', async () => {
    const wrong = verify(changed('tile/0/001', flip(32 * 9)))
    await assert.rejects(wrong, blames('tile-mismatch', 265))
    await assert.rejects(wrong, /the entries give the root that was signed, and tile\/0\/001 is not/)
    await assert.rejects(verify(changed('tile/1/000.p/2', flip(32))), blames('tile-mismatch', 256, 511))
  })
  test('refuses an entry and its tile that were changed together', async () => {
    const files = changed('tile/entries/001', flip(14))
    const [entry] = decodeBundle(files.get('tile/entries/001')!, 256)
    const tile = Uint8Array.from(files.get('tile/0/001')!)
    tile.set(leafHash(crypto, entry!))
    files.set('tile/0/001', tile)
    await assert.rejects(verify(files), blames('tile-mismatch', 256, 511))
    const last = buildLog([...entries.slice(0, size - 1), utf8('another')])
    last.set('checkpoint', good.get('checkpoint')!)
    await assert.rejects(verify(last), blames('root-mismatch'))
  })
  test('refuses a log without its end', async () => {
    const files = new Map(good)
    files.delete('tile/entries/002.p/88')
    await assert.rejects(verify(files), blames('missing', 512, 599))
    for (const path of ['tile/entries/001', 'tile/0/001']) {
      const short = verify(changed(path, (bytes) => bytes.slice(0, -1)))
      await assert.rejects(short, blames('malformed', 256, 511))
      await assert.rejects(short, new RegExp(`^LogError: ${path}: `))
    }
  })
  test('refuses an edited size, another key, another origin', async () => {
    const edit = (bytes: Uint8Array) => utf8(fromUtf8(bytes).replace('\n600\n', '\n599\n'))
    await assert.rejects(verify(changed('checkpoint', edit)), blames('bad-signature'))
    const other = noteSigner(crypto, verifier.name, crypto.randomBytes(32))
    await assert.rejects(verify(buildLog(entries.slice(0, 5), other)), blames('unsigned'))
    const text = signNote('other.example/audit\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n', [testSigner])
    await assert.rejects(verify(changed('checkpoint', () => text)), blames('wrong-origin'))
  })
  test('refuses a log that does not continue the one before', async () => {
    await verify(good, kept)
    const forked = buildLog([utf8('another'), ...entries.slice(1, size)])
    await assert.rejects(verify(forked, kept), blames('inconsistent'))
    await assert.rejects(verify(buildLog(entries.slice(0, 200)), kept), blames('inconsistent'))
  })
  test('a changed byte is refused wherever it is', async () => {
    const paths = [...good.keys()]
    await fc.assert(
      fc.asyncProperty(fc.nat(), fc.nat(), fc.integer({ min: 0, max: 7 }), async (which, where, bit) => {
        const path = paths[which % paths.length]!
        const change = (bytes: Uint8Array) => {
          bytes[where % bytes.length]! ^= 1 << bit
          return bytes
        }
        await assert.rejects(verify(changed(path, change)), LogError)
      }),
      { numRuns: 100 },
    )
  })
})

test('paths of tiles are those of C2SP tlog-tiles, each in one way of writing', () => {
  assert.equal(tilePath({ level: 0, index: 1_234_067, width: 256 }), 'tile/0/x001/x234/067')
  assert.equal(tilePath({ level: 'entries', index: 5, width: 8 }), 'tile/entries/005.p/8')
  fc.assert(
    fc.property(
      fc.record({
        level: fc.oneof(fc.constant('entries' as const), fc.integer({ min: 0, max: 63 })),
        index: fc.integer({ min: 0, max: 2 ** 45 }),
        width: fc.integer({ min: 1, max: 256 }),
      }),
      (name) => assert.deepEqual(parseTilePath(tilePath(name)), { ...name }),
    ),
  )
  for (const path of [
    'tile/0/1',
    'tile/0/000.p/256',
    'tile/0/000.p/0',
    'tile/64/000',
    'tile/0/x000/001',
    'tile/0/../000',
  ])
    assert.equal(parseTilePath(path), undefined, path)
})

test('bundles hold any entries up to 65,535 bytes', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 300 }), { minLength: 1, maxLength: 20 }), (list) => {
      assert.deepEqual(decodeBundle(encodeBundle(list), list.length), list)
      assert.throws(() => decodeBundle(encodeBundle(list), list.length + 1), refused('malformed'))
    }),
  )
  assert.throws(() => encodeBundle([new Uint8Array(65_536)]), refused('malformed'))
})

describe('signed notes', () => {
  test('the example of golang.org/x/mod/sumdb/note opens', () => {
    const key = parseVerifier(crypto, 'PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW')
    const note = `If you think cryptography is the answer to your problem,
then you don't know what your problem is.

\u2014 PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=
`
    assert.deepEqual(openNote(crypto, utf8(note), [key]).by, [key])
    assert.throws(() => openNote(crypto, utf8(note.replace('answer', 'question')), [key]), refused('bad-signature'))
    const forged = note.replace('\u2014 PeterNeumann x08g', '\u2014 PeterNeumann y08g')
    assert.throws(() => openNote(crypto, utf8(forged), [key]), refused('unsigned'))
  })

  test('a note opens with any key that signed it, and others are passed over', () => {
    const [one, two, three] = ['one', 'two', 'three'].map((name) => noteSigner(crypto, name, crypto.randomBytes(32)))
    const note = signNote('hello\n', [one!, two!])
    assert.deepEqual(openNote(crypto, note, [two!.verifier, three!.verifier]), { text: 'hello\n', by: [two!.verifier] })
    assert.throws(() => openNote(crypto, note, [three!.verifier]), refused('unsigned'))
    assert.deepEqual(parseVerifier(crypto, encodeVerifier(one!.verifier)), one!.verifier)
    assert.throws(
      () => parseVerifier(crypto, encodeVerifier(one!.verifier).replace('one+', 'own+')),
      refused('malformed'),
    )
  })

  test('no bytes make reading fail in any other way', () => {
    const sound = signCheckpoint({ size: 3, root: crypto.sha256() }, testSigner)
    assert.equal(openCheckpoint(crypto, sound, verifier).size, 3)
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array(), fc.string().map(utf8)), fc.nat(), (bytes, at) => {
        const spliced = new Uint8Array([...sound.subarray(0, at % sound.length), ...bytes])
        assert.throws(() => openCheckpoint(crypto, spliced, verifier), LogError)
      }),
    )
  })
})
