import { readArray } from '../cbor/index.ts'
import { type Crypto, equalBytes, toHex } from '../crypto/index.ts'
import { type AccountAddress, maxAddressLength, parseAccountAddress } from './address.ts'
import { asMalformed, type DocumentKind, openDocument, readValidity, signDocument } from './document.ts'
import { IdentityError } from './errors.ts'
import { type DeviceKind, deviceKinds } from './kinds.ts'

export interface ManifestDevice {
  /** Ed25519 public key, 32 bytes. */
  deviceKey: Uint8Array
  kind: DeviceKind
}

/** An account's numbered list of its devices: the server can neither add one, nor hide one, nor bring one back. */
export interface Manifest {
  account: AccountAddress
  /** Counts from 1; each new list of devices or new validity takes the next. */
  number: number
  /** Hash of the manifest before it (32 bytes); empty for number 1. */
  previous: Uint8Array
  devices: readonly ManifestDevice[]
  /** Seconds since the epoch; `notAfter` at most 14 days later. */
  notBefore: number
  notAfter: number
}

/** 14 days in seconds: for so long companions go on without their primary. */
export const maxManifestValidity = 14 * 24 * 3600
/** A person has five devices at most, which the hub sees to; a business more. */
export const maxManifestDevices = 32

const document: DocumentKind = {
  name: 'manifest',
  label: 'silta identity v1 manifest',
  // 32 devices of under 50 bytes each, an address of 300, hash and signature: under 2100 bytes
  limits: { bytes: 4096, depth: 3, items: 8 + 3 * maxManifestDevices },
}

/** Signed with the account's private key, which only the primary has. Throws for a list that nobody would accept. */
export function issueManifest(crypto: Crypto, accountPrivateKey: Uint8Array, manifest: Manifest): Uint8Array {
  requireSound(manifest)
  const { account, number, previous, devices, notBefore, notAfter } = manifest
  const listed = devices.map(({ deviceKey, kind }) => [deviceKey, kind])
  return signDocument(crypto, document, accountPrivateKey, [account, number, previous, listed, notBefore, notAfter])
}

/** Reads a manifest and verifies it under the account's key. Throws IdentityError malformed or bad-signature. */
export function readManifest(crypto: Crypto, bytes: Uint8Array, accountKey: Uint8Array): Manifest {
  const { manifest, verify } = openManifest(bytes)
  verify(crypto, accountKey)
  return manifest
}

/** Decodes without believing, so that the address can say whose key to verify under. Throws IdentityError malformed. */
export function openManifest(bytes: Uint8Array) {
  const { fields, verify } = openDocument(document, bytes)
  const manifest = asMalformed(document.name, (): Manifest => {
    const account = parseAccountAddress(fields.text(maxAddressLength))
    const number = fields.unsigned(Number.MAX_SAFE_INTEGER)
    const previous = fields.bytesUpTo(32)
    const devices = fields.array().map(readDevice)
    const validity = readValidity(fields, maxManifestValidity)
    fields.end()
    return { account, number, previous, devices, ...validity }
  })
  requireSound(manifest)
  return { manifest, verify }
}

/** SHA-256 over the whole signed document: what `previous` and a group's list of manifests hold. */
export function manifestHash(crypto: Crypto, bytes: Uint8Array): Uint8Array {
  return crypto.sha256(bytes)
}

/** The entry of a device, if the manifest lists it. */
export function deviceIn(manifest: Manifest, deviceKey: Uint8Array): ManifestDevice | undefined {
  return manifest.devices.find((device) => equalBytes(device.deviceKey, deviceKey))
}

export interface ManifestState {
  number: number
  hash: Uint8Array
}

/**
 * Whether `next` may take the place of the manifest in force: 'same' when it is that one, 'newer' when it follows it.
 * A number may be skipped (a room need not see every manifest); the hash of the predecessor is checked where it is
 * known. Throws IdentityError 'older' (a replay would bring an unlinked device back) or 'conflict' (two lists under
 * one number would let the server show each side its own).
 */
export function acceptManifest(
  current: ManifestState | undefined,
  next: { manifest: Manifest; hash: Uint8Array },
): 'same' | 'newer' {
  if (!current) return 'newer'
  const { number, previous } = next.manifest
  if (number < current.number) throw new IdentityError('older', 'a manifest older than the one in force')
  if (number === current.number) {
    if (equalBytes(next.hash, current.hash)) return 'same'
    throw new IdentityError('conflict', 'another manifest under the number of the one in force')
  }
  if (number === current.number + 1 && !equalBytes(previous, current.hash)) {
    throw new IdentityError('conflict', 'a manifest that does not follow the one in force')
  }
  return 'newer'
}

function readDevice(value: unknown): ManifestDevice {
  const fields = readArray(value, 'device of a manifest')
  const device = { deviceKey: fields.bytes(32), kind: fields.oneOf(deviceKinds) }
  fields.end()
  return device
}

function requireSound({ number, previous, devices }: Manifest): void {
  if (number < 1 || previous.length !== (number === 1 ? 0 : 32)) {
    throw new IdentityError('malformed', 'a manifest names its predecessor, and the first has none')
  }
  if (devices.length < 1 || devices.length > maxManifestDevices) {
    throw new IdentityError('malformed', 'a manifest lists one device or more, within a limit')
  }
  if (new Set(devices.map(({ deviceKey }) => toHex(deviceKey))).size !== devices.length) {
    throw new IdentityError('malformed', 'a manifest lists a device twice')
  }
  const count = (kind: DeviceKind) => devices.filter((device) => device.kind === kind).length
  const foreign = Math.max(count('edge'), count('guest'))
  if (count('primary') > 1 || (foreign > 0 && foreign !== devices.length)) {
    throw new IdentityError('kind-mismatch', 'a manifest lists one primary at most, and edges or guests only alone')
  }
}
