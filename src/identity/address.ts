import { type Crypto, CryptoError, fromBase64Url, toBase64Url } from '../crypto/index.ts'
import { IdentityError } from './errors.ts'

declare const brand: unique symbol

/** `mimi://{provider}/u/{22 characters of base64url}`: opaque, random, never a number, a handle or a foreign id. */
export type AccountAddress = string & { readonly [brand]: 'AccountAddress' }
/** `mimi://{provider}/r/{22 characters of base64url}`; the provider is the room's hub. */
export type RoomId = string & { readonly [brand]: 'RoomId' }
/** 22 characters of base64url: the first 16 bytes of SHA-256 over the device key. */
export type DeviceId = string & { readonly [brand]: 'DeviceId' }

/** Longest address or room id in characters: a domain of 253, a port, and the rest. */
export const maxAddressLength = 300

// a lower-case domain of letters, digits and inner hyphens, as names are compared byte by byte; a port for trying out
const label = '[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?'
const providerForm = new RegExp(`^(?=.{1,253}(?::|$))${label}(?:\\.${label})*(?::[1-9][0-9]{0,4})?$`)
const uriForm = /^mimi:\/\/([^/]{1,260})\/([ur])\/([A-Za-z0-9_-]{22})$/

/** A new random address at a provider's domain. Throws IdentityError 'malformed' for what is no domain. */
export function newAccountAddress(crypto: Crypto, provider: string): AccountAddress {
  return parseAccountAddress(`mimi://${provider}/u/${toBase64Url(crypto.randomBytes(16))}`)
}

export function newRoomId(crypto: Crypto, provider: string): RoomId {
  return parseRoomId(`mimi://${provider}/r/${toBase64Url(crypto.randomBytes(16))}`)
}

/** Throws IdentityError 'malformed' unless the text is the one form of an account's address. */
export function parseAccountAddress(text: string): AccountAddress {
  return parseUri(text, 'u') as AccountAddress
}

/** Throws IdentityError 'malformed' unless the text is the one form of a room's id. */
export function parseRoomId(text: string): RoomId {
  return parseUri(text, 'r') as RoomId
}

/** Throws IdentityError 'malformed' unless the text could be a device's id. */
export function parseDeviceId(text: string): DeviceId {
  requireRandomPart(text)
  return text as DeviceId
}

/** Throws IdentityError 'malformed' unless the text is a provider's domain: lower case, with a port where not 443. */
export function parseProvider(text: string): string {
  if (!providerForm.test(text)) throw new IdentityError('malformed', 'not a domain')
  return text
}

/** The domain of the provider that an account or a room belongs to. */
export function providerOf(address: AccountAddress | RoomId): string {
  return address.slice('mimi://'.length, address.length - '/u/'.length - 22)
}

export function deviceIdOf(crypto: Crypto, deviceKey: Uint8Array): DeviceId {
  return toBase64Url(crypto.sha256(deviceKey).subarray(0, 16)) as DeviceId
}

function parseUri(text: string, kind: 'u' | 'r'): string {
  const [, provider, found, random] = uriForm.exec(text) ?? []
  if (provider === undefined || found !== kind || random === undefined) {
    throw new IdentityError('malformed', kind === 'u' ? 'not an account address' : 'not a room id')
  }
  parseProvider(provider)
  requireRandomPart(random)
  return text
}

/** 16 bytes in 22 characters leave four stray bits: with them set, one id would have several spellings. */
function requireRandomPart(text: string): void {
  try {
    if (text.length === 22 && fromBase64Url(text).length === 16) return
  } catch (error) {
    if (!(error instanceof CryptoError)) throw error
  }
  throw new IdentityError('malformed', 'not 16 bytes of base64url')
}
