import type { Ciphersuite, Hpke } from 'ts-mls'
import { CryptoError } from 'ts-mls/mlsError.js'
import { concatBytes, utf8 } from '../crypto/index.ts'
import { type Hkdf, hkdf, type Platform } from './platform.ts'

type PublicKey = Awaited<ReturnType<Hpke['importPublicKey']>>
type PrivateKey = Awaited<ReturnType<Hpke['importPrivateKey']>>

const kemIds: Record<string, number> = {
  'DHKEM-P256-HKDF-SHA256': 0x10,
  'DHKEM-P384-HKDF-SHA384': 0x11,
  'DHKEM-P521-HKDF-SHA512': 0x12,
  'DHKEM-X25519-HKDF-SHA256': 0x20,
  'DHKEM-X448-HKDF-SHA512': 0x21,
}
const kdfIds = { 'HKDF-SHA256': 1, 'HKDF-SHA384': 2, 'HKDF-SHA512': 3 }
const aeadIds = { AES128GCM: 1, AES256GCM: 2, CHACHA20POLY1305: 3 }
const nonceLength = 12
const empty = new Uint8Array()

/** HPKE in base mode (RFC 9180), single-shot, in the shape that ts-mls asks for. Keys are their serialised bytes. */
export function createHpke(platform: Platform, suite: Ciphersuite['hpke'], kdf: Hkdf): Hpke {
  const kem = platform.kem(suite.kem)
  const aead = platform.aead(suite.aead)
  const kemKdf = labeled(hkdf(platform, kem.hash), concatBytes(utf8('KEM'), uint16(kemIds[suite.kem]!)))
  const hpkeId = concatBytes(uint16(kemIds[suite.kem]!), uint16(kdfIds[suite.kdf]), uint16(aeadIds[suite.aead]))
  const hpkeKdf = labeled(kdf, concatBytes(utf8('HPKE'), hpkeId))
  const pskIdHash = hpkeKdf.extract(empty, 'psk_id_hash', empty)

  function deriveKeyPair(ikm: Uint8Array) {
    const prk = kemKdf.extract(empty, 'dkp_prk', ikm)
    for (let counter = 0; counter < 256; counter++) {
      const bytes = kem.counted
        ? kemKdf.expand(prk, 'candidate', Uint8Array.of(counter), kem.privateKeyLength)
        : kemKdf.expand(prk, 'sk', empty, kem.privateKeyLength)
      const privateKey = kem.candidate(bytes)
      if (privateKey !== undefined) return pair(privateKey)
    }
    throw new CryptoError('no key pair derived')
  }

  function pair(privateKey: Uint8Array) {
    return {
      privateKey: privateKey as unknown as PrivateKey,
      publicKey: kem.publicKeyOf(privateKey) as unknown as PublicKey,
    }
  }

  /** ExtractAndExpand of RFC 9180 §4.1. */
  function sharedSecret(dh: Uint8Array, enc: Uint8Array, recipient: Uint8Array): Uint8Array {
    const prk = kemKdf.extract(empty, 'eae_prk', dh)
    return kemKdf.expand(prk, 'shared_secret', concatBytes(enc, recipient), hkdf(platform, kem.hash).size)
  }

  function encapsulate(recipient: Uint8Array) {
    const ephemeral = kem.generate()
    const enc = kem.publicKeyOf(ephemeral)
    return { enc, secret: sharedSecret(kem.agree(ephemeral, recipient), enc, recipient) }
  }

  function decapsulate(privateKey: Uint8Array, enc: Uint8Array): Uint8Array {
    return sharedSecret(kem.agree(privateKey, enc), enc, kem.publicKeyOf(privateKey))
  }

  /** KeySchedule of RFC 9180 §5.1 in base mode; the one nonce is the base nonce, since nothing is sealed twice. */
  function schedule(secret: Uint8Array, info: Uint8Array) {
    const context = concatBytes(Uint8Array.of(0), pskIdHash, hpkeKdf.extract(empty, 'info_hash', info))
    const prk = hpkeKdf.extract(secret, 'secret', empty)
    return {
      key: () => hpkeKdf.expand(prk, 'key', context, aead.keyLength),
      nonce: () => hpkeKdf.expand(prk, 'base_nonce', context, nonceLength),
      export: (exporterContext: Uint8Array, length: number) =>
        hpkeKdf.expand(hpkeKdf.expand(prk, 'exp', context, kdf.size), 'sec', exporterContext, length),
    }
  }

  return {
    keyLength: aead.keyLength,
    nonceLength,
    async seal(publicKey, plaintext, info, aad) {
      const { enc, secret } = encapsulate(bytesOf(publicKey))
      const { key, nonce } = schedule(secret, info)
      return { enc, ct: aead.seal(key(), nonce(), aad ?? empty, plaintext) }
    },
    open: (privateKey, enc, ciphertext, info, aad) =>
      refusing(() => {
        const { key, nonce } = schedule(decapsulate(bytesOf(privateKey), enc), info)
        return aead.open(key(), nonce(), aad ?? empty, ciphertext)
      }),
    async exportSecret(publicKey, exporterContext, length, info) {
      const { enc, secret } = encapsulate(bytesOf(publicKey))
      return { enc, secret: schedule(secret, info).export(exporterContext, length) }
    },
    importSecret: (privateKey, exporterContext, enc, length, info) =>
      refusing(() => schedule(decapsulate(bytesOf(privateKey), enc), info).export(exporterContext, length)),
    importPublicKey: (bytes) =>
      refusing(() => {
        if (bytes.length !== kem.publicKeyLength) throw new RangeError('public key of a wrong length')
        return bytes as unknown as PublicKey
      }),
    importPrivateKey: (bytes) =>
      refusing(() => {
        // some implementations leave off leading zeros: mlswg/mls-implementations issue 176
        if (bytes.length > kem.privateKeyLength) throw new RangeError('private key of a wrong length')
        const padded = concatBytes(new Uint8Array(kem.privateKeyLength - bytes.length), bytes)
        return padded as unknown as PrivateKey
      }),
    exportPublicKey: async (key) => bytesOf(key),
    exportPrivateKey: async (key) => bytesOf(key),
    encryptAead: async (key, nonce, aad, plaintext) => aead.seal(key, nonce, aad ?? empty, plaintext),
    decryptAead: (key, nonce, aad, ciphertext) => refusing(() => aead.open(key, nonce, aad ?? empty, ciphertext)),
    deriveKeyPair: async (ikm) => deriveKeyPair(ikm),
    generateKeyPair: async () => pair(kem.generate()),
  }
}

/** LabeledExtract and LabeledExpand of RFC 9180 §4. */
function labeled(kdf: Hkdf, suiteId: Uint8Array) {
  const version = utf8('HPKE-v1')
  return {
    extract: (salt: Uint8Array, label: string, ikm: Uint8Array) =>
      kdf.extract(salt, concatBytes(version, suiteId, utf8(label), ikm)),
    expand: (prk: Uint8Array, label: string, info: Uint8Array, length: number) =>
      kdf.expand(prk, concatBytes(uint16(length), version, suiteId, utf8(label), info), length),
  }
}

async function refusing<T>(f: () => T): Promise<T> {
  try {
    return f()
  } catch (cause) {
    throw Object.assign(new CryptoError('cryptography refused its input'), { cause })
  }
}

function bytesOf(key: PublicKey | PrivateKey): Uint8Array {
  return key as unknown as Uint8Array
}

function uint16(n: number): Uint8Array {
  return Uint8Array.of(n >> 8, n & 0xff)
}
