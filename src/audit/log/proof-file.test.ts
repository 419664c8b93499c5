import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from '../../../test/support/fast-check.ts'
import { fromUtf8, utf8 } from '../../crypto/index.ts'
import { nodeCrypto as crypto } from '../../crypto/node.ts'
import { buildLog, testEntries, testSigner } from '../testing/log.ts'
import { openCheckpoint } from './checkpoint.ts'
import { LogError, type LogErrorCode } from './errors.ts'
import { leafHash } from './hashes.ts'
import { noteSigner } from './note.ts'
import { decodeProof, encodeProof, verifyProof } from './proof-file.ts'
import { proveInclusion } from './proofs.ts'
import { openTiles } from './reader.ts'
import { readVerifiedLeaves, readVerifiedRange } from './verified-range.ts'

const size = 700
const entries = testEntries(size)
const files = buildLog(entries)
const { verifier } = testSigner
const tree = openCheckpoint(crypto, files.get('checkpoint')!, verifier)
const tilesOf = (log: ReadonlyMap<string, Uint8Array>) => openTiles(crypto, async (path) => log.get(path), size)
const refused = (code: LogErrorCode) => (error: unknown) => error instanceof LogError && error.code === code

describe('a proof as a file', () => {
  const proofAt = async (index: number) =>
    encodeProof({
      index,
      entry: entries[index]!,
      hashes: await proveInclusion(tilesOf(files), index),
      checkpoint: files.get('checkpoint')!,
    })

  test('is verified with nothing but the key', async () => {
    const file = await proofAt(513)
    assert.match(
      fromUtf8(file),
      /^c2sp\.org\/tlog-proof@v1\nextra \S+\nindex 513\n(\S{44}\n)+\nbridge\.example\/audit\n700\n/,
    )
    const proof = decodeProof(file)
    assert.deepEqual(proof.entry, entries[513])
    assert.equal(verifyProof(crypto, proof, verifier).size, size)
    assert.throws(() => verifyProof(crypto, { ...proof, index: 514 }, verifier), refused('bad-proof'))
    assert.throws(() => verifyProof(crypto, { ...proof, entry: entries[512]! }, verifier), refused('bad-proof'))
    const stranger = noteSigner(crypto, verifier.name, crypto.randomBytes(32)).verifier
    assert.throws(() => verifyProof(crypto, proof, stranger), refused('unsigned'))
  })

  test('of which anything was changed is refused', async () => {
    const file = await proofAt(300)
    fc.assert(
      fc.property(fc.nat(file.length - 1), fc.integer({ min: 1, max: 255 }), (at, change) => {
        const bent = Uint8Array.from(file)
        bent[at]! ^= change
        assert.throws(() => verifyProof(crypto, decodeProof(bent), verifier), LogError)
      }),
    )
    for (const other of ['', 'c2sp.org/tlog-proof@v1\nindex 3\n\n', fromUtf8(file).replace(/^extra .*\n/m, '')])
      assert.throws(() => decodeProof(utf8(other)), refused('malformed'))
    assert.throws(() => decodeProof(new Uint8Array(1 << 20)), refused('malformed'))
  })
})

describe('a range of entries', () => {
  const range = (log: ReadonlyMap<string, Uint8Array>, first: number, end: number) =>
    readVerifiedRange(crypto, { tiles: tilesOf(log), tree }, { first, end })

  test('is proven against the signed root as a whole', async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(size - 1), fc.nat(size - 1), async (a, b) => {
        const [first, end] = [Math.min(a, b), Math.max(a, b) + 1]
        assert.deepEqual(await range(files, first, end), entries.slice(first, end))
      }),
      { numRuns: 30 },
    )
  })

  test('has its leaf hashes proven by the tile', async () => {
    const leaves = (log: ReadonlyMap<string, Uint8Array>, index: number) =>
      readVerifiedLeaves(crypto, { tiles: tilesOf(log), tree }, index)
    for (const index of [0, 1, 2])
      assert.deepEqual((await leaves(files, index))[9], leafHash(crypto, entries[index * 256 + 9]!))
    for (const path of ['tile/1/000.p/2', 'tile/0/002.p/188']) {
      const bent = Uint8Array.from(files.get(path)!)
      bent[33]! ^= 1
      await assert.rejects(leaves(new Map(files).set(path, bent), 2), refused('tile-mismatch'), path)
    }
  })

  test('with an entry that is not in the log is refused, also when its tile was changed with it', async () => {
    const other = buildLog([...entries.slice(0, 300), utf8('another'), ...entries.slice(301)])
    await assert.rejects(range(other, 290, 310), refused('root-mismatch'))
    const changed = new Map(files).set('tile/entries/001', other.get('tile/entries/001')!)
    const blamed = (error: unknown) => refused('entry-mismatch')(error) && (error as LogError).entries?.first === 300
    await assert.rejects(range(changed, 256, 320), blamed)
    // Tiles beside it that were changed lead nowhere either.
    await assert.rejects(range(other, 600, 610), refused('root-mismatch'))
    await assert.rejects(range(files, 10, size + 1), refused('no-entry'))
  })
})
