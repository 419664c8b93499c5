import type { Extension as LibraryExtension } from 'ts-mls'
import { defaultExtensionTypes } from 'ts-mls/defaultExtensionType.js'
import { extensionTypeToNumber } from 'ts-mls/extension.js'
import { decodeExternalSenders, encodeExternalSenders } from 'ts-mls/externalSender.js'
import { encodeRequiredCapabilities } from 'ts-mls/requiredCapabilities.js'
import { decodeAll } from './decode.ts'
import { MlsError } from './errors.ts'
import { maxExtensions } from './limits.ts'
import type { Extension, LeafClaim } from './types.ts'

/** Extension types of RFC 9420 §17.3 that this room names, last_resort of the MLS extensions draft, and two of ours. */
export const extensionTypes = {
  ratchetTree: 0x0002,
  requiredCapabilities: 0x0003,
  externalPub: 0x0004,
  externalSenders: 0x0005,
  lastResort: 0x000a,
  siltaManifests: 0xf001,
  siltaRoom: 0xf002,
} as const

/** What our leaves say that they support, beyond the five of RFC 9420 that everyone does. */
export const supportedExtensions = [
  extensionTypes.lastResort,
  extensionTypes.siltaManifests,
  extensionTypes.siltaRoom,
] as const

const names = new Map(Object.entries(defaultExtensionTypes).map(([name, type]) => [type as number, name]))

export function toLibrary(extension: Extension): LibraryExtension {
  const name = names.get(extension.type) as LibraryExtension['extensionType'] | undefined
  return { extensionType: name ?? extension.type, extensionData: extension.data }
}

export function fromLibrary(extension: LibraryExtension): Extension {
  return { type: extensionTypeToNumber(extension.extensionType), data: extension.extensionData }
}

/** GroupInfo extensions that are not made by this room itself. */
export function ownExtensionsOf(extensions: readonly LibraryExtension[]): Extension[] {
  return extensions
    .map(fromLibrary)
    .filter(({ type }) => type !== extensionTypes.ratchetTree && type !== extensionTypes.externalPub)
}

/** A list of extensions has each type once (RFC 9420 §13.4), and not without end. */
export function checkExtensions(extensions: readonly { extensionType: unknown }[]): void {
  if (extensions.length > maxExtensions) throw new MlsError('too-large', 'too many extensions')
  if (new Set(extensions.map((each) => each.extensionType)).size !== extensions.length)
    throw new MlsError('malformed', 'an extension type twice in one list')
}

/** The external_senders extension (RFC 9420 §12.1.8.1) with one sender: who may propose from outside, here the hub. */
export function externalSenderExtension(publicKey: Uint8Array, identity: Uint8Array): Extension {
  const sender = { signaturePublicKey: publicKey, credential: { credentialType: 'basic' as const, identity } }
  return { type: extensionTypes.externalSenders, data: encodeExternalSenders([sender]) }
}

/**
 * The required_capabilities extension (RFC 9420 §11.1): extension types that every member must support. Some
 * implementations (OpenMLS) refuse a GroupContext extension of a private type that is not named here.
 */
export function requiredExtensionsExtension(types: readonly number[]): Extension {
  const data = encodeRequiredCapabilities({ extensionTypes: [...types], proposalTypes: [], credentialTypes: [] })
  return { type: extensionTypes.requiredCapabilities, data }
}

/** The senders of an external_senders extension, in order. Throws MlsError 'malformed'. */
export function readExternalSenders(data: Uint8Array): LeafClaim[] {
  return decodeAll(decodeExternalSenders, data, 'external_senders').map(({ credential, signaturePublicKey }) => ({
    identity: credential.credentialType === 'basic' ? credential.identity : new Uint8Array(),
    signatureKey: signaturePublicKey,
  }))
}
