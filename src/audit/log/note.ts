import { type Crypto, concatBytes, equalBytes, fromUtf8, toHex, utf8 } from '../../crypto/index.ts'
import { fromBase64, toBase64 } from './base64.ts'
import { LogError } from './errors.ts'

// Signed notes: https://c2sp.org/signed-note

/** Signature type of plain Ed25519 over the note's text. */
const ed25519 = 1
/** Signature type of a witness: Ed25519 over a time and the text (https://c2sp.org/tlog-cosignature). */
const cosignature = 4
const timestampBytes = 8
/** A note is read whole; a checkpoint with its signatures has a few kilobytes. */
const mostNoteBytes = 64 * 1024
/** The specification asks for 16 at least. */
const mostSignatures = 100
const keyIdBytes = 4
const signatureStart = '\u2014 '
const nameForm = /^[^\s+\p{C}]+$/u

/** A public key that notes are verified with: an Ed25519 key and the name that it signs for. */
export interface NoteVerifier {
  readonly name: string
  readonly publicKey: Uint8Array
  /** 1: signs notes. 4: cosigns checkpoints as a witness. */
  readonly type: typeof ed25519 | typeof cosignature
  /** The first four bytes of SHA-256(name, newline, type, key). */
  readonly keyId: Uint8Array
}

export interface NoteSigner {
  readonly verifier: NoteVerifier
  /** Signs the text of a note. */
  sign(text: Uint8Array): Uint8Array
}

/** The key of a note or, with type 4, of a witness. @throws LogError malformed */
export function noteVerifier(
  crypto: Crypto,
  name: string,
  publicKey: Uint8Array,
  type: NoteVerifier['type'] = ed25519,
): NoteVerifier {
  if (!nameForm.test(name)) throw new LogError('malformed', 'the name of a key has a space, a plus sign, or nothing')
  const keyId = crypto.sha256(utf8(`${name}\n`), Uint8Array.of(type), publicKey).subarray(0, keyIdBytes)
  return { name, publicKey, type, keyId }
}

export function noteSigner(crypto: Crypto, name: string, privateKey: Uint8Array): NoteSigner {
  return {
    verifier: noteVerifier(crypto, name, crypto.publicKeyOf(privateKey)),
    sign: (text) => crypto.sign(privateKey, text),
  }
}

/** The key as text, `name+hash+key`. */
export function encodeVerifier({ name, keyId, type, publicKey }: NoteVerifier): string {
  return `${name}+${toHex(keyId)}+${toBase64(concatBytes(Uint8Array.of(type), publicKey))}`
}

/** The same key for a log of another name. */
export function keyFor(crypto: Crypto, { publicKey, type }: NoteVerifier, name: string): NoteVerifier {
  return noteVerifier(crypto, name, publicKey, type)
}

/** Reverses `encodeVerifier`. @throws LogError malformed */
export function parseVerifier(crypto: Crypto, text: string): NoteVerifier {
  const [, name = '', hash = '', encoded = ''] = /^([^+]+)\+([0-9a-f]{8})\+(.+)$/.exec(text) ?? []
  const key = fromBase64(encoded)
  const type = key?.[0]
  if (key?.length !== 33 || (type !== ed25519 && type !== cosignature))
    throw new LogError('malformed', 'not a key of the form name+hash+key')
  const verifier = noteVerifier(crypto, name, key.subarray(1), type)
  if (toHex(verifier.keyId) !== hash) throw new LogError('malformed', 'the hash in the key is not of this key')
  return verifier
}

/** Signs a text, which ends with a newline. */
export function signNote(text: string, signers: readonly NoteSigner[]): Uint8Array {
  const lines = signers.map(({ verifier, sign }) => {
    const signature = concatBytes(verifier.keyId, sign(utf8(text)))
    return `${signatureStart}${verifier.name} ${toBase64(signature)}\n`
  })
  return utf8(`${text}\n${lines.join('')}`)
}

/** Signs a text by keys that may lie elsewhere. */
export async function signNoteBy(text: string, signers: readonly RemoteSigner[]): Promise<Uint8Array> {
  const signatures = await Promise.all(signers.map(({ sign }) => sign(utf8(text))))
  return signNote(
    text,
    signers.map(({ verifier }, i) => ({ verifier, sign: () => signatures[i]! })),
  )
}

/** A signer whose key may lie elsewhere. */
export interface RemoteSigner {
  readonly verifier: NoteVerifier
  sign(text: Uint8Array): Uint8Array | Promise<Uint8Array>
}

