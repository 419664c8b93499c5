import type { Ciphersuite } from 'ts-mls'
import { concatBytes } from '../crypto/index.ts'

/** What a platform brings; everything else of a ciphersuite is built from it. All of it is synchronous. */
export interface Platform {
  randomBytes(n: number): Uint8Array
  hash(algorithm: Ciphersuite['hash'], data: Uint8Array): Uint8Array
  hmac(algorithm: Ciphersuite['hash'], key: Uint8Array, data: Uint8Array): Uint8Array
  aead(algorithm: Ciphersuite['hpke']['aead']): Aead
  kem(algorithm: Ciphersuite['hpke']['kem']): Kem
  signature(algorithm: Ciphersuite['signature']): SignatureScheme
}

export interface SignatureScheme {
  sign(privateKey: Uint8Array, data: Uint8Array): Uint8Array
  verify(publicKey: Uint8Array, data: Uint8Array, signature: Uint8Array): boolean
  generate(): { publicKey: Uint8Array; privateKey: Uint8Array }
}

/** An AEAD of RFC 9180 §7.3. `open` throws when the tag is wrong. */
export interface Aead {
  keyLength: number
  seal(key: Uint8Array, nonce: Uint8Array, aad: Uint8Array, plaintext: Uint8Array): Uint8Array
  open(key: Uint8Array, nonce: Uint8Array, aad: Uint8Array, ciphertext: Uint8Array): Uint8Array
}

/** A Diffie-Hellman group of RFC 9180 §7.1. Keys are in their serialised form; wrong ones make `agree` throw. */
export interface Kem {
  hash: Ciphersuite['hash']
  privateKeyLength: number
  publicKeyLength: number
  /** One candidate for a private key (RFC 9180 §7.1.3): undefined when these bytes are none, then the next are asked. */
  candidate(bytes: Uint8Array): Uint8Array | undefined
  /** Whether DeriveKeyPair counts candidates (NIST curves) or takes the one (X25519, X448). */
  counted: boolean
  generate(): Uint8Array
  publicKeyOf(privateKey: Uint8Array): Uint8Array
  agree(privateKey: Uint8Array, publicKey: Uint8Array): Uint8Array
}

/** In bytes; in each suite of RFC 9420 the KDF is over the same hash. */
export const hashSizes = { 'SHA-256': 32, 'SHA-384': 48, 'SHA-512': 64 } as const

/** HKDF (RFC 5869) over a hash of the platform. */
export function hkdf(platform: Platform, algorithm: Ciphersuite['hash']) {
  const size = hashSizes[algorithm]
  return {
    size,
    extract: (salt: Uint8Array, ikm: Uint8Array): Uint8Array =>
      platform.hmac(algorithm, salt.length === 0 ? new Uint8Array(size) : salt, ikm),
    expand(prk: Uint8Array, info: Uint8Array, length: number): Uint8Array {
      const blocks: Uint8Array[] = []
      let block: Uint8Array = new Uint8Array()
      for (let counter = 1; (counter - 1) * size < length; counter++) {
        block = platform.hmac(algorithm, prk, concatBytes(block, info, Uint8Array.of(counter)))
        blocks.push(block)
      }
      return concatBytes(...blocks).slice(0, length)
    },
  }
}

export type Hkdf = ReturnType<typeof hkdf>
