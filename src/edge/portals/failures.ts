import type { Transaction } from '../../store/index.ts'
import type { PortalContext } from './context.ts'
import type { Portal } from './portal-table.ts'

/** Why a message did not cross, as its sender reads it. `name`: how the other one is called. */
export type Reason = (name?: string) => string

/**
 * Tells the sender that a message stayed on Matrix, in its status and, unless they know, in words. The homeserver reads a
 * status, which is not encrypted, so nobody is named in it: the name may be a handle that was asked for in secret.
 */
export async function tellFailure(
  { outbox }: Pick<PortalContext, 'outbox'>,
  tx: Transaction,
  portal: Portal,
  eventId: string,
  why: Reason,
  { inWords = true }: { inWords?: boolean } = {},
): Promise<void> {
  const status = { eventId, status: 'FAIL_PERMANENT', message: why() }
  await outbox.add(tx, portal.id, 'status', JSON.stringify(status))
  if (inWords) await outbox.add(tx, portal.id, 'notice', why(portal.name))
}
