import type { Outcome } from '../../content/index.ts'
import { toBase64Url } from '../../crypto/index.ts'
import type { Transaction } from '../../store/index.ts'
import { findSent, transactionId } from '../matrix/find-sent.ts'
import { HomeserverError } from '../matrix/homeserver.ts'
import type { Loss } from '../matrix/translate/index.ts'
import { asGhost, owned, type PortalContext } from './context.ts'
import { elapsed } from './elapsed.ts'
import { makeEvents } from './outbox-events.ts'
import type { OutboxEvent, OutboxItem } from './outbox-table.ts'
import type { OpenPortal } from './portal-table.ts'
import { report, tellOutcomes } from './reports.ts'

/** Sends what waits in a portal's outbox into its Matrix room, in order. Gives whether there may be more. */
export async function sendWaiting(context: PortalContext, portal: OpenPortal): Promise<boolean> {
  const { outbox, settings, database } = context
  const items = await outbox.waiting(database, portal.id, settings.outboxBatch)
  if (items.length === 0) return false
  const sent = await sendItems(context, portal, items)
  return sent < items.length || items.length === settings.outboxBatch
}

/**
 * Sends items, all of a batch together: the events are made, encrypted, and kept in the transaction that makes their
 * encryption durable, then put one after another, then noted as done in one transaction. A repetition after a crash puts the very same events under the same
 * transaction ids.
 *
 * @param as the portal as the one who speaks an item sees it; a portal of two has one ghost that speaks
 * @returns how many of them, from the first on, are done
 */
export async function sendItems(
  context: PortalContext,
  portal: OpenPortal,
  items: readonly OutboxItem[],
  as: (item: OutboxItem) => OpenPortal = () => portal,
): Promise<number> {
  const { outbox, steps } = context
  await steps('matrix.outbox.stored')
  const made = await makeEvents(context, portal, items, as, (tx, encrypted) => {
    context.users.check(tx, portal.account)
    const kept = encrypted.map(({ item, event }) => ({ item: item.id, event }))
    outbox.keepEvents(tx, portal.id, kept)
  })
  const again = made.flatMap((one) => ('event' in one && one.item.event !== undefined ? [one.item.id] : []))
  if (again.length > 0) await owned(context, portal.account, async (tx) => outbox.notePut(tx, again))
  await steps('matrix.outbox.encrypted')

  const finished: Finished[] = []
  let failure: unknown
  for (const one of made) {
    if (!('event' in one)) {
      finished.push(one)
      continue
    }
    try {
      const result = await put(context, as(one.item), one.item, one.event)
      finished.push(typeof result === 'string' ? { ...one, eventId: result } : { item: one.item, ...result })
      await steps('matrix.put')
    } catch (error) {
      // What was put before this one is still noted.
      failure = error
      break
    }
  }
  await finish(context, portal, finished)
  await steps('matrix.done')
  if (failure !== undefined) throw failure
  return made.length
}

/** Stable over retries, and never used for anything else: message ids are random enough to outlive a restored database. */
const nameOf = (portal: OpenPortal, { id, messageId, createdAt }: OutboxItem): string =>
  messageId === undefined ? `${portal.id}.${id}.${createdAt}` : toBase64Url(messageId)

