import { asGhost, owned, type PortalContext } from './context.ts'
import { depart } from './departures.ts'
import { replacePlaceholders } from './from-matrix.ts'
import { workOnGroup } from './groups/work.ts'
import { isOnlyInvited } from './matrix-room.ts'
import { closePortal, openPortal, postureOf } from './opening.ts'
import type { OutboxItem } from './outbox-table.ts'
import { owedBy, tellOwed } from './owed.ts'
import { held, type OpenPortal, type Portal } from './portal-table.ts'
import { sendItems, sendWaiting } from './sending.ts'
import { words } from './words.ts'

/** Everything there is to do for one portal now; called by the runner, one at a time for each. */
export async function workOn(context: PortalContext, id: number, keysCame: boolean): Promise<void> {
  const { portals, users, database } = context
  const found = await portals.byId(database, id)
  if (found === undefined) return workOnGroup(context, id, keysCame)
  // The device must be ours before anything is done for it.
  await users.byAccount(found.account)
  const portal = await openPortal(context, found)
  const open = await opened(context, portal)
  const over = open === undefined || (await isOverBeforeJoin(context, open))
  if (!over) await sendInOrder(context, open, keysCame)
  const owed = await owedBy(database, id)
  if (!over) await tellOwed(context, open, owed)
  if (portal.state === 'ended') await closePortal(context, portal)
  // Last: what is left behind must not hold up what goes on.
  if (owed.departures) await depart(context, found)
}

/** What people write goes before what is told of it. */
async function sendInOrder(context: PortalContext, open: OpenPortal, keysCame: boolean): Promise<void> {
  if (open.state === 'open' && open.peerName !== undefined && open.peerName !== open.shownName)
    await showName(context, open)
  await owePosture(context, open)
  if (keysCame) await replacePlaceholders(context, open)
  for (
    let now: OpenPortal | undefined = open;
    now !== undefined;
    now = await opened(context, await reread(context, open))
  ) {
    const waits = await waitsForJoin(context, now)
    const noted = await noteHeld(context, now, waits)
    if (waits) return expireWaiting(context, noted)
    if (!(await sendWaiting(context, noted))) return
  }
}

/** Nobody is waited for without end: what is too old is not sent any more, and whoever wrote it is told so. */
async function expireWaiting(context: PortalContext, portal: OpenPortal): Promise<void> {
  const { outbox, database, settings, clock } = context
  const isOld = ({ event, createdAt }: OutboxItem) =>
    event === undefined && clock() - createdAt > settings.outboxExpiryMs
  for (let again = true; again; ) {
    const old = (await outbox.waiting(database, portal.id, settings.outboxBatch)).filter(isOld)
    if (old.length > 0) await sendItems(context, portal, old)
    again = old.length === settings.outboxBatch
  }
  // Who can read is still to be said to them.
  await owePosture(context, portal)
}

/**
 * Ended before the Matrix user came in, with nothing from a person left to show: the invitation is taken back, which says
 * why. Words would reach a client that sees the room only in parting, and has not looked up whose they are.
 */
async function isOverBeforeJoin(context: PortalContext, portal: OpenPortal): Promise<boolean> {
  if (portal.state !== 'ended' || (await context.outbox.has(context.database, portal.id, 'message'))) return false
  return isOnlyInvited(context, portal.ghost, portal.matrixRoom, portal.mxid)
}

/**
 * Whether the Matrix user has still to come in for the first time; then what is said waits for that, which wakes the portal,
 * or until it is too old.
 * A client that gets a room key from somebody it shares no room with does not know whose it is, and one that takes keys of
 * known devices only would never show what was encrypted under it.
 */
async function waitsForJoin(context: PortalContext, portal: OpenPortal): Promise<boolean> {
  // The first that goes out is who can read.
  if (portal.state === 'ended' || portal.posture !== undefined) return false
  return isOnlyInvited(context, portal.ghost, portal.matrixRoom, portal.mxid)
}

/** What waits for somebody is told apart from what waits for us. */
async function noteHeld(context: PortalContext, portal: OpenPortal, waits: boolean): Promise<OpenPortal> {
  if (waits === (portal.heldUntil === held)) return portal
  const heldUntil = waits ? held : context.clock()
  await owned(context, portal.account, (tx) => context.portals.update(tx, portal.id, { heldUntil }))
  return { ...portal, heldUntil }
}

const reread = async (context: PortalContext, portal: Portal): Promise<Portal> =>
  (await context.portals.byId(context.database, portal.id)) ?? portal

/** The portal with what sending needs; undefined while it has no Matrix room with the user in it. */
export async function opened(context: PortalContext, portal: Portal): Promise<OpenPortal | undefined> {
  const { ghost, matrixRoom } = portal
  if (ghost === undefined || matrixRoom === undefined || !portal.userIn) return undefined
  const mxid = await context.users.mxidOf(context.database, portal.account)
  return mxid === undefined ? undefined : { ...portal, ghost, matrixRoom, mxid }
}

/**
 * Who can read is told in each room, also where a crash or a late consent came in between. Whoever asked is told when they
 * come in: their client has not looked up the ghost before, and some show such a message as one that cannot be read.
 */
async function owePosture(context: PortalContext, portal: OpenPortal): Promise<void> {
  const { outbox, database } = context
  const { id, ghost, matrixRoom, mxid, state } = portal
  if (portal.posture !== undefined || state === 'ended') return
  if (await outbox.has(database, id, 'posture')) return
  if (state === 'requested' && (await isOnlyInvited(context, ghost, matrixRoom, mxid))) return
  const posture = await postureOf(context, portal)
  if (posture === undefined) return
  await owned(context, portal.account, async (tx) => {
    await outbox.add(tx, id, 'posture', posture)
    if (state === 'requested') await outbox.add(tx, id, 'notice', words.requested(portal.name))
  })
}

/** The ghost is called in this room what the account calls itself there. Elsewhere it has no name. */
async function showName(context: PortalContext, portal: OpenPortal): Promise<void> {
  const as = await asGhost(context, portal.ghost)
  const content = { membership: 'join', displayname: portal.peerName }
  await context.homeserver.putState(as, portal.matrixRoom, 'm.room.member', portal.ghost, content)
  await owned(context, portal.account, (tx) => context.portals.update(tx, portal.id, { shownName: portal.peerName }))
}
