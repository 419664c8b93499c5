import { decodeContent } from '../../content/index.ts'
import { describePosture, type Posture } from '../../identity/index.ts'
import type { Transaction } from '../../store/index.ts'
import { isRefused, type Loss, toMatrix } from '../matrix/translate/index.ts'
import { circleOf } from './circle.ts'
import type { PortalContext } from './context.ts'
import type { OutboxEvent, OutboxItem } from './outbox-table.ts'
import type { OpenPortal } from './portal-table.ts'
import { postureType } from './state-types.ts'

export interface MadeEvent {
  item: OutboxItem
  event: OutboxEvent
  losses: readonly Loss[]
}

/** What an item came to: an event to put, or a reason why there is none. */
export type Made =
  | MadeEvent
  | { item: OutboxItem; outcome: 'rejected' | 'dropped'; code: string }
  | { item: OutboxItem; nothing: true }

/**
 * The events of a batch, encrypted where they are not for all to see; those that were made before are taken as they are.
 *
 * @param as the portal as the one who speaks an item sees it
 * @param keep makes events durable that were encrypted, together with what encrypted them
 */
export async function makeEvents(
  context: PortalContext,
  portal: OpenPortal,
  items: readonly OutboxItem[],
  as: (item: OutboxItem) => OpenPortal,
  keep: (tx: Transaction, made: readonly MadeEvent[]) => void,
): Promise<Made[]> {
  const drafts: Draft[] = []
  const before: Before = { messages: new Set(), posture: portal.posture }
  for (const item of items) {
    const one = await makeEvent(context, as(item), item, before)
    // The message that this one answers is in the same batch: its event has no id yet. The rest goes with the next batch.
    if (one === 'later') break
    if (item.messageId !== undefined) before.messages.add(hex(item.messageId))
    if (item.kind === 'posture') before.posture = text(item.body)
    drafts.push(one)
  }
  return encryptDrafts(context, drafts, as, keep)
}

/** What is to be encrypted yet; `state` goes before it. */
interface ToEncrypt {
  readonly plain: { readonly type: string; readonly content: object }
  readonly state?: OutboxEvent['state']
}
interface Unencrypted {
  readonly item: OutboxItem
  readonly encrypt: ToEncrypt
  readonly losses: readonly Loss[]
}
type Draft = Made | Unencrypted

/** Encrypts all drafts of a batch together, each as the ghost that speaks it: one use of its room key is made durable for all. */
async function encryptDrafts(
  context: PortalContext,
  drafts: readonly Draft[],
  as: (item: OutboxItem) => OpenPortal,
  keep: (tx: Transaction, made: readonly MadeEvent[]) => void,
): Promise<Made[]> {
  const toEncrypt = drafts.flatMap((draft) => ('encrypt' in draft ? [draft] : []))
  const encrypted = new Map<Draft, MadeEvent>()
  for (const spoken of Map.groupBy(toEncrypt, ({ item }) => as(item).ghost).values()) {
    const { ghost, matrixRoom, readers, mxid } = as(spoken[0]!.item)
    const plain = spoken.map(({ encrypt }) => encrypt.plain)
    await context.ghosts.encryptAll(ghost, matrixRoom, plain, readers ?? [mxid], (tx, contents, from) => {
      const made = contents.map((content, index) => eventOf(spoken[from + index]!, content))
      for (const [index, one] of made.entries()) encrypted.set(spoken[from + index]!, one)
      keep(tx, made)
    })
  }
  return drafts.map((draft) => ('encrypt' in draft ? encrypted.get(draft)! : draft))
}

const eventOf = ({ item, encrypt, losses }: Unencrypted, content: Record<string, unknown>): MadeEvent => ({
  item,
  losses,
  event: {
    type: 'm.room.encrypted',
    content,
    ...(encrypt.state && { state: encrypt.state }),
    ...(losses.length > 0 && { losses }),
  },
})

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
): Promise<Draft | 'later'> {
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
      const result = toMatrix(content, { replyTo, ...circleOf(portal), eventBytes: context.settings.eventBytes })
      if (isRefused(result)) return { item, outcome: result.level, code: result.code }
      return { item, encrypt: { plain: result.event }, losses: result.losses }
    }
    case 'notice':
      return { item, encrypt: { plain: notice(text(item.body)) }, losses: [] }
    case 'posture': {
      if (text(item.body) === before.posture) return { item, nothing: true }
      const posture = JSON.parse(text(item.body)) as Posture
      const other = portal.name
      const { host } = context
      const said = describePosture(posture, { ...(other === undefined ? {} : { other }), host })
      // State is not encrypted: nobody is named in it, since the name may be a handle that was asked for in secret.
      const state = { type: postureType, content: { ...posture, text: describePosture(posture, { host }) } }
      return { item, encrypt: { plain: notice(said), state }, losses: [] }
    }
    case 'status':
      return { item, event: sendStatus(portal, JSON.parse(text(item.body))), losses: [] }
    case 'members':
      return { item, nothing: true }
  }
}

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes)

const notice = (body: string) => ({
  type: 'm.room.message',
  content: { msgtype: 'm.notice', body, 'm.mentions': {} },
})

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
      ...(status === 'SUCCESS' ? { delivered_to_users: [portal.ghost] } : {}),
      ...(message === undefined ? {} : { reason: 'm.event_not_handled', message }),
    },
  }
}
