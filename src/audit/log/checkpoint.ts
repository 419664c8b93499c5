import type { Crypto } from '../../crypto/index.ts'
import { fromBase64, toBase64 } from './base64.ts'
import { LogError } from './errors.ts'
import { hashBytes } from './hashes.ts'
import { type NoteSigner, type NoteVerifier, openNote, type RemoteSigner, signNote, signNoteBy } from './note.ts'
import { type LogPolicy, policyOf } from './policy.ts'
import type { TreeHead } from './proofs.ts'

/** What a log states and signs: https://c2sp.org/tlog-checkpoint */
export interface Checkpoint extends TreeHead {
  /** The log's name, which is the name of its key too. */
  readonly origin: string
}

/** A checkpoint as a signed note. */
export function signCheckpoint(tree: TreeHead, signer: NoteSigner): Uint8Array {
  return signNote(checkpointText(signer.verifier.name, tree), [signer])
}

/** A checkpoint that several keys of one name sign, which may lie elsewhere; at least one. */
export function signCheckpointBy(tree: TreeHead, signers: readonly RemoteSigner[]): Promise<Uint8Array> {
  return signNoteBy(checkpointText(signers[0]!.verifier.name, tree), signers)
}

const checkpointText = (origin: string, { size, root }: TreeHead) => `${origin}\n${size}\n${toBase64(root)}\n`

/**
 * A checkpoint that a key of the log has signed, and as many witnesses as the policy asks for.
 *
 * @throws LogError malformed, bad-signature, unsigned, unwitnessed, wrong-origin
 */
export function openCheckpoint(crypto: Crypto, note: Uint8Array, log: NoteVerifier | LogPolicy): Checkpoint {
  const { logs, witnesses, witnessed } = policyOf(log)
  const { text, by } = openNote(crypto, note, [...logs, ...witnesses])
  const signed = logs.filter((each) => by.includes(each))
  if (signed.length === 0) throw new LogError('unsigned', 'the note has no signature by a key that was given')
  const [origin = '', size = '', root = '', ...extensions] = text.slice(0, -1).split('\n')
  if (!signed.some(({ name }) => name === origin))
    throw new LogError('wrong-origin', 'the checkpoint is of another log')
  const bytes = fromBase64(root)
  if (!/^(0|[1-9]\d{0,15})$/.test(size) || !Number.isSafeInteger(Number(size)) || bytes?.length !== hashBytes)
    throw new LogError('malformed', 'the checkpoint has no size or no root')
  if (extensions.includes('')) throw new LogError('malformed', 'the checkpoint has an empty line')
  if (!witnessed(new Set(by))) throw new LogError('unwitnessed', 'too few witnesses have cosigned the checkpoint')
  return { origin, size: Number(size), root: bytes }
}
