import { type Crypto, concatBytes, utf8 } from '../crypto/index.ts'
import { ContentError } from './errors.ts'

/** SHA-256 in the registry of RFC 6920 §9.4: the first byte of every message id. */
const sha256Id = 1
export const messageIdLength = 32

export interface MessageIdInput {
  /** URI of the sender as a participant. */
  sender: string
  /** URI of the room. */
  room: string
  /** The whole encoded message, salt included. */
  encoded: Uint8Array
  salt: Uint8Array
}

/**
 * The id of a message (draft-ietf-mimi-content-08 §2.3): 0x01, then 31 bytes of SHA-256 over the sender's URI, the room's
 * URI (each behind its length in two bytes), the message, and the salt once more against extension of the hash. Sender
 * and room come from the group that carried the message, never from the message. Throws ContentError 'malformed' for a
 * URI of more than 65535 bytes.
 */
export function messageId(crypto: Crypto, { sender, room, encoded, salt }: MessageIdInput): Uint8Array {
  const hash = crypto.sha256(...withLength(sender), ...withLength(room), encoded, salt)
  return concatBytes(Uint8Array.of(sha256Id), hash.subarray(0, messageIdLength - 1))
}

/** Throws ContentError 'unknown-hash' for an id of another hash function (§9.1). */
export function requireKnownHash(id: Uint8Array): Uint8Array {
  if (id[0] !== sha256Id) throw new ContentError('unknown-hash', 'a message id of an unknown hash function')
  return id
}

function withLength(uri: string): [Uint8Array, Uint8Array] {
  const bytes = utf8(uri)
  if (bytes.length > 0xffff) throw new ContentError('malformed', 'a URI of more than 65535 bytes')
  return [Uint8Array.of(bytes.length >> 8, bytes.length & 0xff), bytes]
}
