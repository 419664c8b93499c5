import { utf8 } from '../../../crypto/index.ts'
import type { Sealer, Transaction } from '../../../store/index.ts'
import { readEvent } from './body.ts'
import type { StoredEvent } from './types.ts'

/** What of a room's waiting events is handed over first: by arrival, what was missed behind what it belongs to. */
export const inOrder = 'order by coalesce(behind, id), id'

/**
 * Stores events that the homeserver did not push, oldest first, right behind the one that is being handled and before all
 * that was pushed after it. One that the homeserver did push after all, before or later, is then there twice: whoever
 * handles events has to take the second as the repetition that it is.
 */
export async function storeMissed(
  tx: Transaction,
  sealer: Sealer,
  { id, room }: Pick<StoredEvent, 'id' | 'room'>,
  missed: readonly Record<string, unknown>[],
): Promise<void> {
  const events = missed.filter((event) => readEvent(event)?.room === room)
  if (events.length === 0) return
  const place = `appservice_event|body|${room}`
  await tx.query(
    `insert into appservice_event (room, body, received_at, behind)
     select $1, body, now_ms(), $3 from unnest($2::bytea[]) with ordinality as new (body, n) order by n`,
    [room, events.map((event) => sealer.seal(utf8(JSON.stringify(event)), place)), id],
  )
}
