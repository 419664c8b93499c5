import { type Crypto, concatBytes, fromUtf8, utf8 } from '../../crypto/index.ts'
import { fromBase64, toBase64 } from './base64.ts'
import { type Checkpoint, openCheckpoint } from './checkpoint.ts'
import { LogError } from './errors.ts'
import { hashBytes, leafHash } from './hashes.ts'
import type { NoteVerifier } from './note.ts'
import type { LogPolicy } from './policy.ts'
import { verifyInclusion } from './proofs.ts'
import { mostEntryBytes } from './tiles.ts'

// Proofs to take along: https://c2sp.org/tlog-proof

/** What proves one entry without the log: verified with nothing but the log's key. */
export interface LogProof {
  readonly index: number
  /** The entry itself, as the format's extra data: so one file is enough. Believed by nobody before it leads to the root. */
  readonly entry: Uint8Array
  /** From the leaf's sibling up to the root's child. */
  readonly hashes: readonly Uint8Array[]
  /** As the log has served it. */
  readonly checkpoint: Uint8Array
}

const firstLine = 'c2sp.org/tlog-proof@v1'
/** An entry in base64, 53 hashes at most, and a checkpoint, of which notes take 64 KB. */
const mostProofBytes = Math.ceil((mostEntryBytes * 4) / 3) + 128 * 1024
/** A tree of 2^53 entries has no longer path. */
const mostHashes = 53

/** A proof as a file, by convention `….tlog-proof`. */
export function encodeProof({ index, entry, hashes, checkpoint }: LogProof): Uint8Array {
  const lines = [firstLine, `extra ${toBase64(entry)}`, `index ${index}`, ...hashes.map(toBase64), '', '']
  return concatBytes(utf8(lines.join('\n')), checkpoint)
}

/** Reverses `encodeProof`. @throws LogError malformed: not the format, or without the entry */
export function decodeProof(file: Uint8Array): LogProof {
  if (file.length > mostProofBytes) throw new LogError('malformed', 'the proof is too long')
  let text: string
  try {
    text = fromUtf8(file)
  } catch {
    throw new LogError('malformed', 'the proof is not UTF-8')
  }
  const end = text.indexOf('\n\n')
  const [first, extra = '', index = '', ...lines] = text.slice(0, Math.max(end, 0)).split('\n')
  if (first !== firstLine) throw new LogError('malformed', 'not a proof (c2sp.org/tlog-proof@v1)')
  const entry = extra.startsWith('extra ') ? fromBase64(extra.slice('extra '.length)) : undefined
  if (!entry) throw new LogError('malformed', 'the proof does not have its entry with it')
  const [, number] = /^index (0|[1-9]\d{0,15})$/.exec(index) ?? []
  const hashes = lines.map(fromBase64)
  const sound = hashes.length <= mostHashes && hashes.every((hash) => hash?.length === hashBytes)
  if (number === undefined || !Number.isSafeInteger(Number(number)) || !sound)
    throw new LogError('malformed', 'the proof has no index, or a line that is no hash')
  return { index: Number(number), entry, hashes: hashes as Uint8Array[], checkpoint: utf8(text.slice(end + 2)) }
}

/**
 * Whether the entry of a proof stands where it says, in a tree that the log's key has signed.
 *
 * @throws LogError bad-proof, malformed, unsigned, bad-signature, wrong-origin
 */
export function verifyProof(crypto: Crypto, proof: LogProof, log: NoteVerifier | LogPolicy): Checkpoint {
  const checkpoint = openCheckpoint(crypto, proof.checkpoint, log)
  verifyInclusion(crypto, proof.hashes, {
    leaf: leafHash(crypto, proof.entry),
    index: proof.index,
    tree: checkpoint,
  })
  return checkpoint
}
