import { gcm } from '@noble/ciphers/aes.js'
import { x25519 } from '@noble/curves/ed25519.js'
import { hmac } from '@noble/hashes/hmac.js'
import { sha256 } from '@noble/hashes/sha2.js'
import { webCrypto } from '../crypto/web.ts'
import { MlsError } from './errors.ts'
import type { Platform } from './platform.ts'
import { buildProvider, defaultSuite, type MlsProvider } from './suite.ts'

/** MLS cryptography over @noble, free of platform parts: ciphersuite 0x0001 only, which keeps the guest page small. */
export function webMlsProvider(): MlsProvider {
  return buildProvider(platform, defaultSuite)
}

const platform: Platform = {
  randomBytes: webCrypto.randomBytes,
  hash(algorithm, data) {
    requireAlgorithm(algorithm === 'SHA-256')
    return sha256(data)
  },
  hmac(algorithm, key, data) {
    requireAlgorithm(algorithm === 'SHA-256')
    return hmac(sha256, key, data)
  },
  aead(algorithm) {
    requireAlgorithm(algorithm === 'AES128GCM')
    return {
      keyLength: 16,
      seal: (key, nonce, aad, plaintext) => gcm(key, nonce, aad).encrypt(plaintext),
      open: (key, nonce, aad, ciphertext) => gcm(key, nonce, aad).decrypt(ciphertext),
    }
  },
  kem(algorithm) {
    requireAlgorithm(algorithm === 'DHKEM-X25519-HKDF-SHA256')
    return {
      hash: 'SHA-256',
      privateKeyLength: 32,
      publicKeyLength: 32,
      counted: false,
      candidate: (bytes) => bytes,
      generate: () => webCrypto.randomBytes(32),
      publicKeyOf: (privateKey) => x25519.getPublicKey(privateKey),
      agree: (privateKey, publicKey) => x25519.getSharedSecret(privateKey, publicKey),
    }
  },
  signature(algorithm) {
    requireAlgorithm(algorithm === 'Ed25519')
    return { sign: webCrypto.sign, verify: webCrypto.verify, generate: webCrypto.generateKeyPair }
  },
}

function requireAlgorithm(known: boolean): void {
  if (!known) throw new MlsError('unsupported', 'this provider has ciphersuite 0x0001 only')
}
