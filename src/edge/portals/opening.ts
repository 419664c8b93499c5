import { ClientError, type Device } from '../../client/index.ts'
import type { AccountAddress, RoomId } from '../../identity/index.ts'
import type { GhostId } from '../matrix/ghosts.ts'
import { HomeserverError } from '../matrix/homeserver.ts'
import { asGhost, owned, type PortalContext } from './context.ts'
import { departLater } from './departures.ts'
import { isRefusal } from './errors.ts'
import { stateOf } from './from-messenger.ts'
import { goFrom, leaveRoom, makeMatrixRoom } from './matrix-room.ts'
import type { Portal } from './portal-table.ts'
import { blockedOutcome } from './reports.ts'
import { refusalWords, words } from './words.ts'

/**
 * Brings a portal's two rooms to where its state says they should be. Each step may be repeated and the next begins from
 * what is stored, so that it goes on after a crash wherever it stopped.
 */
export async function openPortal(context: PortalContext, found: Portal): Promise<Portal> {
  let portal = found
  if (portal.state === 'ended') return portal
  if (portal.room === undefined || portal.state === 'wanted') portal = await openMessengerRoom(context, portal)
  if (portal.room === undefined || portal.state === 'ended') return portal
  if (portal.matrixRoom === undefined) return openMatrixRoom(context, portal)
  if (!portal.userIn) return inviteAgain(context, portal, portal.matrixRoom)
  return portal
}

export type Beginning =
  | { began: true; portal: Portal }
  /** The other account has been asked for consent; the rest follows when it is given. */
  | { asked: true; portal: Portal }
  | { refused: ClientError }

/**
 * A Matrix user begins a conversation: the messenger's room first, since it may be refused.
 * @param own the user's own room, with the ghost in it, that is to be the portal's
 * @throws ClientError that is worth a retry
 */
export async function beginPortal(
  context: PortalContext,
  { account, device }: { account: AccountAddress; device: Device },
  peer: AccountAddress,
  own?: { matrixRoom: string; ghost: GhostId },
): Promise<Beginning> {
  const { portals, database } = context
  const pair = { account, peer }
  const before = await portals.byPair(database, account, peer)
  const going = before !== undefined && before.state !== 'ended'
  if (!going && before?.endedBecause === 'blocked-here') return { refused: new ClientError('blocked') }
  if (own !== undefined) {
    // Before the messenger's room exists: as soon as it does, a portal without a Matrix room would get one made for it.
    const change = { ...own, userIn: true, endedBecause: undefined }
    await owned(context, account, (tx) => portals.upsert(tx, pair, going ? before.state : 'wanted', change))
  }
  try {
    const room = await device.createDirectRoom(peer)
    const portal = await storeRoom(context, account, device, peer, room)
    context.wake(portal.id)
    return { began: true, portal }
  } catch (error) {
    if (!isRefusal(error)) throw error
    if (error.code !== 'consent-required') {
      if (own !== undefined && !going) {
        const change = { matrixRoom: undefined, userIn: false, endedBecause: before?.endedBecause ?? 'refused' }
        await owned(context, account, (tx) => portals.upsert(tx, pair, 'ended', change))
      }
      return { refused: error }
    }
    await device.requestConsent(peer)
    const portal = await owned(context, account, (tx) =>
      portals.upsert(tx, pair, 'wanted', { endedBecause: undefined }),
    )
    context.wake(portal.id)
    return { asked: true, portal }
  }
}

async function storeRoom(
  context: PortalContext,
  account: AccountAddress,
  device: Device,
  peer: AccountAddress,
  id: RoomId,
): Promise<Portal> {
  let room = await device.room(id)
  if (room?.standing === 'requested') {
    // Both asked each other: to ask is to accept.
    await device.accept(id)
    room = await device.room(id)
  }
  // Nothing that is written there would arrive; and could they be asked once more, they could be asked without end.
  if (room?.otherStanding === 'declined') throw new ClientError('not-allowed')
  const { state } = room === undefined ? { state: 'requested' as const } : stateOf(room)
  return owned(context, account, async (tx) => {
    const change = { room: id, endedBecause: undefined }
    const stored = await context.portals.upsert(tx, { account, peer }, state === 'ended' ? 'requested' : state, change)
    const { matrixRoom } = stored
    // What the user wrote there before has waited for the messenger's room.
    if (matrixRoom !== undefined) tx.afterCommit(() => context.wakeRoom(matrixRoom))
    return stored
  })
}

/** The messenger's room of a portal that was begun from Matrix, once it can be. */
async function openMessengerRoom(context: PortalContext, portal: Portal): Promise<Portal> {
  const { portals, outbox, users } = context
  const { account, device } = await users.byAccount(portal.account)
  try {
    const room = await device.createDirectRoom(portal.peer)
    return await storeRoom(context, account, device, portal.peer, room)
  } catch (error) {
    if (!isRefusal(error)) throw error
    // Asked already; the answer will wake this portal.
    if (error.code === 'consent-required') return portal
    await owned(context, portal.account, async (tx) => {
      await portals.update(tx, portal.id, { state: 'ended', endedBecause: 'refused' })
      await outbox.add(tx, portal.id, 'notice', refusalWords(error.code, 'start', portal.name))
    })
    return (await portals.byId(context.database, portal.id)) ?? portal
  }
}

