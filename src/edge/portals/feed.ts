import type { StoredEvent } from '../matrix/appservice.ts'
import { owned, type PortalContext } from './context.ts'
import { passOn } from './from-matrix.ts'
import { lookAgain } from './look-again.ts'
import { memberChanged, roomReplaced } from './members.ts'
import type { OpenPortal, Portal } from './portal-table.ts'
import { together } from './together.ts'
import { opened } from './work.ts'

/**
 * Events of one Matrix room that is a portal's, in order.
 * @returns undefined when the room is no portal's
 */
export async function takeEvents(
  context: PortalContext,
  room: string,
  events: readonly StoredEvent[],
): Promise<{ taken: true; retryAfterMs?: number } | undefined> {
  const { portals, database } = context
  for (let next = 0; next < events.length; ) {
    const found = await portals.byMatrixRoom(database, room)
    const portal = found && (await withUser(context, found))
    if (portal === undefined) {
      if (next === 0) return undefined
      return { taken: true }
    }
    await context.users.byAccount(portal.account)
    const stored = events[next]!
    const isWritten = (one: StoredEvent) =>
      one.sender === portal.mxid && one.stateKey === undefined && portal.state !== 'ended'
    if (isWritten(stored)) {
      const written = together(events, next, isWritten)
      const handled = await passOn(context, portal, written).catch(lookAgain(context, portal.id))
      if (handled !== 'done') return { taken: true, retryAfterMs: handled.retryAfterMs }
      next += written.length
      continue
    }
    next++
    if (stored.type === 'm.room.member' && stored.stateKey !== undefined) {
      await memberChanged(context, portal, stored).catch(lookAgain(context, portal.id))
      // What was missed before the ghost had joined comes now, before the rest of these.
      if (stored.stateKey === portal.ghost) return { taken: true }
    } else if (stored.type === 'm.room.tombstone' && stored.stateKey === '')
      await roomReplaced(context, portal, stored).catch(lookAgain(context, portal.id))
    else await owned(context, portal.account, (tx) => context.finishEvent(tx, stored.id))
  }
  return { taken: true }
}

/** As `opened`, also while the user is not in the room. */
async function withUser(context: PortalContext, portal: Portal): Promise<OpenPortal | undefined> {
  const open = await opened(context, { ...portal, userIn: true })
  return open && { ...open, userIn: portal.userIn }
}