/** Puts one event; gives its id, or why the homeserver will never take it. Throws what is worth a retry. */
async function put(
  context: PortalContext,
  portal: OpenPortal,
  item: OutboxItem,
  { type, content, state }: OutboxEvent,
): Promise<string | { outcome: 'rejected'; code: string }> {
  const { homeserver, settings, clock } = context
  const as = await asGhost(context, portal.ghost)
  const room = portal.matrixRoom
  // A status is made anew each time, always the same: nothing of it is kept, so its first attempt is as old as itself.
  const firstPutAt = item.firstPutAt ?? (item.kind === 'status' ? item.createdAt : undefined)
  try {
    if (state !== undefined) {
      // A ghost that may not state it any more says it all the same: who can read is never changed in silence.
      await homeserver.putState(as, room, state.type, '', state.content).catch((error: unknown) => {
        if (!(error instanceof HomeserverError) || error.status !== 403) throw error
      })
    }
    if (firstPutAt !== undefined && elapsed(clock(), firstPutAt) > settings.sendMemoryMs) {
      const found = await findSent(homeserver, { as, room, content, sentAt: firstPutAt }, settings)
      if (found !== undefined) return found
    }
    return await homeserver.putEvent(as, room, type, transactionId(portal.ghost, nameOf(portal, item)), content)
  } catch (error) {
    if (!(error instanceof HomeserverError)) throw error
    if (clock() - item.createdAt > settings.outboxExpiryMs) return { outcome: 'rejected', code: 'expired' }
    if (error.retry || error.status === 401) throw error
    // A ghost that was sent away, or has just moved to another room: its portal knows in a moment.
    const since = firstPutAt === undefined ? 0 : elapsed(clock(), firstPutAt)
    if (error.status === 403 && since < settings.refusedMs) throw error
    return { outcome: 'rejected', code: error.errcode === 'M_TOO_LARGE' ? 'too-large' : 'refused' }
  }
}

type Finished =
  | { item: OutboxItem; eventId: string; event: OutboxEvent; losses: readonly Loss[] }
  | { item: OutboxItem; outcome: 'rejected' | 'dropped'; code: string }
  | { item: OutboxItem; nothing: true }

/**
 * Notes the batch as done, and tells the messenger's sender, in one transaction with the report itself where one is sent:
 * so it is sent once, whenever the process ends.
 */
async function finish(context: PortalContext, portal: OpenPortal, finished: readonly Finished[]): Promise<void> {
  if (finished.length === 0) return
  const { outbox, messages, portals } = context
  const delivered = finished.flatMap((one) =>
    'eventId' in one && one.item.messageId !== undefined ? [one.item.messageId] : [],
  )
  const note = (reported: boolean) => async (tx: Transaction) => {
    const sent = finished.flatMap((one) =>
      'eventId' in one && one.item.messageId !== undefined
        ? [{ messageId: one.item.messageId, eventId: one.eventId }]
        : [],
    )
    messages.addSent(tx, portal.id, sent, reported)
    for (const one of finished) {
      if (one.item.kind === 'posture' && 'eventId' in one) {
        await portals.update(tx, portal.id, { posture: new TextDecoder().decode(one.item.body) })
      }
    }
    outbox.done(
      tx,
      finished.map((one) => one.item.id),
    )
  }
  for (const one of finished) {
    if (!('eventId' in one) || one.item.kind !== 'message') continue
    // How long somebody takes to accept says nothing of how fast messages cross.
    const since = Math.max(one.item.createdAt, portal.heldUntil)
    const seconds = Math.max(0, context.clock() - since) / 1000
    context.timers.observe('crossing', seconds, { way: 'to-matrix' })
  }
  // Before the Matrix user has accepted, nothing is said to the messenger's user: it waits until then.
  const open = portal.state === 'open'
  const outcomes = outcomesOf(finished)
  if (open) await tellOutcomes(context, portal, outcomes)
  const all = (reported: boolean) => async (tx: Transaction) => {
    await note(reported)(tx)
    if (!open) for (const outcome of outcomes) await outbox.hold(tx, portal.id, outcome)
  }
  if (delivered.length > 0 && open) await report(context, portal, delivered, all(true), all(false))
  else await owned(context, portal.account, all(false))
}

/** What is to be told of the items: what did not cross, or not whole. */
function outcomesOf(finished: readonly Finished[]): Outcome[] {
  return finished.flatMap((one): Outcome[] => {
    const { messageId } = one.item
    if (messageId === undefined || 'nothing' in one) return []
    if ('code' in one) return [{ messageId, outcome: one.outcome, code: one.code }]
    const [loss] = one.losses
    return loss === undefined ? [] : [{ messageId, outcome: 'partial', code: loss }]
  })
}
