import { decodeCbor, encodeCbor, readArray } from '../../cbor/index.ts'
import { bodyOfType, disposition, type MimiContent, singlePart } from '../../content/index.ts'
import { parseRoomId, type RoomId } from '../../identity/index.ts'
import type { Context } from '../context.ts'
import { ClientError } from '../errors.ts'
import { addSubmission } from '../rooms/submissions.ts'
import { accountSettings, rooms } from '../state/records.ts'
import { inRoom, type RoomWork } from '../state/room-work.ts'
import type { LogPosition, OutgoingContent } from '../types.ts'

/** What any device of the account tells the others in the self room. */
const settingsType = 'application/vnd.silta.settings+cbor'
const readType = 'application/vnd.silta.read+cbor'
const limits = { bytes: 1024, depth: 1, items: 8 }

const document = (type: string, fields: unknown[]): OutgoingContent => ({
  body: singlePart(type, encodeCbor(fields), disposition.unspecified),
})

/** Whether what was read is told to others: `[read receipts]`. */
export const settingsMessage = (readReceipts: boolean) => document(settingsType, [readReceipts])

/** What was read in a room that is not to learn of it: `[room, message id]`. */
export const readMessage = (room: RoomId, messageId: Uint8Array) => document(readType, [room, messageId])

/** Into the self room, when there is one. */
export async function tellOwnDevices(context: Context, content: OutgoingContent): Promise<void> {
  const room = await context.storage.transaction(
    async (tx) => (await rooms.list(tx)).find(({ value }) => value.kind === 'self' && value.joined)?.key,
  )
  if (!room) return
  await inRoom(context, room, (work) => addSubmission(context, work, content))
  context.hooks.send?.(room)
}

export async function setReadReceipts(context: Context, on: boolean): Promise<void> {
  await context.storage.transaction((tx) => accountSettings.put(tx, { readReceipts: on }))
  await tellOwnDevices(context, settingsMessage(on))
}

/** Takes what another device of this account says. True: it was nothing for an application to show. */
export async function receiveFromOwnDevice(
  context: Context,
  work: RoomWork,
  content: MimiContent,
  at: LogPosition,
): Promise<boolean> {
  const settings = bodyOfType(content, settingsType)
  const read = bodyOfType(content, readType)
  if (!settings && !read) return false
  let told: { room: RoomId; messageId: Uint8Array } | undefined
  try {
    if (settings) {
      const fields = readArray(decodeCbor(settings, limits), 'settings')
      const readReceipts = fields.boolean()
      fields.end()
      await accountSettings.put(work.tx, { readReceipts })
    }
    if (read) {
      const fields = readArray(decodeCbor(read, limits), 'read')
      told = { room: parseRoomId(fields.text(300)), messageId: fields.bytes(32) }
      fields.end()
    }
  } catch (cause) {
    context.events.tell('fault', new ClientError('bad-content', 'from an own device', { cause }))
    return true
  }
  if (told) {
    const { room, messageId } = told
    const account = context.self.address
    const receipt = { ...at, room, account, own: true, status: 'read' as const, messageIds: [messageId] }
    await context.events.run('receipt', receipt, work.tx)
  }
  return true
}
