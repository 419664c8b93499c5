import { decodeContent } from '../../content/index.ts'
import { describePosture, type Posture } from '../../identity/index.ts'
import { isRefused, type Loss, toMatrix } from '../matrix/translate/index.ts'
import type { PortalContext } from './context.ts'
import type { OutboxEvent, OutboxItem } from './outbox-table.ts'
import type { OpenPortal } from './portal-table.ts'
import { postureType } from './state-types.ts'

/** What an item came to: an event to put, or a reason why there is none. */
export type Made =
  | { item: OutboxItem; event: OutboxEvent; losses: readonly Loss[] }
  | { item: OutboxItem; outcome: 'rejected' | 'dropped'; code: string }
  | { item: OutboxItem; nothing: true }

/**
 * The events of a batch, encrypted where they are not for all to see; those that were made before are taken as they are.
 * `as`: the portal as the one who speaks an item sees it.
 */
export async function makeEvents(
  context: PortalContext,
  portal: OpenPortal,
  items: readonly OutboxItem[],
  as: (item: OutboxItem) => OpenPortal,
): Promise<Made[]> {
  const made: Made[] = []
  const before: Before = { messages: new Set(), posture: portal.posture }
  for (const item of items) {
    const one = await makeEvent(context, as(item), item, before)
    // The message that this one answers is in the same batch: its event has no id yet. The rest goes with the next batch.
    if (one === 'later') break
    if (item.messageId !== undefined) before.messages.add(hex(item.messageId))
    if (item.kind === 'posture') before.posture = text(item.body)
    made.push(one)
  }
  return made
}

/** What stands before an item in its batch. */
interface Before {
  messages: Set<string>
  posture: string | undefined
}

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')

async function makeEvent(
  context: PortalContext,
  portal: OpenPortal,
  item: OutboxItem,
  before: Before,
): Promise<Made | 'later'> {
  if (item.event !== undefined) return { item, event: item.event, losses: item.event.losses ?? [] }
  if (context.clock() - item.createdAt > context.settings.outboxExpiryMs) {
    return item.kind === 'message' ? { item, outcome: 'rejected', code: 'expired' } : { item, nothing: true }
  }
  switch (item.kind) {
    case 'message': {
      const content = decodeContent(item.body)
      const target = content.inReplyTo
      if (target !== undefined && before.messages.has(hex(target))) return 'later'
      const replyTo = target && (await context.messages.eventOf(context.database, portal.id, target))
      const result = toMatrix(content, { replyTo, eventBytes: context.settings.eventBytes })
      if (isRefused(result)) return { item, outcome: result.level, code: result.code }
      const { type, content: plain } = result.event
      return {
        item,
        event: { ...(await encrypted(context, portal, type, plain)), losses: result.losses },
        losses: result.losses,
      }
    }
    case 'notice':
      return { item, event: await notice(context, portal, text(item.body)), losses: [] }
    case 'posture': {
      if (text(item.body) === before.posture) return { item, nothing: true }
      const posture = JSON.parse(text(item.body)) as Posture
      const other = portal.name
      const said = describePosture(posture, { ...(other === undefined ? {} : { other }), host: context.host })
      const event = await notice(context, portal, said)
      return {
        item,
        event: { ...event, state: { type: postureType, content: { ...posture, text: said } } },
        losses: [],
      }
    }
    case 'status':
      return { item, event: sendStatus(portal, JSON.parse(text(item.body))), losses: [] }
    case 'members':
      return { item, nothing: true }
  }
}

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes)

const notice = (context: PortalContext, portal: OpenPortal, body: string) =>
  encrypted(context, portal, 'm.room.message', { msgtype: 'm.notice', body, 'm.mentions': {} })

async function encrypted(
  context: PortalContext,
  portal: OpenPortal,
  type: string,
  content: object,
): Promise<OutboxEvent> {
  const { ghosts } = context
  return {
    type: 'm.room.encrypted',
    content: await ghosts.encrypt(portal.ghost, portal.matrixRoom, type, content, portal.readers ?? [portal.mxid]),
  }
}

/**
 * What became of an event of the Matrix user, in the form that some clients show (com.beeper.message_send_status). It
 * says nothing of what was written, so it is not encrypted.
 */
function sendStatus(portal: OpenPortal, { eventId, status, message }: Record<string, string>): OutboxEvent {
  return {
    type: 'com.beeper.message_send_status',
    content: {
      'm.relates_to': { rel_type: 'm.reference', event_id: eventId },
      network: 'eu.silta',
      status,
      ...(message === undefined ? { delivered_to_users: [portal.ghost] } : { reason: 'm.event_not_handled', message }),
    },
  }
}
