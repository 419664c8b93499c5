import { CborError, type CborLimits, decodeCbor, encodeCbor } from '../cbor/index.ts'
import { MlsError } from './errors.ts'
import { extensionTypes } from './extensions.ts'
import type { Extension } from './types.ts'

/** The manifest in force of one account: what a later one has to follow, and what a document has to hash to. */
export interface ManifestMark {
  number: number
  hash: Uint8Array
}

/** Account address → manifest in force. */
export type ManifestMarks = ReadonlyMap<string, ManifestMark>

export type RoomKind = 'direct' | 'group' | 'guest' | 'self'

const roomKinds: readonly RoomKind[] = ['direct', 'group', 'guest', 'self']

// One mark for each account of the largest tree; two levels: the map and a mark in it
const marksLimits: CborLimits = { bytes: 1024 * 1024, depth: 2, items: 4 * 4096 + 1 }
const roomLimits: CborLimits = { bytes: 256, depth: 1, items: 16 }
// Signed manifests of one commit: several accounts, dozens of devices each
const commitDataLimits: CborLimits = { bytes: 256 * 1024, depth: 2, items: 64 + 3 }
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

/** GroupContext extension 0xF002: CBOR map {"kind": …}. */
export function roomExtension(kind: RoomKind): Extension {
  return { type: extensionTypes.siltaRoom, data: encodeCbor(new Map([['kind', kind]])) }
}

/** The room's kind from a list of GroupContext extensions; undefined when it is no room of ours. */
export function readRoom(extensions: readonly Extension[]): { kind: RoomKind } | undefined {
  const extension = extensions.find(({ type }) => type === extensionTypes.siltaRoom)
  if (extension === undefined) return undefined
  const value = decoded(extension.data, roomLimits)
  const kind = value instanceof Map ? roomKinds.find((each) => each === value.get('kind')) : undefined
  if (kind === undefined) throw malformed()
  return { kind }
}

/** Authenticated data of a commit: CBOR map {1: signed manifests}; nothing at all when there are none. */
export function encodeCommitData({ manifests }: { manifests: readonly Uint8Array[] }): Uint8Array {
  if (manifests.length === 0) return new Uint8Array()
  return encodeCbor(new Map([[1, manifests]]))
}

/** Reverses `encodeCommitData`. The manifests are not verified here. Throws MlsError 'malformed' or 'too-large'. */
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
