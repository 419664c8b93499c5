import { gcm } from '@noble/ciphers/aes.js'
import { ed25519 } from '@noble/curves/ed25519.js'
import { hkdf } from '@noble/hashes/hkdf.js'
import { hmac } from '@noble/hashes/hmac.js'
import { sha256, sha512 } from '@noble/hashes/sha2.js'
import { concatBytes, equalBytes, utf8 } from './bytes.ts'
import { CryptoError, requireLength } from './errors.ts'
import { isUsablePublicKey } from './public-key.ts'
import type { Crypto } from './types.ts'

const { Point } = ed25519

/** The primitives over @noble: synchronous and free of platform parts, for browsers (and anywhere else). */
export const webCrypto: Crypto = {
  randomBytes,
  sha256(...parts) {
    const hash = sha256.create()
    for (const part of parts) hash.update(part)
    return hash.digest()
  },
  hmacSha256: (key, data) => hmac(sha256, key, data),
  hkdfSha256(secret, salt, info, length) {
    if (!(length >= 1 && length <= 8160)) throw new CryptoError('bad-argument', 'length out of range')
    return hkdf(sha256, secret, salt, typeof info === 'string' ? utf8(info) : info, length)
  },
  generateKeyPair() {
    const privateKey = randomBytes(32)
    return { publicKey: ed25519.getPublicKey(privateKey), privateKey }
  },
  publicKeyOf(privateKey) {
    requireLength(privateKey, 32, 'private key')
    return ed25519.getPublicKey(privateKey)
  },
  sign(privateKey, data) {
    requireLength(privateKey, 32, 'private key')
    return ed25519.sign(data, privateKey)
  },
  verify(publicKey, data, signature) {
    if (signature.length !== 64 || !isUsablePublicKey(publicKey)) return false
    // noble's own verify multiplies by the cofactor, OpenSSL does not: see Crypto.verify
    const r = signature.subarray(0, 32)
    const s = littleEndian(signature.subarray(32))
    if (s >= Point.Fn.ORDER) return false
    const k = Point.Fn.create(littleEndian(sha512(concatBytes(r, publicKey, data))))
    try {
      const a = Point.fromBytes(publicKey)
      const expected = Point.BASE.multiplyUnsafe(s).subtract(a.multiplyUnsafe(k))
      return equalBytes(expected.toBytes(), r)
    } catch {
      return false // the public key is no point of the curve
    }
  },
  seal(key, plaintext, aad) {
    requireLength(key, 32, 'key')
    const nonce = randomBytes(12)
    return concatBytes(nonce, gcm(key, nonce, aad).encrypt(plaintext))
  },
  open(key, sealed, aad) {
    requireLength(key, 32, 'key')
    if (sealed.length < 28) throw new CryptoError('cannot-open', 'sealed bytes are too short')
    try {
      return gcm(key, sealed.subarray(0, 12), aad).decrypt(sealed.subarray(12))
    } catch (cause) {
      throw new CryptoError('cannot-open', 'sealed bytes do not open', { cause })
    }
  },
}

function randomBytes(n: number): Uint8Array {
  if (!(n >= 0 && n <= 65536)) throw new CryptoError('bad-argument', 'too many random bytes asked for')
  return globalThis.crypto.getRandomValues(new Uint8Array(n))
}

function littleEndian(bytes: Uint8Array): bigint {
  let value = 0n
  for (let i = bytes.length - 1; i >= 0; i--) value = (value << 8n) | BigInt(bytes[i]!)
  return value
}
