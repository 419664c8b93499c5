import type { KeyPackage, PrivateKeyPackage } from 'ts-mls'
import { mapDecoders } from 'ts-mls/codec/tlsDecoder.js'
import { composeBufferEncoders, encode } from 'ts-mls/codec/tlsEncoder.js'
import { decodeVarLenData, varLenDataEncoder } from 'ts-mls/codec/variableLength.js'
import { generateKeyPackageWithKey, makeKeyPackageRef } from 'ts-mls/keyPackage.js'
import type { KeyPair } from '../crypto/index.ts'
import { decodeAll } from './decode.ts'
import { extensionTypes, supportedExtensions } from './extensions.ts'
import { encodeMessage } from './messages.ts'
import type { MlsProvider } from './suite.ts'

export interface KeyPackageOptions {
  identity: Uint8Array
  /** The device's signature key. */
  keyPair: KeyPair
  /** Seconds since the epoch. */
  notBefore: number
  notAfter: number
  /** May be handed out more than once when all others are used up (extension last_resort). */
  lastResort?: boolean
}

export interface GeneratedKeyPackage {
  /** MLSMessage with the KeyPackage. */
  publicPart: Uint8Array
  /** Its private keys and the signature key: for the storage of this device only. */
  privatePart: Uint8Array
  reference: Uint8Array
}

export interface StoredKeyPackage {
  publicPart: Uint8Array
  privatePart: Uint8Array
}

/** Makes a KeyPackage (RFC 9420 §10): fresh init and encryption keys under the device's signature key. */
export async function generateKeyPackage(mls: MlsProvider, options: KeyPackageOptions): Promise<GeneratedKeyPackage> {
  const made = await makeKeyPackage(mls, options)
  return {
    publicPart: encodeMessage({ version: 'mls10', wireformat: 'mls_key_package', keyPackage: made.keyPackage }),
    privatePart: encodePrivate(made.privateKeys),
    reference: await makeKeyPackageRef(made.keyPackage, mls.suite.hash),
  }
}

export async function makeKeyPackage(
  mls: MlsProvider,
  { identity, keyPair, notBefore, notAfter, lastResort }: KeyPackageOptions,
): Promise<{ keyPackage: KeyPackage; privateKeys: PrivateKeyPackage }> {
  const { publicPackage, privatePackage } = await generateKeyPackageWithKey(
    { credentialType: 'basic', identity },
    {
      versions: ['mls10'],
      ciphersuites: [mls.suite.name],
      extensions: [...supportedExtensions],
      proposals: [],
      credentials: ['basic'],
    },
    { notBefore: BigInt(notBefore), notAfter: BigInt(notAfter) },
    lastResort ? [{ extensionType: extensionTypes.lastResort, extensionData: new Uint8Array() }] : [],
    { publicKey: keyPair.publicKey, signKey: keyPair.privateKey },
    mls.suite,
  )
  return { keyPackage: publicPackage, privateKeys: privatePackage }
}

const privateEncoder = /* @__PURE__ */ composeBufferEncoders([varLenDataEncoder, varLenDataEncoder, varLenDataEncoder])
const privateDecoder = /* @__PURE__ */ mapDecoders(
  [decodeVarLenData, decodeVarLenData, decodeVarLenData],
  (initPrivateKey, hpkePrivateKey, signaturePrivateKey): PrivateKeyPackage => ({
    initPrivateKey,
    hpkePrivateKey,
    signaturePrivateKey,
  }),
)

export function encodePrivate(keys: PrivateKeyPackage): Uint8Array {
  return encode(privateEncoder)([keys.initPrivateKey, keys.hpkePrivateKey, keys.signaturePrivateKey])
}

export function decodePrivate(bytes: Uint8Array): PrivateKeyPackage {
  return decodeAll(privateDecoder, bytes, 'private part of a KeyPackage')
}
