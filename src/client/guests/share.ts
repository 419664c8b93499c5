import { decodeCbor, encodeCbor, readArray } from '../../cbor/index.ts'
import { bodyOfType, type MimiContent, singlePart } from '../../content/index.ts'
import type { Context } from '../context.ts'
import { ClientError } from '../errors.ts'
import { addSubmission } from '../rooms/submissions.ts'
import { type InviteRecord, invites, rooms } from '../state/records.ts'
import { inRoom, type RoomWork } from '../state/room-work.ts'
import type { OutgoingContent, StorageTx } from '../types.ts'

const mediaType = 'application/vnd.silta.invites+cbor'
/** Some 200 bytes an invite, and a few times that with a long label: not all of them may fit. */
export const mostInviteBytes = 32 * 1024
const limits = { bytes: mostInviteBytes, depth: 3, items: 4096 }
/** Invites told of at once: they have to fit into one message, and into what a new device is handed. */
const atOnce = 100

interface KnownInvite {
  readonly key: string
  readonly value: InviteRecord
}

/** Links with their secrets, for other devices of this account alone. */
export function encodeInvites(all: readonly KnownInvite[]): Uint8Array {
  return encodeCbor(all.map(fieldsOf))
}

function fieldsOf({ key, value }: KnownInvite): unknown[] {
  return [
    key,
    value.secret,
    value.base,
    value.manifest,
    value.pin,
    value.approval,
    value.singleUse,
    value.createdAt,
    value.expiresAt,
    value.idleMs,
    value.revoked,
    value.label ?? null,
    value.room ?? null,
    value.name ?? null,
  ]
}

/** The first of them, as many as are taken at once. */
function fitting(all: readonly KnownInvite[]): readonly KnownInvite[] {
  let bytes = 3 // the array's head
  const past = all.findIndex((each, index) => {
    bytes += encodeCbor(fieldsOf(each)).length
    return index >= atOnce || bytes > mostInviteBytes
  })
  return past === -1 ? all : all.slice(0, past)
}

/** Takes in what another device of the account says of links. What was revoked or used stays so. Errors: bad-content. */
export async function storeInvites(tx: StorageTx, bytes: Uint8Array): Promise<void> {
  try {
    const all = decodeCbor(bytes, limits)
    if (!Array.isArray(all)) throw new ClientError('bad-content')
    for (const item of all) {
      const fields = readArray(item, 'invite')
      const id = fields.text(22)
      const value: InviteRecord = {
        secret: fields.bytes(32),
        base: fields.text(300),
        manifest: fields.unsigned(0xffff_ffff),
        pin: fields.boolean(),
        approval: fields.boolean(),
        singleUse: fields.boolean(),
        createdAt: fields.unsigned(Number.MAX_SAFE_INTEGER),
        expiresAt: fields.unsigned(Number.MAX_SAFE_INTEGER),
        idleMs: fields.unsigned(Number.MAX_SAFE_INTEGER),
        revoked: fields.boolean(),
        shared: true,
      }
      const label = fields.textOrNull(256)
      const room = fields.textOrNull(300)
      const name = fields.textOrNull(64)
      fields.end()
      const known = await invites.get(tx, id)
      await invites.put(tx, id, {
        ...value,
        revoked: value.revoked || known?.revoked === true,
        ...(label !== undefined && { label }),
        ...(name !== undefined && { name }),
        ...((known?.room ?? room) !== undefined && { room: (known?.room ?? room)! }),
      })
    }
  } catch (cause) {
    throw cause instanceof ClientError ? cause : new ClientError('bad-content', 'invites', { cause })
  }
}

/** The newest links of this device, for a device that is being linked. */
export async function newestInvites(tx: StorageTx): Promise<Uint8Array> {
  const all = await invites.list(tx)
  return encodeInvites(fitting(all.sort((a, b) => b.value.createdAt - a.value.createdAt)))
}

/** What a message of the self room says of links, encoded; undefined: it is another message. */
export function invitesIn(content: MimiContent): Uint8Array | undefined {
  return bodyOfType(content, mediaType)
}

/**
 * Tells the other devices of links that they have not been told of: through the self room, where a message waits for
 * those that are offline. Gives the room, when there was something to tell and there is one.
 */
export async function shareInvites(context: Context) {
  const self = await context.storage.transaction(async (tx) => {
    const news = (await invites.list(tx)).some(({ value }) => !value.shared)
    return news ? (await rooms.list(tx)).find(({ value }) => value.kind === 'self' && value.joined)?.key : undefined
  })
  if (!self) return undefined
  await inRoom(context, self, (work) => tell(context, work))
  return self
}

async function tell(context: Context, work: RoomWork): Promise<void> {
  const news = fitting((await invites.list(work.tx)).filter(({ value }) => !value.shared))
  if (news.length === 0) return
  for (const { key, value } of news) await invites.put(work.tx, key, { ...value, shared: true })
  const content: OutgoingContent = { body: singlePart(mediaType, encodeInvites(news)) }
  await addSubmission(context, work, content)
}
