import type { AccountAddress } from '../../identity/index.ts'
import type { Transaction } from '../../store/index.ts'
import { leadsToPublic, type StoredEvent } from '../matrix/appservice.ts'
import type { GhostId } from '../matrix/ghosts.ts'
import { isHomeserverError, type Json, type Masquerade } from '../matrix/homeserver.ts'
import { missedEvents } from '../matrix/missed.ts'
import { asGhost, owned, type PortalContext } from './context.ts'
import { isRefusal } from './errors.ts'
import { adoptRoom, leadsToGroup } from './groups/adopting.ts'
import { countThere } from './groups/state.ts'
import { fitness, leaveRoom, readState } from './matrix-room.ts'
import { beginPortal, postureOf } from './opening.ts'
import { held, type OpenPortal, type Portal } from './portal-table.ts'
import { tellLeft } from './reports.ts'
import { sayIfPossible } from './say.ts'
import { refusalWords, topics, words } from './words.ts'

/** Somebody came, went or was invited in a portal's Matrix room. */
export async function memberChanged(context: PortalContext, portal: OpenPortal, stored: StoredEvent): Promise<void> {
  const { content, stateKey } = stored
  const there = content.membership === 'join' || content.membership === 'invite'
  if (stateKey === portal.mxid) {
    if (content.membership === 'join') return userJoined(context, portal, stored)
    if (!there) return userLeft(context, portal, stored)
  } else if (stateKey === portal.ghost) {
    // The Matrix user sent the ghost away, which ends it as leaving does.
    if (!there) return userLeft(context, portal, stored)
    // The invitation that made the room the portal's, broken off before all of it was done.
    if (content.membership === 'invite' && stored.sender === portal.mxid)
      return ghostInvited(context, portal.ghost, portal.peer, stored)
  } else if (there) return moveOut(context, portal, stored)
  await finish(context, portal, stored)
}

const finish = (
  context: PortalContext,
  portal: Portal,
  stored: StoredEvent,
  also?: (tx: Transaction) => Promise<void>,
) =>
  owned(context, portal.account, async (tx) => {
    await also?.(tx)
    await context.finishEvent(tx, stored.id)
    tx.afterCommit(() => context.wake(portal.id))
  })

/** To join the room of a request is to accept it. */
async function userJoined(context: PortalContext, portal: OpenPortal, stored: StoredEvent): Promise<void> {
  const { portals, users, outbox } = context
  const user = await users.byAccount(portal.account)
  await users.noteName(user, stored.content.displayname)
  // From now on what has waited for them waits for us.
  const came = portal.heldUntil === held ? { heldUntil: context.clock() } : {}
  if (portal.state !== 'offered' || portal.room === undefined) {
    return finish(context, portal, stored, (tx) => portals.update(tx, portal.id, { userIn: true, ...came }))
  }
  const gone = await settled(user.device.accept(portal.room))
  if (!gone) await showTopic(context, portal)
  const posture = gone ? undefined : await postureOf(context, portal)
  await finish(context, portal, stored, async (tx) => {
    if (gone) {
      await portals.update(tx, portal.id, { state: 'ended', endedBecause: 'left-there', userIn: true, ...came })
      await outbox.add(tx, portal.id, 'notice', words.ended('left-there', portal.name))
      return
    }
    await portals.update(tx, portal.id, { state: 'open', userIn: true, ...came })
    if (posture !== undefined) await outbox.add(tx, portal.id, 'posture', posture)
  })
}

/** What the topic said to somebody invited does not hold for somebody who came. */
async function showTopic(context: PortalContext, { ghost, matrixRoom }: OpenPortal): Promise<void> {
  try {
    const as = await asGhost(context, ghost)
    await context.homeserver.putState(as, matrixRoom, 'm.room.topic', '', { topic: topics.open })
  } catch (error) {
    if (!isHomeserverError(error) || error.retry || error.status === 401) throw error
  }
}

/** To decline the invitation, or to leave, ends the conversation on the messenger too. */
async function userLeft(context: PortalContext, portal: OpenPortal, stored: StoredEvent): Promise<void> {
  const { portals, users } = context
  if (portal.state === 'ended')
    return finish(context, portal, stored, (tx) => portals.update(tx, portal.id, { userIn: false }))
  const declined = portal.state === 'offered'
  if (portal.room !== undefined) {
    const { device } = await users.byAccount(portal.account)
    await tellLeft(context, portal)
    await settled(declined ? device.decline(portal.room) : device.leave(portal.room))
  }
  await finish(context, portal, stored, (tx) =>
    portals.update(tx, portal.id, {
      state: 'ended',
      endedBecause: declined ? 'declined-here' : 'left-here',
      userIn: false,
    }),
  )
}

/** Waits for an answer to the messenger; true when there was nothing left to answer. */
async function settled(answer: Promise<void>): Promise<boolean> {
  try {
    await answer
    return false
  } catch (error) {
    if (!isRefusal(error)) throw error
    return true
  }
}

