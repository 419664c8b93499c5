import { type Crypto, CryptoError, concatBytes, equalBytes, utf8 } from '../crypto/index.ts'
import { StoreError } from './errors.ts'

/** Seals what must not be readable in the database, its log, its backups or a query's parameters. */
export interface Sealer {
  /** `context` names the place, `table|column|row`: what was sealed for one place cannot be opened at another. */
  seal(plaintext: Uint8Array, context: string): Uint8Array
  /** @throws StoreError `sealed` */
  open(sealed: Uint8Array, context: string): Uint8Array
}

const version = 1
const keyIdLength = 8
const overhead = 1 + keyIdLength

/**
 * A sealer over a ring of 32-byte keys: the first seals, all open. Layout: version, key id (8 bytes), nonce, ciphertext,
 * tag (AES-256-GCM). Each place has a key of its own, derived from the ring's key and the context by HKDF: a random nonce
 * is good for 2^32 uses of one key, which all rows of a busy service together would reach.
 */
export function createSealer(crypto: Crypto, keys: readonly Uint8Array[]): Sealer {
  const ring = keys.map((key) => {
    if (key.length !== 32) throw new StoreError('sealed', 'a sealing key must have 32 bytes')
    return { key, id: crypto.sha256(utf8('silta sealing key id'), key).subarray(0, keyIdLength) }
  })
  const [current] = ring
  if (!current) throw new StoreError('sealed', 'there is no sealing key')
  const header = concatBytes(Uint8Array.of(version), current.id)
  const keyFor = (key: Uint8Array, place: string) =>
    crypto.hkdfSha256(key, new Uint8Array(), `silta sealed value|${place}`, 32)
  const idOf = (sealed: Uint8Array) => {
    if (sealed.length < overhead || sealed[0] !== version) throw cannotOpen(sealed, 'is not a sealed value')
    return sealed.subarray(1, overhead)
  }
  return {
    seal(plaintext, context) {
      return concatBytes(
        header,
        crypto.seal(keyFor(current.key, context), plaintext, concatBytes(header, utf8(context))),
      )
    },
    open(sealed, context) {
      const id = idOf(sealed)
      const match = ring.find((entry) => equalBytes(entry.id, id))
      if (!match) throw cannotOpen(sealed, 'was sealed under a key that is not in the ring')
      const aad = concatBytes(sealed.subarray(0, overhead), utf8(context))
      try {
        return crypto.open(keyFor(match.key, context), sealed.subarray(overhead), aad)
      } catch (error) {
        if (error instanceof CryptoError) throw cannotOpen(sealed, 'was changed, or belongs to another place')
        throw error
      }
    },
  }
}

function cannotOpen(sealed: Uint8Array, why: string): StoreError {
  return new StoreError('sealed', `a value of ${sealed.length} bytes cannot be opened: it ${why}`)
}
