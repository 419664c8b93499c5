import type { StoredEvent } from '../../matrix/appservice.ts'
import type { PortalContext } from '../context.ts'
import { elapsed } from '../elapsed.ts'
import { type Handled, passOn } from '../from-matrix.ts'
import { lookAgain } from '../look-again.ts'
import { together } from '../together.ts'
import { words } from '../words.ts'
import { portalFor } from './speaking.ts'
import { applied, groupTypes, isThere, settled } from './state.ts'
import type { GroupPortal } from './table.ts'

/**
 * Events of one Matrix room that is a group's, in order: what they change of the room is noted, what people write goes on
 * through their own device.
 * @returns undefined when the room is no group's
 */
export async function takeGroupEvents(
  context: PortalContext,
  room: string,
  events: readonly StoredEvent[],
): Promise<{ taken: true; retryAfterMs?: number } | undefined> {
  const { groups, database, settings } = context
  for (let next = 0; next < events.length; ) {
    const group = await groups.byMatrixRoom(database, room)
    if (group === undefined) return next === 0 ? undefined : { taken: true }
    const stored = events[next]!
    if (stored.stateKey !== undefined) {
      await takeState(context, group, stored).catch(lookAgain(context, group.id))
      next++
      continue
    }
    const written = together(events, next, (one) => one.stateKey === undefined && one.sender === stored.sender)
    next += written.length
    if (context.isOurs(stored.sender) || group.ended) {
      await finish(context, written)
      continue
    }
    // Before the room was read once, nobody's place in it is known.
    const handled =
      group.state.matrix === undefined
        ? { retryAfterMs: settings.retryMs }
        : await takeMessages(context, group, written).catch(lookAgain(context, group.id))
    if (handled !== 'done') {
      context.wake(group.id)
      return { taken: true, retryAfterMs: handled.retryAfterMs }
    }
  }
  return { taken: true }
}

const finish = ({ database, finishEvent }: PortalContext, events: readonly StoredEvent[]) =>
  database.transaction((tx) => finishEvent(tx, ...events.map(({ id }) => id)))

async function takeState(context: PortalContext, group: GroupPortal, stored: StoredEvent): Promise<void> {
  const { groups, database, ghosts, users, isOurs } = context
  const bot = await ghosts.ensureBot()
  const isGhost = (who: string) => isOurs(who) && who !== bot
  await database.transaction(async (tx) => {
    if (groupTypes.has(stored.type))
      await groups.change(tx, group.id, (state) => {
        const events = state.events + 1
        if (state.matrix === undefined) return { ...state, events }
        return settled({ ...state, events, matrix: applied(state.matrix, stored) }, bot, isGhost)
      })
    await context.finishEvent(tx, stored.id)
    tx.afterCommit(() => context.wake(group.id))
  })
  await context.steps('matrix.group.noted')
  const { stateKey, content } = stored
  if (stored.type === 'm.room.member' && content.membership === 'join' && stateKey && !isOurs(stateKey)) {
    const user = await users.find(stateKey)
    if (user !== undefined) await users.noteName(user, content.displayname)
  }
}

/** What somebody wrote: by their own device, once it is in the group. */
async function takeMessages(
  context: PortalContext,
  group: GroupPortal,
  events: readonly StoredEvent[],
): Promise<Handled> {
  const { users, clock, settings } = context
  const { sender } = events[0]!
  const account = await users.accountOf(sender)
  const user = account && (await users.byAccount(account))
  const info = user && group.room && (await user.device.room(group.room))
  const isFresh = ({ receivedAt }: StoredEvent) => elapsed(clock(), receivedAt) < settings.groupJoinMs
  // It is for whoever the group was begun with, who could not read it were it sent before they are in.
  if (isBeginning(group) && isFresh(events[0]!)) return { retryAfterMs: settings.retryMs }
  if (user && info?.joined && info.standing === 'accepted')
    return passOn(context, await portalFor(context, group, user), events)
  const { matrix, base, messenger } = group.state
  // They have come and are being added, or were added and their device has still to enter; or they were in it when they
  // wrote, and have just gone.
  const stillToEnter = base.members[sender] === undefined || messenger?.members[sender] !== undefined
  const coming = matrix?.members[sender]?.membership === 'join' && stillToEnter
  const accepting = info?.standing === 'requested'
  for (const stored of events) {
    if ((coming || accepting) && isFresh(stored)) return { retryAfterMs: settings.retryMs }
    await refuse(context, group, stored)
  }
  return 'done'
}

/** Whether the one whose invitation began the group on Matrix is about to be added, and was not asked first. */
function isBeginning({ state: { begunBy, matrix, messenger, asked } }: GroupPortal): boolean {
  if (begunBy === undefined) return false
  const { ghost } = begunBy
  const isInvited = isThere(matrix?.members[ghost]?.membership ?? '')
  return isInvited && messenger?.members[ghost] === undefined && asked[ghost] === undefined
}

/** It is of somebody who is not in the group. */
const refuse = (context: PortalContext, group: GroupPortal, stored: StoredEvent): Promise<void> =>
  context.database.transaction(async (tx) => {
    const status = { eventId: stored.eventId, status: 'FAIL_PERMANENT', message: words.notInGroup() }
    await context.outbox.add(tx, group.id, 'status', JSON.stringify(status))
    await context.outbox.add(tx, group.id, 'notice', words.notInGroup())
    await context.finishEvent(tx, stored.id)
    tx.afterCommit(() => context.wake(group.id))
  })