/** The room was replaced by a newer one: nobody writes here any more. */
export const roomReplaced = (context: PortalContext, portal: OpenPortal, stored: StoredEvent): Promise<void> =>
  portal.state === 'ended' ? finish(context, portal, stored) : moveOut(context, portal, stored, words.replaced())

/** A third one can read now. What the messenger's user was told of who can read must stay true, so the ghost goes. */
async function moveOut(
  context: PortalContext,
  portal: OpenPortal,
  stored: StoredEvent,
  said = words.othersHere(),
): Promise<void> {
  await sayIfPossible(context, portal.ghost, portal.matrixRoom, said, stored.eventId)
  await leaveRoom(context, portal.ghost, portal.matrixRoom)
  await finish(context, portal, stored, (tx) =>
    context.portals.update(tx, portal.id, { matrixRoom: undefined, userIn: false, making: undefined }),
  )
}

/**
 * Somebody invited a ghost: that is how a conversation begins from any client. The room becomes the portal's if it is fit
 * for it; otherwise the ghost says why, leaves, and opens one of its own.
 */
export async function ghostInvited(
  context: PortalContext,
  ghost: GhostId,
  peer: AccountAddress,
  stored: StoredEvent,
): Promise<void> {
  const { homeserver, users, portals, database } = context
  const { room, sender } = stored
  const done = () => database.transaction((tx) => context.finishEvent(tx, stored.id))
  const as = await asGhost(context, ghost)
  // A room for everybody may be of any size, and cannot be the portal's: it is not even entered.
  const isPublic = leadsToPublic(stored)
  if (!isPublic && !(await joined(homeserver.join(as, room, context.stopping)))) return done()
  await context.steps('matrix.joined')
  if (!isPublic && (await takesOverGroup(context, as, room))) {
    context.counters.count('refused', { way: 'from-matrix', code: 'replaced' })
    await sayIfPossible(context, ghost, room, words.groupElsewhere(), stored.eventId)
    await leaveRoom(context, ghost, room)
    return done()
  }
  // Whether it was begun as one of two before is what counts, or else a room that is meant for several.
  const pair = await portals.byMatrixRoom(database, room)
  if (!isPublic && pair === undefined && leadsToGroup(stored)) return adoptRoom(context, ghost, stored)
  const user = await users.ensure(sender)
  const there = await portals.byPair(database, user.account, peer)
  const isPortal = there?.matrixRoom === room
  const state = isPortal || isPublic ? [] : await readState(context, as, room)
  const fitting = isPortal
    ? 'fit'
    : isPublic
      ? 'public'
      : state === undefined || countThere(state) > context.settings.groupMembers
        ? 'not-two'
        : fitness(state, ghost, sender)
  if (fitting === 'not-two') return adoptRoom(context, ghost, stored)
  const fit = fitting === 'fit'
  const taken = !isPortal && there?.matrixRoom !== undefined && there.userIn && there.state !== 'ended'
  const beginning = await beginPortal(context, user, peer, fit && !taken ? { matrixRoom: room, ghost } : undefined)
  const said =
    'refused' in beginning
      ? // Others may read this room: what the person is called is said in their own only.
        refusalWords(beginning.refused.code, 'start', fit ? there?.name : undefined)
      : taken
        ? words.haveRoom()
        : fitting === 'fit'
          ? undefined
          : words.elsewhere(fitting)
  if (said !== undefined) {
    if (!isPublic) await sayIfPossible(context, ghost, room, said, stored.eventId)
    await leaveRoom(context, ghost, room)
    return done()
  }
  if ('refused' in beginning) return done()
  const { portal } = beginning
  await context.steps('matrix.begun')
  const posture = await postureOf(context, portal)
  const missed = await missedEvents(
    homeserver,
    { as, room, from: (one) => one === sender, since: stored.eventId },
    context.settings,
  )
  await owned(context, user.account, async (tx) => {
    const told = 'asked' in beginning ? words.asked(portal.name) : words.requested(portal.name)
    await portals.update(tx, portal.id, { shownName: undefined, posture: undefined })
    if (posture !== undefined) await context.outbox.add(tx, portal.id, 'posture', posture)
    if (portal.state !== 'open') await context.outbox.add(tx, portal.id, 'notice', told)
    await context.storeMissed(tx, stored, missed)
    await context.finishEvent(tx, stored.id)
    tx.afterCommit(() => context.wake(portal.id))
  })
}

/**
 * Whether the room is there to replace one of a group that goes on: clients invite the members of the old one. Were it taken
 * for a new conversation, there would be a second group besides the first.
 */
async function takesOverGroup({ homeserver, groups, database }: PortalContext, as: Masquerade, room: string) {
  const created = await homeserver.getState(as, room, 'm.room.create')
  const before = (created?.predecessor as Json | undefined)?.room_id
  return typeof before === 'string' && (await groups.isOfGroup(database, before))
}

/** False when the invitation does not hold any more. */
async function joined(joining: Promise<string>): Promise<boolean> {
  try {
    await joining
    return true
  } catch (error) {
    if (isHomeserverError(error) && !error.retry && error.status !== 401) return false
    throw error
  }
}