async function openMatrixRoom(context: PortalContext, portal: Portal): Promise<Portal> {
  const { portals, outbox, users, ghosts, database } = context
  const mxid = await users.mxidOf(database, portal.account)
  if (mxid === undefined) return portal
  const ghost = portal.ghost ?? (await ghosts.ensure(portal.peer))
  if (portal.ghost === undefined) await owned(context, portal.account, (tx) => portals.update(tx, portal.id, { ghost }))
  let matrixRoom: string
  try {
    matrixRoom = await makeMatrixRoom(context, portal, ghost, mxid)
  } catch (error) {
    if (!(error instanceof HomeserverError) || error.retry || error.status === 401) throw error
    return unreachable(context, portal)
  }
  const opened = { ...portal, ghost, matrixRoom, userIn: true, making: undefined }
  // To whoever asked, the bridge says nothing before they have come in: see owePosture. What a person writes waits for that too,
  // and this goes before it.
  const posture = portal.state === 'requested' ? undefined : await postureOf(context, opened)
  await owned(context, portal.account, async (tx) => {
    // The user may have invited the ghost into a room of their own meanwhile, and that one is it.
    const now = await portals.byId(tx, portal.id)
    if (now?.matrixRoom !== undefined && now.matrixRoom !== matrixRoom) {
      await portals.update(tx, portal.id, { making: undefined })
      await departLater(tx, portal.id, ghost, matrixRoom)
      tx.afterCommit(() => context.wake(portal.id))
      return
    }
    const change = { matrixRoom, userIn: true, making: undefined, shownName: undefined, posture: undefined }
    await portals.update(tx, portal.id, change)
    if (posture !== undefined) await outbox.add(tx, portal.id, 'posture', posture)
    // The user may be there already, and have written.
    tx.afterCommit(() => context.wakeRoom(matrixRoom))
  })
  return (await portals.byId(database, portal.id)) ?? opened
}

/** The homeserver will not let the Matrix user be invited: the conversation ends before it began. */
async function unreachable(context: PortalContext, portal: Portal): Promise<Portal> {
  context.counters.count('refused', { way: 'to-matrix', code: 'no-invitation' })
  const { device } = await context.users.byAccount(portal.account)
  if (portal.room !== undefined) {
    const ending = portal.state === 'offered' ? device.decline(portal.room) : device.leave(portal.room)
    await ending.catch((error: unknown) => {
      if (!(error instanceof ClientError) || error.retry) throw error
    })
  }
  const change = { state: 'ended', endedBecause: 'refused', making: undefined } as const
  await owned(context, portal.account, (tx) => context.portals.update(tx, portal.id, change))
  return { ...portal, ...change }
}

/** The posture of a portal's room as an outbox item carries it; undefined while the device is not in the room. */
export async function postureOf(context: PortalContext, portal: Portal): Promise<string | undefined> {
  if (portal.room === undefined) return undefined
  const { device } = await context.users.byAccount(portal.account)
  try {
    return JSON.stringify(await device.posture(portal.room))
  } catch (error) {
    if (error instanceof ClientError && (error.code === 'not-joined' || error.code === 'no-such-room')) return undefined
    throw error
  }
}

/** The user left the Matrix room and the conversation began anew: the same room serves, if the ghost may invite there. */
async function inviteAgain(context: PortalContext, portal: Portal, matrixRoom: string): Promise<Portal> {
  const { portals, users, homeserver, database } = context
  const mxid = await users.mxidOf(database, portal.account)
  if (mxid === undefined || portal.ghost === undefined) return portal
  let reached = true
  try {
    await homeserver.invite(await asGhost(context, portal.ghost), matrixRoom, mxid)
  } catch (error) {
    if (!(error instanceof HomeserverError) || error.retry) throw error
    reached = false
  }
  if (!reached) await leaveRoom(context, portal.ghost, matrixRoom)
  const change = reached ? { userIn: true } : { matrixRoom: undefined }
  await owned(context, portal.account, (tx) => portals.update(tx, portal.id, change))
  return { ...portal, ...change } as Portal
}

/** An ended portal's ghost leaves its room, once the room has been told; an invitation that nobody answered is taken back. */
export async function closePortal(context: PortalContext, portal: Portal): Promise<void> {
  const { portals, outbox, users, database } = context
  if (portal.matrixRoom !== undefined && portal.ghost !== undefined) {
    const mxid = portal.userIn ? await users.mxidOf(database, portal.account) : undefined
    const why = portal.endedBecause && words.withdrawn(portal.endedBecause)
    await goFrom(context, portal.ghost, portal.matrixRoom, mxid, why)
  }
  await owned(context, portal.account, async (tx) => {
    // A beginning in the meantime wins.
    const now = await portals.byId(tx, portal.id)
    if (now?.state !== 'ended') return
    if (now.endedBecause === 'blocked-here') await outbox.holdWaiting(tx, portal.id, blockedOutcome)
    else await outbox.clear(tx, portal.id)
    await portals.update(tx, portal.id, { matrixRoom: undefined, userIn: false, making: undefined, heldUntil: 0 })
  })
}
