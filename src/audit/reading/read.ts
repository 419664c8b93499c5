import type { Crypto } from '../../crypto/index.ts'
import {
  type Checkpoint,
  encodeProof,
  LogError,
  type LogPolicy,
  type NoteVerifier,
  openCheckpoint,
  openTiles,
  proveInclusion,
  type ReadFile,
  readVerifiedRange,
} from '../log/index.ts'
import { type EntryFilter, facetsOf, matches, readEntry } from './facets.ts'
import type { PlacedEntry } from './placed.ts'

/** Entries proven at once: 16 bundles. The hashes beside them are read anew for each go. */
const atOnce = 4096

export interface ReadOptions {
  readonly read: ReadFile
  readonly verifier: NoteVerifier | LogPolicy
  /** The first index, and the last, which is included; the whole log without them. */
  readonly first?: number | undefined
  readonly last?: number | undefined
  readonly filter?: EntryFilter | undefined
  readonly onProgress?: ((done: number, of: number) => void) | undefined
  /** Given each entry that was looked for, after it was proven to be in the signed log. */
  onEntry(entry: PlacedEntry): void | Promise<void>
}

/**
 * Reads entries out of a log, here or elsewhere, and proves each before it hands it on.
 *
 * @returns the checkpoint they were proven against, how many were read and how many found
 * @throws LogError
 */
export async function readEntries(
  crypto: Crypto,
  options: ReadOptions,
): Promise<{ checkpoint: Checkpoint; read: number; found: number }> {
  const { checkpoint } = await openLogAt(crypto, options)
  const first = options.first ?? 0
  const end = Math.min(checkpoint.size, (options.last ?? checkpoint.size - 1) + 1)
  if (options.first !== undefined && first >= checkpoint.size)
    throw new LogError('no-entry', `there is no entry ${first}: the log has ${checkpoint.size} entries`)
  const tiles = openTiles(crypto, options.read, checkpoint.size)
  let found = 0
  for (let from = first; from < end; ) {
    const to = Math.min(end, (Math.floor(from / atOnce) + 1) * atOnce)
    const bodies = await readVerifiedRange(crypto, { tiles, tree: checkpoint }, { first: from, end: to })
    for (const [at, body] of bodies.entries()) {
      if (options.filter && !matches(facetsOf(readEntry(body)), options.filter)) continue
      found++
      await options.onEntry({ log: checkpoint.origin, index: from + at, body })
    }
    from = to
    options.onProgress?.(to - first, end - first)
  }
  return { checkpoint, read: Math.max(0, end - first), found }
}

/** The proof of one entry, as a file to keep. @throws LogError */
export async function proofOf(
  crypto: Crypto,
  { read, verifier, index }: { read: ReadFile; verifier: NoteVerifier | LogPolicy; index: number },
): Promise<Uint8Array> {
  const { checkpoint, note } = await openLogAt(crypto, { read, verifier })
  const tiles = openTiles(crypto, read, checkpoint.size)
  const [entry] = await readVerifiedRange(crypto, { tiles, tree: checkpoint }, { first: index, end: index + 1 })
  return encodeProof({ index, entry: entry!, hashes: await proveInclusion(tiles, index), checkpoint: note })
}

async function openLogAt(crypto: Crypto, { read, verifier }: { read: ReadFile; verifier: NoteVerifier | LogPolicy }) {
  const note = await read('checkpoint')
  if (!note) throw new LogError('unreadable', 'there is no log: it has no checkpoint')
  return { note, checkpoint: openCheckpoint(crypto, note, verifier) }
}
