import { type CborLimits, decodeCbor, encodeCbor, readArray } from '../../cbor/index.ts'
import { type Crypto, concatBytes, utf8 } from '../../crypto/index.ts'
import type { RoomId } from '../../identity/index.ts'
import { epochOf, exportSecret, type GroupState, type MlsProvider, ownLeafIndex } from '../../mls/index.ts'
import type { MemberLeaf } from '../state/records.ts'

/**
 * Ephemeral frames: what is said to whoever looks now, encrypted to the members of one epoch and signed by the device. They
 * use a key of their own for each leaf, from the epoch's exporter, and a random nonce. Under the message ratchet every
 * frame that a device missed would be a generation to skip, and in the end its next message could not be opened.
 */
export interface Ephemeral {
  what: 'typing'
  on: boolean
  /** Grows with each frame of a device: an older one, brought again, is passed over. */
  order: number
}

/** Also the exporter's label (RFC 9420 §8.5). */
const label = 'silta ephemeral v1'
const kinds = ['typing'] as const
const limits: CborLimits = { bytes: 1024, depth: 1, items: 8 }

/** The key of one leaf in one epoch, 32 bytes. The leaf's place is the exporter's context, four bytes, big-endian. */
function keyOf(mls: MlsProvider, group: GroupState, leaf: number): Promise<Uint8Array> {
  const context = new Uint8Array(4)
  new DataView(context.buffer).setUint32(0, leaf)
  return exportSecret(mls, group, label, context, 32)
}

const headOf = (room: RoomId, epoch: bigint, leaf: number) => encodeCbor([room, Number(epoch), leaf])
const signedBytes = (head: Uint8Array, sealed: Uint8Array) => concatBytes(utf8(`${label}\0`), head, sealed)

/** CBOR `[epoch, leaf, sealed, signature]`. */
export async function sealEphemeral(
  { crypto, mls, signingKey }: { crypto: Crypto; mls: MlsProvider; signingKey: Uint8Array },
  room: RoomId,
  group: GroupState,
  { what, on, order }: Ephemeral,
): Promise<Uint8Array> {
  const [epoch, leaf] = [epochOf(group), ownLeafIndex(group)]
  const head = headOf(room, epoch, leaf)
  const sealed = crypto.seal(await keyOf(mls, group, leaf), encodeCbor([what, on, order]), head)
  return encodeCbor([Number(epoch), leaf, sealed, crypto.sign(signingKey, signedBytes(head, sealed))])
}

/**
 * Opens a frame of the present epoch by a member of it; undefined for any other, for one that does not hold, and for a
 * kind that is not known here. Nobody is told: what it would have said is over anyhow.
 */
export async function openEphemeral(
  { crypto, mls }: { crypto: Crypto; mls: MlsProvider },
  room: RoomId,
  group: GroupState,
  leaves: readonly MemberLeaf[],
  frame: Uint8Array,
): Promise<{ sender: MemberLeaf; said: Ephemeral } | undefined> {
  try {
    const fields = readArray(decodeCbor(frame, limits), 'ephemeral frame')
    const epoch = fields.unsigned(Number.MAX_SAFE_INTEGER)
    const leaf = fields.unsigned(0xffff_ffff)
    const [sealed, signature] = [fields.bytesUpTo(limits.bytes), fields.bytes(64)]
    fields.end()
    const sender = leaves.find(({ index }) => index === leaf)
    if (!sender || BigInt(epoch) !== epochOf(group)) return undefined
    const head = headOf(room, epochOf(group), leaf)
    if (!crypto.verify(sender.deviceKey, signedBytes(head, sealed), signature)) return undefined
    const inner = readArray(
      decodeCbor(crypto.open(await keyOf(mls, group, leaf), sealed, head), limits),
      'ephemeral content',
    )
    const said = { what: inner.oneOf(kinds), on: inner.boolean(), order: inner.unsigned(Number.MAX_SAFE_INTEGER) }
    inner.end()
    return { sender, said }
  } catch {
    // Not made by a member of this epoch, or not for this version.
    return undefined
  }
}
