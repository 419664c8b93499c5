import { ClientError, type OutgoingContent } from '../../client/index.ts'
import { type Outcome, outcomeMessage, statusMessage } from '../../content/index.ts'
import { concatBytes, utf8 } from '../../crypto/index.ts'
import type { Transaction } from '../../store/index.ts'
import { owned, type PortalContext } from './context.ts'
import type { Portal } from './portal-table.ts'

/** What a sender is told whose message a block has kept from its reader after the messenger had taken it. */
export const blockedOutcome = { outcome: 'rejected', code: 'blocked' } as const

/** Each is a message of its own; a repetition is the same message, by its key. */
export async function tellOutcomes(
  context: PortalContext,
  portal: Portal,
  outcomes: readonly Outcome[],
): Promise<void> {
  for (const outcome of outcomes) {
    context.counters.count('refused', { way: 'to-matrix', code: outcome.code })
    await tell(context, portal, outcomeMessage(outcome), keyOf(context, 'outcome', [outcome.messageId]))
  }
}

/** What could not be told before the Matrix user accepted. */
export async function tellHeld(context: PortalContext, portal: Portal): Promise<void> {
  const { outbox, messages, database } = context
  if (portal.state !== 'open') return
  const held = await outbox.held(database, portal.id)
  if (held.length > 0) {
    const untrue: Uint8Array[] = []
    // On its way into the Matrix room when the block came, and there all the same.
    for (const { outcome } of held)
      if (outcome.code === blockedOutcome.code && (await messages.eventOf(database, portal.id, outcome.messageId)))
        untrue.push(outcome.messageId)
    await tellOutcomes(
      context,
      portal,
      held.flatMap(({ outcome }) => (untrue.includes(outcome.messageId) ? [] : [outcome])),
    )
    await owned(context, portal.account, (tx) =>
      outbox.done(
        tx,
        held.map(({ id }) => id),
      ),
    )
  }
  const delivered = await messages.unreported(database, portal.id, reportedAtOnce)
  if (delivered.length === 0) return
  const noted = (tx: Transaction) => messages.setReported(tx, portal.id, delivered)
  await report(context, portal, delivered, noted, noted)
}

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
  if (!told) await owned(context, portal.account, unreported)
}

/** Sends a report into the messenger's room. False when it cannot be sent; then `within` has not run. */
async function tell(
  context: PortalContext,
  portal: Portal,
  content: OutgoingContent,
  key: Uint8Array,
  within?: (tx: Transaction) => Promise<void>,
): Promise<boolean> {
  if (portal.room === undefined || portal.state !== 'open') return false
  const { device } = await context.users.byAccount(portal.account)
  try {
    const sent = await device.send(portal.room, content, {
      key,
      ...(within === undefined ? {} : { within: (tx) => within(tx.application as Transaction) }),
    })
    // A refusal of it is counted where all refusals are.
    sent.accepted.catch(() => {})
    return true
  } catch (error) {
    if (!(error instanceof ClientError) || error.retry) throw error
    context.counters.count('faults', { code: error.code })
    return false
  }
}

const keyOf = (context: PortalContext, what: string, ids: readonly Uint8Array[]) =>
  context.crypto.sha256(concatBytes(utf8(`silta matrix ${what}\0`), ...ids))
