import { bodyOfType, type MimiContent, mediaTypes, readStatus, statusMessage } from '../../content/index.ts'
import { equalBytes } from '../../crypto/index.ts'
import type { RoomId } from '../../identity/index.ts'
import { readMessage, tellOwnDevices } from '../account/own-devices.ts'
import type { Context } from '../context.ts'
import { ClientError } from '../errors.ts'
import { accountSettings } from '../state/records.ts'
import { inRoom, type RoomWork } from '../state/room-work.ts'
import type { Received } from '../types.ts'
import type { Receipts } from './signal-types.ts'
import { addSubmission } from './submissions.ts'

/** Messages in one report at most: it goes when there are so many. */
const mostInReport = 128
/** Messages of which a receipt is owed at most, of a room that cannot send: what a device keeps of a room is bounded. */
const mostOwed = 16 * mostInReport

/** Rooms of which it is remembered when the last report went; of others the next one goes at once. */
const mostRemembered = 1024
/** Milliseconds: what comes together is reported together. */
const shortest = 100

export function createReceipts(context: Pick<Context, 'settings' | 'hooks'>): Receipts {
  const timers = new Map<RoomId, ReturnType<typeof setTimeout>>()
  const last = new Map<RoomId, number>()
  const { receiptDelay } = context.settings
  return {
    owed(room) {
      if (timers.has(room)) return
      const wait = (last.get(room) ?? 0) + receiptDelay - Date.now()
      const timer = setTimeout(
        () => {
          timers.delete(room)
          if (last.size > mostRemembered) last.clear()
          last.set(room, Date.now())
          context.hooks.send?.(room)
        },
        Math.max(wait, Math.min(shortest, receiptDelay)),
      )
      ;(timer as { unref?: () => void }).unref?.()
      timers.set(room, timer)
    },
    due: (room) => !timers.has(room),
    end() {
      for (const timer of timers.values()) clearTimeout(timer)
      timers.clear()
    },
  }
}

/** Whether a message is one that a person sees, so that it is of interest whether it has come. */
function isForPeople(content: MimiContent): boolean {
  return notShown.every((type) => !bodyOfType(content, type))
}
const notShown = [mediaTypes.status, mediaTypes.profile, mediaTypes.outcome, mediaTypes.capabilities]

/**
 * Takes note of a message: of others, that a receipt is owed for it; of another device of this account, what that one has
 * reported already. And tells of what others report.
 */
export async function noteReceipts(
  context: Context,
  work: RoomWork,
  message: Received & { content: MimiContent },
): Promise<void> {
  const { own, content, room } = message
  await tellReport(context, work, message)
  // An edge reports what its network says. Among many, that a message has come to each is of no use to anybody.
  const reports = context.self.accountKind !== 'edge' && work.record?.kind !== 'group'
  if (!own && reports && work.record?.standing === 'accepted' && isForPeople(content)) {
    const delivered = [...(work.record.receipts?.delivered ?? []), message.messageId].slice(-mostOwed)
    work.update({ receipts: { ...work.record.receipts, delivered } })
    const full = delivered.length >= mostInReport
    work.afterwards(() => (full ? context.hooks.send?.(room) : context.receipts.owed(room)))
  }
  const told = own ? readable(content) : undefined
  if (!told || !work.record?.receipts) return
  // Another device of this account was faster.
  const left = (work.record.receipts.delivered ?? []).filter(
    (id) => !told.some(({ messageId }) => equalBytes(messageId, id)),
  )
  work.update({ receipts: { ...work.record.receipts, delivered: left } })
}

function readable(content: MimiContent) {
  try {
    return readStatus(content)
  } catch {
    return undefined
  }
}

async function tellReport(context: Context, work: RoomWork, message: Received & { content: MimiContent }) {
  const entries = readable(message.content)
  if (!entries) return
  const { room, seq, timestampMs, sender, own } = message
  for (const status of ['delivered', 'read'] as const) {
    const messageIds = entries.filter((each) => each.status === status).map(({ messageId }) => messageId)
    if (messageIds.length > 0)
      await context.events.run('receipt', { room, seq, timestampMs, account: sender, own, status, messageIds }, work.tx)
  }
}

/**
 * The person has read up to a message. Told to the room with the next report, when the account wishes that and the room is
 * not too large; else to the account's other devices.
 */
export async function markRead(context: Context, room: RoomId, messageId: Uint8Array): Promise<void> {
  if (messageId.length !== 32) throw new ClientError('malformed', 'a message id has 32 bytes')
  const quietly = await inRoom(context, room, async (work) => {
    if (!work.record) throw new ClientError('no-such-room')
    if (!work.record.joined || work.record.standing !== 'accepted') return false
    const { readReceipts = true } = (await accountSettings.get(work.tx)) ?? {}
    const accounts = new Set((await work.roster()).leaves.map(({ address }) => address))
    if (!readReceipts || accounts.size > context.settings.receiptMembers) return true
    work.update({ receipts: { ...work.record.receipts, read: messageId } })
    work.afterwards(() => context.receipts.owed(room))
    return false
  })
  if (quietly) await tellOwnDevices(context, readMessage(room, messageId))
}

/** Puts the receipts that are owed into the room's queue: one report, several after much was caught up with. */
export async function sendReceiptsIfOwed(context: Context, work: RoomWork): Promise<void> {
  const { record } = work
  if (!record?.receipts) return
  const { delivered = [], read } = record.receipts
  if (delivered.length < mostInReport && !context.receipts.due(work.id)) return
  const { receipts: _, ...rest } = record
  work.begin(rest)
  if (record.standing !== 'accepted' || record.kind === 'self') return
  const entries = delivered
    // What was read was delivered.
    .filter((messageId) => !read || !equalBytes(messageId, read))
    .map((messageId) => ({ messageId, status: 'delivered' as const }))
  const all = read ? [...entries, { messageId: read, status: 'read' as const }] : entries
  for (let i = 0; i < all.length; i += mostInReport)
    await addSubmission(context, work, statusMessage(all.slice(i, i + mostInReport)))
}
