import type { Crypto } from '../../crypto/index.ts'
import { fromBase64, toBase64 } from './base64.ts'
import { LogError } from './errors.ts'
import { hashBytes } from './hashes.ts'
import { type NoteSigner, type NoteVerifier, openNote, signNote } from './note.ts'
import type { TreeHead } from './proofs.ts'

/** What a log states and signs: https://c2sp.org/tlog-checkpoint */
export interface Checkpoint extends TreeHead {
  /** The log's name, which is the name of its key too. */
  readonly origin: string
}

/** A checkpoint as a signed note. */
export function signCheckpoint(tree: TreeHead, signer: NoteSigner): Uint8Array {
  return signNote(`${signer.verifier.name}\n${tree.size}\n${toBase64(tree.root)}\n`, [signer])
}

/** A checkpoint that the log's key has signed. @throws LogError malformed, bad-signature, unsigned, wrong-origin */
export function openCheckpoint(crypto: Crypto, note: Uint8Array, log: NoteVerifier): Checkpoint {
  const [origin, size = '', root = '', ...extensions] = openNote(crypto, note, [log]).text.slice(0, -1).split('\n')
  if (origin !== log.name) throw new LogError('wrong-origin', 'the checkpoint is of another log')
  const bytes = fromBase64(root)
  if (!/^(0|[1-9]\d{0,15})$/.test(size) || !Number.isSafeInteger(Number(size)) || bytes?.length !== hashBytes)
    throw new LogError('malformed', 'the checkpoint has no size or no root')
  if (extensions.includes('')) throw new LogError('malformed', 'the checkpoint has an empty line')
  return { origin, size: Number(size), root: bytes }
}
