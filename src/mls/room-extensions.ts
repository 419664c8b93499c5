import { CborError, type CborLimits, decodeCbor, encodeCbor } from '../cbor/index.ts'
import { toHex, utf8 } from '../crypto/index.ts'
import {
  type AccountAddress,
  type GroupRoom,
  IdentityError,
  mostRosterAccounts,
  parseAccountAddress,
  type RoomState,
} from '../identity/index.ts'
import { MlsError } from './errors.ts'
import { extensionTypes } from './extensions.ts'
import { maxTreeMessageBytes } from './limits.ts'
import type { Extension } from './types.ts'

/** The manifest in force of one account: what a later one has to follow, and what a document has to hash to. */
export interface ManifestMark {
  number: number
  hash: Uint8Array
}

/** Account address → manifest in force. */
export type ManifestMarks = ReadonlyMap<string, ManifestMark>

export type RoomKind = RoomState['kind']

const roomKinds: readonly RoomKind[] = ['direct', 'group', 'guest', 'self']

// One mark for each account that ever was in the group; two levels: the map and a mark in it
const marksLimits: CborLimits = { bytes: maxTreeMessageBytes, depth: 2, items: 4 * mostRosterAccounts + 1 }
// Every commit of a group that changes it carries the whole, so it is kept small
const mostRoles = 100
const maxNameBytes = 400
const roomLimits: CborLimits = { bytes: 40 * 1024, depth: 2, items: 16 + 2 * mostRoles }
/** Of the form in which a group's name and roles are written; another one is not read. */
const groupVersion = 1
/** Signed manifests of one commit, and so accounts that it can add: each costs every member a signature. */
export const mostCommitManifests = 64
const commitDataLimits: CborLimits = { bytes: 256 * 1024, depth: 2, items: mostCommitManifests + 3 }
const hashLength = 32
const maxAddressLength = 512

/** GroupInfo extension 0xF001: CBOR map of address to [number, hash]. */
export function manifestsExtension(marks: ManifestMarks): Extension {
  const map = new Map([...marks].map(([address, { number, hash }]) => [address, [number, hash]]))
  return { type: extensionTypes.siltaManifests, data: encodeCbor(map) }
}

/** Reads the marks from a list of GroupInfo extensions; empty when there is no such extension. */
export function readManifests(extensions: readonly Extension[]): Map<string, ManifestMark> {
  const extension = extensions.find(({ type }) => type === extensionTypes.siltaManifests)
  if (extension === undefined) return new Map()
  const value = decoded(extension.data, marksLimits)
  if (!(value instanceof Map)) throw malformed()
  const marks = new Map<string, ManifestMark>()
  for (const [address, mark] of value) {
    if (typeof address !== 'string' || address.length > maxAddressLength) throw malformed()
    if (!Array.isArray(mark) || mark.length !== 2) throw malformed()
    const [number, hash] = mark
    if (!Number.isSafeInteger(number) || number < 1) throw malformed()
    if (!(hash instanceof Uint8Array) || hash.length !== hashLength) throw malformed()
    marks.set(address, { number, hash })
  }
  return marks
}

/**
 * GroupContext extension 0xF002, what the room is: CBOR map {"kind": …}; of a group also "v": 1, "name" (up to 400 bytes
 * of UTF-8, no control characters) and "roles", a map of address to "owner" or "admin", 100 at most. Throws MlsError
 * 'malformed' or 'too-large' for what `readRoom` would not take.
 */
export function roomExtension(room: RoomState): Extension {
  const map = new Map<string, unknown>([['kind', room.kind]])
  if (room.kind === 'group') map.set('v', groupVersion).set('name', room.name).set('roles', new Map(room.roles))
  const extension = { type: extensionTypes.siltaRoom, data: encodeCbor(map) }
  readRoom([extension])
  return extension
}

/** What the room is, from a list of GroupContext extensions; undefined when it is no room of ours. */
export function readRoom(extensions: readonly Extension[]): RoomState | undefined {
  const extension = extensions.find(({ type }) => type === extensionTypes.siltaRoom)
  if (extension === undefined) return undefined
  const value = decoded(extension.data, roomLimits)
  const kind = value instanceof Map ? roomKinds.find((each) => each === value.get('kind')) : undefined
  if (!(value instanceof Map) || kind === undefined) throw malformed()
  if (kind !== 'group') {
    if (value.size !== 1) throw malformed()
    return { kind }
  }
  if (value.size !== 4 || value.get('v') !== groupVersion) throw malformed()
  return { kind, name: readName(value.get('name')), roles: readRoles(value.get('roles')) }
}

function readName(name: unknown): string {
  if (typeof name !== 'string' || /\p{Cc}/u.test(name)) throw malformed()
  if (utf8(name).length > maxNameBytes) throw new MlsError('too-large', 'the name of a group')
  return name
}

function readRoles(value: unknown): GroupRoom['roles'] {
  if (!(value instanceof Map)) throw malformed()
  if (value.size > mostRoles) throw new MlsError('too-large', 'the roles of a group')
  const roles = new Map<AccountAddress, 'owner' | 'admin'>()
  for (const [address, role] of value) {
    if (typeof address !== 'string' || (role !== 'owner' && role !== 'admin')) throw malformed()
    roles.set(readAddress(address), role)
  }
  return roles
}

function readAddress(address: string): AccountAddress {
  try {
    return parseAccountAddress(address)
  } catch (cause) {
    if (cause instanceof IdentityError) throw malformed()
    throw cause
  }
}

/** The GroupContext's extensions with another state of the room. */
export function withRoom(extensions: readonly Extension[], room: RoomState): Extension[] {
  const next = roomExtension(room)
  return extensions.map((each) => (each.type === next.type ? next : each))
}

/** Whether two lists of extensions are the same, but for the room's state. */
export function sameButRoom(a: readonly Extension[], b: readonly Extension[]): boolean {
  const rest = (list: readonly Extension[]) =>
    list
      .filter(({ type }) => type !== extensionTypes.siltaRoom)
      .map(({ type, data }) => `${type} ${toHex(data)}`)
      .sort()
      .join()
  return rest(a) === rest(b)
}

/** Authenticated data of a commit: CBOR map {1: signed manifests}; nothing at all when there are none. */
export function encodeCommitData({ manifests }: { manifests: readonly Uint8Array[] }): Uint8Array {
  if (manifests.length === 0) return new Uint8Array()
  return encodeCbor(new Map([[1, manifests]]))
}

/** Reverses `encodeCommitData`. The manifests are not verified here. Throws MlsError 'malformed' (too many, too) or 'too-large'. */
export function decodeCommitData(aad: Uint8Array): { manifests: Uint8Array[] } {
  if (aad.length === 0) return { manifests: [] }
  const value = decoded(aad, commitDataLimits)
  const manifests: unknown = value instanceof Map ? value.get(1) : undefined
  if (!Array.isArray(manifests)) throw malformed()
  if (!manifests.every((each): each is Uint8Array => each instanceof Uint8Array)) throw malformed()
  return { manifests: manifests.map((each) => Uint8Array.from(each)) }
}

function decoded(bytes: Uint8Array, limits: CborLimits): unknown {
  try {
    return decodeCbor(bytes, limits)
  } catch (cause) {
    if (!(cause instanceof CborError)) throw cause
    throw new MlsError(cause.code === 'too-large' ? 'too-large' : 'malformed', 'CBOR value refused', { cause })
  }
}

function malformed(): MlsError {
  return new MlsError('malformed', 'CBOR value of a wrong shape')
}