/** What a witness signs of a checkpoint's text at a time, in seconds since the epoch (tlog-cosignature). */
function cosignedText(text: string, time: bigint): Uint8Array {
  return utf8(`cosignature/v1\ntime ${time}\n${text}`)
}

function holds(crypto: Crypto, { type, publicKey }: NoteVerifier, text: string, signature: Uint8Array): boolean {
  if (type === ed25519) return crypto.verify(publicKey, utf8(text), signature)
  if (signature.length <= timestampBytes) return false
  const time = new DataView(signature.buffer, signature.byteOffset).getBigUint64(0)
  return crypto.verify(publicKey, cosignedText(text, time), signature.subarray(timestampBytes))
}

/**
 * The note with the cosignatures among these lines that hold; others are left out, also such as are there already.
 *
 * @throws LogError malformed
 */
export function addCosignatures(
  crypto: Crypto,
  note: Uint8Array,
  lines: string,
  witnesses: readonly NoteVerifier[],
): Uint8Array {
  const { text, signatures } = splitNote(note)
  const here =
    (verifier: NoteVerifier) =>
    ({ name, keyId }: NoteSignature) =>
      verifier.name === name && equalBytes(verifier.keyId, keyId)
  const added = lines
    .split('\n')
    .filter((line) => line !== '')
    .filter((line) => {
      const read = readSignature(line)
      const witness = witnesses.find((each) => here(each)(read))
      return witness && !signatures.some(here(witness)) && holds(crypto, witness, text, read.signature)
    })
  return concatBytes(note, utf8(added.map((line) => `${line}\n`).join('')))
}

/** Whether these have all signed the note. */
export function haveSigned(crypto: Crypto, note: Uint8Array, verifiers: readonly NoteVerifier[]): boolean {
  const { text, signatures } = splitNote(note)
  return verifiers.every((verifier) =>
    signatures.some(
      ({ name, keyId, signature }) =>
        name === verifier.name && equalBytes(keyId, verifier.keyId) && holds(crypto, verifier, text, signature),
    ),
  )
}

export interface OpenedNote {
  readonly text: string
  /** Of the given keys those that have signed. */
  readonly by: readonly NoteVerifier[]
}

/**
 * The text of a note that at least one of the keys has signed. Signatures by other keys are passed over; one that does not
 * hold, by a key that was given, spoils the note.
 *
 * @throws LogError malformed, bad-signature, unsigned
 */
export function openNote(crypto: Crypto, note: Uint8Array, verifiers: readonly NoteVerifier[]): OpenedNote {
  const { text, signatures } = splitNote(note)
  const by = new Set<NoteVerifier>()
  for (const { name, keyId, signature } of signatures) {
    const verifier = verifiers.find((each) => each.name === name && equalBytes(each.keyId, keyId))
    if (!verifier) continue
    if (!holds(crypto, verifier, text, signature))
      throw new LogError('bad-signature', 'a signature of the note does not hold')
    by.add(verifier)
  }
  if (by.size === 0) throw new LogError('unsigned', 'the note has no signature by a key that was given')
  return { text, by: [...by] }
}

interface NoteSignature {
  readonly name: string
  readonly keyId: Uint8Array
  readonly signature: Uint8Array
}

function splitNote(note: Uint8Array): { text: string; signatures: NoteSignature[] } {
  if (note.length > mostNoteBytes) throw new LogError('malformed', 'the note is too long')
  let whole: string
  try {
    whole = fromUtf8(note)
  } catch {
    throw new LogError('malformed', 'the note is not UTF-8')
  }
  const end = whole.lastIndexOf('\n\n')
  // Control characters could make a terminal show another text than the one that was signed.
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for
  if (end < 0 || !whole.endsWith('\n') || /[\x00-\x09\x0b-\x1f]/.test(whole))
    throw new LogError('malformed', 'the note has no text with signatures under it')
  const lines = whole.slice(end + 2, -1).split('\n')
  if (lines.length > mostSignatures) throw new LogError('malformed', 'the note has too many signatures')
  return { text: whole.slice(0, end + 1), signatures: lines.map(readSignature) }
}

function readSignature(line: string): NoteSignature {
  const [name = '', encoded = '', ...more] = line.slice(signatureStart.length).split(' ')
  const bytes = fromBase64(encoded)
  const sound = line.startsWith(signatureStart) && more.length === 0 && nameForm.test(name)
  if (!sound || !bytes || bytes.length <= keyIdBytes)
    throw new LogError('malformed', 'a line of signature cannot be read')
  return { name, keyId: bytes.subarray(0, keyIdBytes), signature: bytes.subarray(keyIdBytes) }
}
