import { type Crypto, equalBytes } from '../../crypto/index.ts'
import { type Checkpoint, openCheckpoint } from './checkpoint.ts'
import { LogError } from './errors.ts'
import { emptyFrontier, type Frontier, grow, partialTiles, rootOf, type Tile } from './frontier.ts'
import { leafHash } from './hashes.ts'
import type { NoteVerifier } from './note.ts'
import { type LogPolicy, policyOf, withoutWitnesses } from './policy.ts'
import { proveConsistency, verifyConsistency } from './proofs.ts'
import { entriesOf, openTiles, type ReadFile, type TileReader } from './reader.ts'
import { splitTile, type TileName, tilePath, tileWidth } from './tiles.ts'

export interface VerifyOptions {
  readonly read: ReadFile
  /** The log's key, or a policy. */
  readonly verifier: NoteVerifier | LogPolicy
  /** A checkpoint kept from an earlier time, as it was served. */
  readonly earlier?: Uint8Array | undefined
  /** Told how many entries of how many are verified. */
  readonly onProgress?: ((done: number, size: number) => void) | undefined
  /** Given each entry once it is known to be the one of its tile, until one is not; the root is compared after the last. */
  readonly onEntry?: ((entry: Uint8Array, index: number) => void) | undefined
}

/**
 * Verifies a whole log: the checkpoint's signature, the root recomputed from the entries alone, every tile against what
 * follows from the entries, and that the log continues an earlier checkpoint. A tile is never believed: who changes an
 * entry and its hash in a tile changes both.
 *
 * @throws LogError
 */
export async function verifyLog(crypto: Crypto, options: VerifyOptions): Promise<Checkpoint> {
  const { read, verifier, earlier, onProgress, onEntry } = options
  const note = await read('checkpoint')
  if (!note) throw new LogError('unreadable', 'there is no log: it has no checkpoint')
  const checkpoint = openCheckpoint(crypto, note, verifier)
  const older = earlier && openEarlier(crypto, earlier, verifier)
  if (older && older.size > checkpoint.size) throw new LogError('inconsistent', 'the log has become shorter')
  const tiles = openTiles(crypto, read, checkpoint.size)
  let frontier: Frontier = emptyFrontier
  let mismatch: Mismatch | undefined
  try {
    for (let index = 0; frontier.size < checkpoint.size; index++) {
      const entries = await tiles.bundle(index)
      const leaves = entries.map((entry) => leafHash(crypto, entry))
      mismatch ??= await compareLeaves(tiles, index, leaves)
      const grown = grow(crypto, frontier, leaves)
      for (const tile of grown.full) mismatch ??= await compareTile(tiles, tile)
      frontier = grown.frontier
      if (!mismatch) for (const [at, entry] of entries.entries()) onEntry?.(entry, index * tileWidth + at)
      onProgress?.(frontier.size, checkpoint.size)
    }
    for (const tile of partialTiles(frontier)) mismatch ??= await compareTile(tiles, tile)
  } catch (error) {
    // The first that was found is what is told.
    throw mismatch?.error ?? error
  }
  const signed = equalBytes(rootOf(crypto, frontier), checkpoint.root)
  if (mismatch && signed) {
    const said = `the entries give the root that was signed, and ${tilePath(mismatch.tile)} is not what follows from them`
    throw new LogError('tile-mismatch', said, mismatch.error.entries)
  }
  if (mismatch) throw mismatch.error
  if (!signed) throw new LogError('root-mismatch', 'the entries do not give the root that was signed')
  if (older) {
    const proof = await proveConsistency(tiles, older.size)
    verifyConsistency(crypto, proof, { older, newer: checkpoint })
  }
  return checkpoint
}

/** A checkpoint of an earlier time, maybe of one when no witness was asked for. @throws LogError */
export function openEarlier(crypto: Crypto, note: Uint8Array, verifier: NoteVerifier | LogPolicy): Checkpoint {
  return openCheckpoint(crypto, note, withoutWitnesses(policyOf(verifier)))
}

/** A tile that is not what its entries give. Which of them is wrong shows when all entries were read: by the root. */
interface Mismatch {
  readonly tile: TileName
  /** What is told when the entries do not give the signed root either. */
  readonly error: LogError
}

async function compareLeaves(
  tiles: TileReader,
  index: number,
  leaves: readonly Uint8Array[],
): Promise<Mismatch | undefined> {
  const stated = await tiles.tile(0, index)
  const at = leaves.findIndex((leaf, i) => !equalBytes(leaf, stated[i]!))
  if (at < 0) return undefined
  const entry = index * tileWidth + at
  return {
    tile: { level: 0, index, width: leaves.length },
    error: new LogError('entry-mismatch', 'an entry is not the one that its tile names', { first: entry, last: entry }),
  }
}

async function compareTile(tiles: TileReader, { name, bytes }: Tile): Promise<Mismatch | undefined> {
  const stated = await tiles.tile(name.level as number, name.index)
  const at = splitTile(bytes, name.width).findIndex((hash, i) => !equalBytes(hash, stated[i]!))
  if (at < 0) return undefined
  const below = tileWidth ** (name.level as number)
  const { first } = entriesOf(name)
  const error = new LogError('tile-mismatch', `${tilePath(name)} does not follow from the entries`, {
    first: first + at * below,
    last: first + (at + 1) * below - 1,
  })
  return { tile: name, error }
}
