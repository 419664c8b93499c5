import { decode, encode, rfc8949EncodeOptions } from 'cborg'
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

/** One extension is at most a mark for every leaf; a hash has 32 bytes. */
const maxMarksBytes = 1024 * 1024
const maxRoomBytes = 256
/** Signed manifests of one commit: several accounts, dozens of devices each. */
const maxCommitDataBytes = 256 * 1024
const maxManifests = 64
const hashLength = 32
const maxAddressLength = 512

/** GroupInfo extension 0xF001: CBOR map of address to [number, hash]. */
export function manifestsExtension(marks: ManifestMarks): Extension {
  const map = new Map([...marks].map(([address, { number, hash }]) => [address, [number, hash]]))
  return { type: extensionTypes.siltaManifests, data: encode(map, rfc8949EncodeOptions) }
}

/** Reads the marks from a list of GroupInfo extensions; empty when there is no such extension. */
export function readManifests(extensions: readonly Extension[]): Map<string, ManifestMark> {
  const extension = extensions.find(({ type }) => type === extensionTypes.siltaManifests)
  if (extension === undefined) return new Map()
  const value = decodeCbor(extension.data, maxMarksBytes)
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
  return { type: extensionTypes.siltaRoom, data: encode(new Map([['kind', kind]]), rfc8949EncodeOptions) }
}

/** The room's kind from a list of GroupContext extensions; undefined when it is no room of ours. */
export function readRoom(extensions: readonly Extension[]): { kind: RoomKind } | undefined {
  const extension = extensions.find(({ type }) => type === extensionTypes.siltaRoom)
  if (extension === undefined) return undefined
  const value = decodeCbor(extension.data, maxRoomBytes)
  const kind = value instanceof Map ? roomKinds.find((each) => each === value.get('kind')) : undefined
  if (kind === undefined) throw malformed()
  return { kind }
}

/** Authenticated data of a commit: CBOR map {1: signed manifests}; nothing at all when there are none. */
export function encodeCommitData({ manifests }: { manifests: readonly Uint8Array[] }): Uint8Array {
  if (manifests.length === 0) return new Uint8Array()
  return encode(new Map([[1, manifests]]), rfc8949EncodeOptions)
}

/** Reverses `encodeCommitData`. The manifests are not verified here. Throws MlsError 'malformed' or 'too-large'. */
export function decodeCommitData(aad: Uint8Array): { manifests: Uint8Array[] } {
  if (aad.length === 0) return { manifests: [] }
  const value = decodeCbor(aad, maxCommitDataBytes)
  const manifests: unknown = value instanceof Map ? value.get(1) : undefined
  if (!Array.isArray(manifests) || manifests.length > maxManifests) throw malformed()
  if (!manifests.every((each): each is Uint8Array => each instanceof Uint8Array)) throw malformed()
  return { manifests: manifests.map((each) => Uint8Array.from(each)) }
}

/** Deterministic CBOR (RFC 8949 §4.2) within a size; none of these nests more than three deep, so nor may the input. */
function decodeCbor(bytes: Uint8Array, limit: number): unknown {
  if (bytes.length > limit) throw new MlsError('too-large', 'CBOR value too large')
  if (nestsDeeperThan(bytes, 4)) throw malformed()
  try {
    return decode(bytes, {
      useMaps: true,
      strict: true,
      allowIndefinite: false,
      allowUndefined: false,
      rejectDuplicateMapKeys: true,
      tags: [],
    })
  } catch (cause) {
    throw new MlsError('malformed', 'CBOR value does not decode', { cause })
  }
}

/** Whether arrays, maps and tags nest deeper than this; a recursive decoder would meet its stack's end first. */
function nestsDeeperThan(bytes: Uint8Array, depth: number): boolean {
  const open: number[] = []
  let offset = 0
  while (offset < bytes.length) {
    const head = bytes[offset++]!
    const major = head >> 5
    const info = head & 31
    const width = info < 24 ? 0 : info <= 27 ? 1 << (info - 24) : -1
    if (width < 0) return false // indefinite or reserved: the decoder refuses it
    let count = info
    if (width > 0) {
      count = 0
      for (let i = 0; i < width; i++) count = count * 256 + (bytes[offset + i] ?? 0)
      offset += width
    }
    if (major === 2 || major === 3) offset += count
    while (open.length > 0 && open[open.length - 1] === 0) open.pop()
    if (open.length > 0) open[open.length - 1]!--
    if (major === 4 || major === 5 || major === 6) {
      open.push(major === 4 ? count : major === 5 ? 2 * count : 1)
      if (open.length > depth) return true
    }
  }
  return false
}

function malformed(): MlsError {
  return new MlsError('malformed', 'CBOR value of a wrong shape')
}
