import {
  createCipheriv,
  createDecipheriv,
  createECDH,
  createHmac,
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
  hash,
  type KeyObject,
  sign,
  verify,
} from 'node:crypto'
import { concatBytes } from '../crypto/index.ts'
import { nodeCrypto, secretKey } from '../crypto/node.ts'
import { MlsError } from './errors.ts'
import type { Aead, Kem, Platform, SignatureScheme } from './platform.ts'
import { buildProvider, defaultSuite, type MlsProvider, type SuiteName } from './suite.ts'

/** MLS cryptography over node:crypto (OpenSSL), for servers: all seven ciphersuites of RFC 9420 §17.1. */
export function nodeMlsProvider(suite: SuiteName = defaultSuite): MlsProvider {
  return buildProvider(platform, suite)
}

const digests = { 'SHA-256': 'sha256', 'SHA-384': 'sha384', 'SHA-512': 'sha512' } as const

const platform: Platform = {
  randomBytes: nodeCrypto.randomBytes,
  hash: (algorithm, data) => plain(hash(digests[algorithm], data, 'buffer')),
  hmac: (algorithm, key, data) => plain(createHmac(digests[algorithm], secretKey(key)).update(data).digest()),
  aead(algorithm) {
    if (algorithm === 'AES128GCM') return aead('aes-128-gcm', 16)
    if (algorithm === 'AES256GCM') return aead('aes-256-gcm', 32)
    return aead('chacha20-poly1305', 32)
  },
  kem(algorithm) {
    if (algorithm === 'DHKEM-X25519-HKDF-SHA256') return montgomery(x25519, 32, 'SHA-256')
    if (algorithm === 'DHKEM-X448-HKDF-SHA512') return montgomery(x448, 56, 'SHA-512')
    if (algorithm === 'DHKEM-P256-HKDF-SHA256') return weierstrass('prime256v1', 32, 0xff, 'SHA-256')
    if (algorithm === 'DHKEM-P384-HKDF-SHA384') return weierstrass('secp384r1', 48, 0xff, 'SHA-384')
    if (algorithm === 'DHKEM-P521-HKDF-SHA512') return weierstrass('secp521r1', 66, 0x01, 'SHA-512')
    throw unsupported()
  },
  signature(algorithm) {
    if (algorithm === 'Ed25519')
      return { sign: nodeCrypto.sign, verify: nodeCrypto.verify, generate: nodeCrypto.generateKeyPair }
    if (algorithm === 'Ed448') return edwards448
    if (algorithm === 'P256') return ecdsa('P-256', 'prime256v1', 32, 'sha256')
    if (algorithm === 'P384') return ecdsa('P-384', 'secp384r1', 48, 'sha384')
    if (algorithm === 'P521') return ecdsa('P-521', 'secp521r1', 66, 'sha512')
    throw unsupported()
  },
}

function unsupported(): MlsError {
  return new MlsError('unsupported', 'no such algorithm in this provider')
}

function aead(cipher: 'aes-128-gcm' | 'aes-256-gcm' | 'chacha20-poly1305', keyLength: number): Aead {
  const tagLength = 16
  // the three ciphers have one interface; the types name them apart
  const name = cipher as 'aes-128-gcm'
  return {
    keyLength,
    seal(key, nonce, aad, plaintext) {
      const sealing = createCipheriv(name, secretKey(key), nonce, { authTagLength: tagLength })
      sealing.setAAD(aad, { plaintextLength: plaintext.length })
      return concatBytes(sealing.update(plaintext), sealing.final(), sealing.getAuthTag())
    },
    open(key, nonce, aad, ciphertext) {
      const length = ciphertext.length - tagLength
      if (length < 0) throw new RangeError('ciphertext shorter than its tag')
      const opening = createDecipheriv(name, secretKey(key), nonce, { authTagLength: tagLength })
      opening.setAAD(aad, { plaintextLength: length })
      opening.setAuthTag(ciphertext.subarray(length))
      return concatBytes(opening.update(ciphertext.subarray(0, length)), opening.final())
    },
  }
}

interface DerHeads {
  pkcs8: string
  spki: string
}

// DER up to the key itself (RFC 8410 §4, §7)
const x25519: DerHeads = { pkcs8: '302e020100300506032b656e04220420', spki: '302a300506032b656e032100' }
const x448: DerHeads = { pkcs8: '3046020100300506032b656f043a0438', spki: '3042300506032b656f033900' }
const ed448: DerHeads = { pkcs8: '3047020100300506032b6571043b0439', spki: '3043300506032b6571033a00' }

function privateKeyObject(heads: DerHeads, key: Uint8Array): KeyObject {
  return createPrivateKey({ key: Buffer.concat([Buffer.from(heads.pkcs8, 'hex'), key]), format: 'der', type: 'pkcs8' })
}

