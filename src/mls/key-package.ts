import type { KeyPackage, PrivateKeyPackage } from 'ts-mls'
import { mapDecoders } from 'ts-mls/codec/tlsDecoder.js'
import { composeBufferEncoders, encode } from 'ts-mls/codec/tlsEncoder.js'
import { decodeVarLenData, varLenDataEncoder } from 'ts-mls/codec/variableLength.js'
import { generateKeyPackageWithKey, makeKeyPackageRef, verifyKeyPackage } from 'ts-mls/keyPackage.js'
import { verifyLeafNodeSignatureKeyPackage } from 'ts-mls/leafNode.js'
import type { KeyPair } from '../crypto/index.ts'
import { MlsError, translating } from './errors.ts'
import { checkExtensions, extensionTypes, supportedExtensions } from './extensions.ts'
import { decodeMessage, encodeMessage } from './messages.ts'
import type { MlsProvider } from './suite.ts'
import { checkMembers, claimOf } from './tree.ts'
import type { LeafClaim } from './types.ts'

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

export interface KeyPackageView extends LeafClaim {
  /** KeyPackageRef (RFC 9420 §5.2), by which a Welcome names it. */
  reference: Uint8Array
  /** Seconds since the epoch. */
  notBefore: number
  notAfter: number
  lastResort: boolean
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

/**
 * Decodes and verifies a KeyPackage (RFC 9420 §10.1): both signatures, suite, keys, capabilities. Not who it belongs to
 * and whether its lifetime is now; those are the caller's. Throws MlsError.
 */
export async function readKeyPackage(mls: MlsProvider, bytes: Uint8Array): Promise<KeyPackageView> {
  const keyPackage = await decodeKeyPackage(mls, bytes)
  const { lifetime } = keyPackage.leafNode
  return {
    ...claimOf(keyPackage.leafNode),
    reference: await makeKeyPackageRef(keyPackage, mls.suite.hash),
    notBefore: seconds(lifetime.notBefore),
    notAfter: seconds(lifetime.notAfter),
    lastResort: keyPackage.extensions.some((each) => each.extensionType === extensionTypes.lastResort),
  }
}

/** A KeyPackage that holds by itself. */
export async function decodeKeyPackage(mls: MlsProvider, bytes: Uint8Array): Promise<KeyPackage> {
  const { keyPackage } = decodeMessage(bytes, 'mls_key_package')
  if (keyPackage.cipherSuite !== mls.suite.name || keyPackage.version !== 'mls10')
    throw new MlsError('unsupported', 'a KeyPackage of another suite')
  checkExtensions(keyPackage.extensions)
  checkExtensions(keyPackage.leafNode.extensions)
  checkMembers([keyPackage.leafNode], [], 'malformed')
  const signed = await translating(
    'bad-signature',
    async () =>
      (await verifyKeyPackage(keyPackage, mls.suite.signature)) &&
      (await verifyLeafNodeSignatureKeyPackage(keyPackage.leafNode, mls.suite.signature)),
  )
  if (!signed) throw new MlsError('bad-signature', 'the signature of a KeyPackage is wrong')
  return keyPackage
}

const privateEncoder = composeBufferEncoders([varLenDataEncoder, varLenDataEncoder, varLenDataEncoder])
const privateDecoder = mapDecoders(
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
  const decoded = privateDecoder(Uint8Array.from(bytes), 0)
  if (decoded === undefined) throw new MlsError('malformed', 'private part of a KeyPackage does not decode')
  return decoded[0]
}

/** Lifetimes are 64 bits wide; beyond what a number holds is beyond any calendar. */
function seconds(value: bigint): number {
  return value > BigInt(Number.MAX_SAFE_INTEGER) ? Number.MAX_SAFE_INTEGER : Number(value)
}
