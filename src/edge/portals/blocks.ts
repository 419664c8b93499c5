import { owned, type PortalContext } from './context.ts'
import { departLater } from './departures.ts'
import { stateOf } from './from-messenger.ts'
import type { Portal } from './portal-table.ts'
import { blockedOutcome } from './reports.ts'

/**
 * The Matrix user has blocked the other one: nothing more reaches the Matrix room. The messenger's room stays as it is, so
 * that the other one learns of it only by writing. For what was under way already the outcome is kept: it cannot be told
 * across a block.
 */
export async function endByBlock(context: PortalContext, found: Portal, said: string): Promise<void> {
  const { portals, outbox } = context
  await owned(context, found.account, async (tx) => {
    const portal = await portals.byId(tx, found.id)
    if (portal === undefined) return
    await portals.update(tx, portal.id, { state: 'ended', endedBecause: 'blocked-here' })
    if (portal.state === 'ended') return
    await outbox.holdWaiting(tx, portal.id, blockedOutcome)
    await outbox.add(tx, portal.id, 'notice', said)
  })
  context.wake(found.id)
}

/** The block is over: the portal is again what its messenger room is. False where there is no such room any more. */
export async function takeUpAgain(context: PortalContext, found: Portal): Promise<boolean> {
  const { portals, users } = context
  const { device } = await users.byAccount(found.account)
  const room = found.room && (await device.room(found.room))
  const { state, ending = 'left-here' } = room ? stateOf(room) : { state: 'ended' as const }
  const goesOn = state !== 'ended'
  await owned(context, found.account, async (tx) => {
    const portal = await portals.byId(tx, found.id)
    if (portal?.state !== 'ended') return
    // The ghost is gone from the last room, or on its way.
    const { ghost, matrixRoom } = portal
    if (ghost !== undefined && matrixRoom !== undefined) await departLater(tx, portal.id, ghost, matrixRoom)
    const change = { matrixRoom: undefined, userIn: false, making: undefined }
    await portals.update(tx, portal.id, { ...change, state, endedBecause: goesOn ? undefined : ending })
  })
  context.wake(found.id)
  return goesOn
}