function publicKeyObject(heads: DerHeads, key: Uint8Array): KeyObject {
  return createPublicKey({ key: Buffer.concat([Buffer.from(heads.spki, 'hex'), key]), format: 'der', type: 'spki' })
}

function rawPublicKey(heads: DerHeads, privateKey: KeyObject): Uint8Array {
  const spki = createPublicKey(privateKey).export({ format: 'der', type: 'spki' })
  return Uint8Array.from(spki.subarray(heads.spki.length / 2))
}

function montgomery(heads: DerHeads, length: number, kemHash: Kem['hash']): Kem {
  return {
    hash: kemHash,
    privateKeyLength: length,
    publicKeyLength: length,
    counted: false,
    candidate: (bytes) => bytes,
    generate: () => nodeCrypto.randomBytes(length),
    publicKeyOf: (privateKey) => rawPublicKey(heads, privateKeyObject(heads, privateKey)),
    // OpenSSL refuses the all-zero result (RFC 9180 §7.1.4)
    agree: (privateKey, publicKey) =>
      plain(
        diffieHellman({
          privateKey: privateKeyObject(heads, privateKey),
          publicKey: publicKeyObject(heads, publicKey),
        }),
      ),
  }
}

function weierstrass(curve: string, length: number, mask: number, kemHash: Kem['hash']): Kem {
  const publicKeyOf = (privateKey: Uint8Array): Uint8Array => {
    const ecdh = createECDH(curve)
    ecdh.setPrivateKey(privateKey)
    return plain(ecdh.getPublicKey())
  }
  return {
    hash: kemHash,
    privateKeyLength: length,
    publicKeyLength: 2 * length + 1,
    counted: true,
    candidate(bytes) {
      const masked = Uint8Array.from(bytes)
      masked[0]! &= mask
      try {
        publicKeyOf(masked)
        return masked
      } catch {
        return undefined // zero, or not below the order
      }
    },
    generate() {
      const ecdh = createECDH(curve)
      ecdh.generateKeys()
      const privateKey = ecdh.getPrivateKey()
      return concatBytes(new Uint8Array(length - privateKey.length), privateKey)
    },
    publicKeyOf,
    agree(privateKey, publicKey) {
      const ecdh = createECDH(curve)
      ecdh.setPrivateKey(privateKey)
      return plain(ecdh.computeSecret(publicKey))
    },
  }
}

const edwards448: SignatureScheme = {
  sign: (privateKey, data) => plain(sign(null, data, privateKeyObject(ed448, privateKey))),
  verify: (publicKey, data, signature) => verify(null, data, publicKeyObject(ed448, publicKey), signature),
  generate() {
    const privateKey = nodeCrypto.randomBytes(57)
    return { privateKey, publicKey: rawPublicKey(ed448, privateKeyObject(ed448, privateKey)) }
  },
}

/** ECDSA with DER signatures and uncompressed points (RFC 9420 §5.1.2). */
function ecdsa(crv: string, curve: string, length: number, digest: string): SignatureScheme {
  const coordinates = (publicKey: Uint8Array) => {
    if (publicKey.length !== 2 * length + 1 || publicKey[0] !== 4) throw new RangeError('not an uncompressed point')
    return {
      kty: 'EC',
      crv,
      x: Buffer.from(publicKey.subarray(1, 1 + length)).toString('base64url'),
      y: Buffer.from(publicKey.subarray(1 + length)).toString('base64url'),
    }
  }
  return {
    sign(privateKey, data) {
      const ecdh = createECDH(curve)
      ecdh.setPrivateKey(privateKey)
      const d = concatBytes(new Uint8Array(length - privateKey.length), privateKey)
      const jwk = { ...coordinates(ecdh.getPublicKey()), d: Buffer.from(d).toString('base64url') }
      return plain(sign(digest, data, createPrivateKey({ key: jwk, format: 'jwk' })))
    },
    verify(publicKey, data, signature) {
      try {
        return verify(digest, data, createPublicKey({ key: coordinates(publicKey), format: 'jwk' }), signature)
      } catch {
        return false // the key comes from the network
      }
    },
    generate() {
      const { privateKey } = generateKeyPairSync('ec', { namedCurve: curve })
      const { d } = privateKey.export({ format: 'jwk' })
      const ecdh = createECDH(curve)
      const bytes = plain(Buffer.from(d!, 'base64url'))
      ecdh.setPrivateKey(bytes)
      return { privateKey: bytes, publicKey: plain(ecdh.getPublicKey()) }
    },
  }
}

/** A Buffer's slice() shares its memory: callers get plain arrays. */
function plain(buffer: Buffer): Uint8Array {
  return new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.length)
}
