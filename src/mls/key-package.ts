import type { KeyPackage } from 'ts-mls'
import { makeKeyPackageRef, verifyKeyPackage } from 'ts-mls/keyPackage.js'
import { verifyLeafNodeSignatureKeyPackage } from 'ts-mls/leafNode.js'
import { MlsError, translating } from './errors.ts'
import { checkExtensions, extensionTypes } from './extensions.ts'
import { isUsableHpkeKey } from './hpke-key.ts'
import { decodeMessage } from './messages.ts'
import type { MlsProvider } from './suite.ts'
import { checkMembers, claimOf } from './tree.ts'
import type { LeafClaim } from './types.ts'

export interface KeyPackageView extends LeafClaim {
  /** KeyPackageRef (RFC 9420 §5.2), by which a Welcome names it. */
  reference: Uint8Array
  /** Seconds since the epoch. */
  notBefore: number
  notAfter: number
  lastResort: boolean
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
  checkMembers([keyPackage.leafNode], { cipherSuite: keyPackage.cipherSuite, extensions: [] }, 'malformed')
  if (!isUsableHpkeKey(keyPackage.cipherSuite, keyPackage.initKey))
    throw new MlsError('malformed', 'an init key that nobody can encrypt to')
  const signed = await translating(
    'bad-signature',
    async () =>
      (await verifyKeyPackage(keyPackage, mls.suite.signature)) &&
      (await verifyLeafNodeSignatureKeyPackage(keyPackage.leafNode, mls.suite.signature)),
  )
  if (!signed) throw new MlsError('bad-signature', 'the signature of a KeyPackage is wrong')
  return keyPackage
}

/** Lifetimes are 64 bits wide; beyond what a number holds is beyond any calendar. */
function seconds(value: bigint): number {
  return value > BigInt(Number.MAX_SAFE_INTEGER) ? Number.MAX_SAFE_INTEGER : Number(value)
}
