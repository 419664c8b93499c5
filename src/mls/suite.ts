import type { CiphersuiteImpl, CiphersuiteName } from 'ts-mls'
import { getCiphersuiteFromName } from 'ts-mls/crypto/ciphersuite.js'
import { concatBytes, equalBytes } from '../crypto/index.ts'
import { createHpke } from './hpke.ts'
import { hkdf, type Platform } from './platform.ts'

/** Ciphersuite 0x0001 of RFC 9420 §17.1, the one of every room of ours. */
export const defaultSuite = 'MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519'

/** Cryptography for this room, of one ciphersuite. Made by `nodeMlsProvider` or `webMlsProvider`. */
export interface MlsProvider {
  readonly suite: CiphersuiteImpl
  /** The public HPKE key of a private one, both serialised. */
  hpkePublicKeyOf(privateKey: Uint8Array): Uint8Array
}

export type SuiteName = CiphersuiteName

/** The provider of one ciphersuite. Throws what the platform throws for an algorithm that it does not have. */
export function buildProvider(platform: Platform, name: SuiteName): MlsProvider {
  const kem = platform.kem(getCiphersuiteFromName(name).hpke.kem)
  return {
    suite: buildSuite(platform, name),
    hpkePublicKeyOf: (privateKey) =>
      kem.publicKeyOf(concatBytes(new Uint8Array(kem.privateKeyLength - privateKey.length), privateKey)),
  }
}

/** A ciphersuite as ts-mls wants it. */
function buildSuite(platform: Platform, name: SuiteName): CiphersuiteImpl {
  const suite = getCiphersuiteFromName(name)
  const kdf = hkdf(platform, hashOfKdf[suite.hpke.kdf])
  const scheme = platform.signature(suite.signature)
  return {
    name,
    hash: {
      digest: async (data) => platform.hash(suite.hash, data),
      mac: async (key, data) => platform.hmac(suite.hash, key, data),
      verifyMac: async (key, mac, data) => equalBytes(platform.hmac(suite.hash, key, data), mac),
    },
    kdf: {
      size: kdf.size,
      extract: async (salt, ikm) => kdf.extract(salt, ikm),
      expand: async (prk, info, length) => kdf.expand(prk, info, length),
    },
    signature: {
      sign: async (key, data) => scheme.sign(key, data),
      verify: async (key, data, signature) => scheme.verify(key, data, signature),
      keygen: async () => {
        const { publicKey, privateKey } = scheme.generate()
        return { publicKey, signKey: privateKey }
      },
    },
    rng: { randomBytes: (n) => platform.randomBytes(n) },
    hpke: createHpke(platform, suite.hpke, kdf),
  }
}

const hashOfKdf = { 'HKDF-SHA256': 'SHA-256', 'HKDF-SHA384': 'SHA-384', 'HKDF-SHA512': 'SHA-512' } as const
