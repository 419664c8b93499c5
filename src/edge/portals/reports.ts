import { ClientError, type OutgoingContent } from '../../client/index.ts'
import { type Outcome, outcomeMessage, statusMessage } from '../../content/index.ts'
import { concatBytes, utf8 } from '../../crypto/index.ts'
import type { Transaction } from '../../store/index.ts'
import { delay } from '../matrix/locks.ts'
import { owned, type PortalContext } from './context.ts'
import { EdgeError } from './errors.ts'
import type { Portal } from './portal-table.ts'

/** What a sender is told whose message a block has kept from its reader after the messenger had taken it. */
export const blockedOutcome = { outcome: 'rejected', code: 'blocked' } as const

/** The same of one who has left: it was not in the Matrix room yet. */
const leftOutcome = { outcome: 'rejected', code: 'ended' } as const

/**
 * The Matrix user has left, and what had still to reach them never will. Its senders are told while it can be said: once
 * the messenger's room is left too, nobody hears anything in it any more. A messenger that does not take it in time is not
 * waited for.
 *
 * @throws EdgeError `closed`: the edge is draining, and this is to be called again
 */
export async function tellLeft(context: PortalContext, portal: Portal): Promise<void> {
  if (portal.state !== 'open') return
  await owned(context, portal.account, (tx) => context.outbox.holdWaiting(tx, portal.id, leftOutcome))
  await tellHeld(context, portal, (taken) => takenInTime(context, taken))
}

/** Whether the messenger has taken or refused all of it within `tellLeftMs`. */
async function takenInTime(
  { settings, stopping }: Pick<PortalContext, 'settings' | 'stopping'>,
  taken: readonly Promise<unknown>[],
): Promise<boolean> {
  const answered = new AbortController()
  void Promise.allSettled(taken).then(() => answered.abort())
  await delay(settings.tellLeftMs, AbortSignal.any([stopping, answered.signal]))
  if (!answered.signal.aborted && stopping.aborted) throw new EdgeError('closed')
  return answered.signal.aborted
}

/** Each is a message of its own; a repetition is the same message, by its key. `taken`: what the messenger says of each. */
export async function tellOutcomes(
  context: PortalContext,
  portal: Portal,
  outcomes: readonly Outcome[],
  taken: Promise<unknown>[] = [],
): Promise<void> {
  for (const outcome of outcomes) {
    context.counters.count('refused', { way: 'to-matrix', code: outcome.code })
    const key = keyOf(context, 'outcome', [outcome.messageId])
    const sent = await tell(context, portal, outcomeMessage(outcome), key)
    if (sent !== undefined) taken.push(sent.accepted)
  }
}

/**
 * What could not be told before the Matrix user accepted. `untilTaken` waits for what the messenger says of each outcome; what
 * it gives `false` for is told again, as the same messages, should there be another time.
 */
export async function tellHeld(
  context: PortalContext,
  portal: Portal,
  untilTaken: (taken: readonly Promise<unknown>[]) => Promise<boolean> = async () => true,
): Promise<void> {
  const { outbox, messages, database } = context
  if (portal.state !== 'open') return
  const held = await outbox.held(database, portal.id)
  if (held.length > 0) {
    const untrue: Uint8Array[] = []
    // On its way into the Matrix room when the block came, or when the user went, and there all the same.
    for (const { outcome } of held)
      if (keptBack.has(outcome.code) && (await messages.eventOf(database, portal.id, outcome.messageId)))
        untrue.push(outcome.messageId)
    const taken: Promise<unknown>[] = []
    const outcomes = held.flatMap(({ outcome }) => (untrue.includes(outcome.messageId) ? [] : [outcome]))
    await tellOutcomes(context, portal, outcomes, taken)
    const ids = held.map(({ id }) => id)
    if (await untilTaken(taken)) await owned(context, portal.account, async (tx) => outbox.done(tx, ids))
  }
  const delivered = await messages.unreported(database, portal.id, reportedAtOnce)
  if (delivered.length === 0) return
  const noted = async (tx: Transaction) => messages.setReported(tx, portal.id, delivered)
  await report(context, portal, delivered, noted, noted)
}

const keptBack: ReadonlySet<string> = new Set([blockedOutcome.code, leftOutcome.code])

/** Messages in one report at most. */
const reportedAtOnce = 500

/** Messages that have reached Matrix: their sender is told, and in the same transaction it is noted. */
export async function report(
  context: PortalContext,
  portal: Portal,
  delivered: readonly Uint8Array[],
  noted: (tx: Transaction) => Promise<void>,
  unreported: (tx: Transaction) => Promise<void>,
): Promise<void> {
  const content = statusMessage(delivered.map((messageId) => ({ messageId, status: 'delivered' as const })))
  const told = await tell(context, portal, content, keyOf(context, 'delivered', delivered), noted)
  if (told === undefined) await owned(context, portal.account, unreported)
}

/**
 * Sends a report into the messenger's room. Gives what becomes of it there; undefined when it cannot be sent, and then
 * `within` has not run.
 */
async function tell(
  context: PortalContext,
  portal: Portal,
  content: OutgoingContent,
  key: Uint8Array,
  within?: (tx: Transaction) => Promise<void>,
): Promise<{ accepted: Promise<unknown> } | undefined> {
  if (portal.room === undefined || portal.state !== 'open') return undefined
  const { device } = await context.users.byAccount(portal.account)
  try {
    const sent = await device.send(portal.room, content, {
      key,
      ...(within === undefined ? {} : { within: (tx) => within(tx.application as Transaction) }),
    })
    // A refusal of it is counted where all refusals are.
    sent.accepted.catch(() => {})
    return sent
  } catch (error) {
    if (!(error instanceof ClientError) || error.retry) throw error
    context.fault(error, 'a report of what has arrived was refused')
    return undefined
  }
}

const keyOf = (context: PortalContext, what: string, ids: readonly Uint8Array[]) =>
  context.crypto.sha256(concatBytes(utf8(`silta matrix ${what}\0`), ...ids))
