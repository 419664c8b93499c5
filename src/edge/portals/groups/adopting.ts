import type { StoredEvent } from '../../matrix/appservice.ts'
import type { GhostId } from '../../matrix/ghosts.ts'
import { isHomeserverError, type Json } from '../../matrix/homeserver.ts'
import { missedEvents } from '../../matrix/missed.ts'
import { asGhost, type PortalContext } from '../context.ts'
import { leaveRoom, readState } from '../matrix-room.ts'
import { sayIfPossible } from '../say.ts'
import { words } from '../words.ts'
import { levelOf, rules } from './roles.ts'
import { countThere, powersIn, readRoomState } from './state.ts'

/** Why a room that was made on Matrix cannot be a group's. */
type Unfit = Parameters<typeof words.groupUnfit>[0]

/** Whether an invitation is to a group: it is not meant for two, and the room has a name. */
export function leadsToGroup({ content, event }: StoredEvent): boolean {
  if (content.is_direct === true) return false
  const { unsigned } = event as { unsigned?: { invite_room_state?: unknown } }
  const state = unsigned?.invite_room_state
  if (!Array.isArray(state)) return false
  return state.some((one: Json) => one?.type === 'm.room.name' && Boolean((one.content as Json | undefined)?.name))
}

/**
 * Somebody invited a ghost into a room of several: it becomes a group of the messenger, with the bot to rule it, where it is
 * encrypted, for invited people, and gives the bot the power for that. Otherwise the ghost says what is missing and leaves.
 * The ghost is in the room already.
 */
export async function adoptRoom(context: PortalContext, ghost: GhostId, stored: StoredEvent): Promise<void> {
  const { ghosts, groups, database, settings } = context
  const { room } = stored
  const bot = await ghosts.ensureBot()
  const unfit = await prepare(context, ghost, bot, room)
  if (unfit !== undefined) {
    context.counters.count('refused', { way: 'from-matrix', code: unfit })
    const said = words.groupUnfit(unfit, bot, settings.groupMembers)
    // A message would be encrypted for each of too many, after a look at the devices of all.
    if (unfit !== 'too-many') await sayIfPossible(context, ghost, room, said, stored.eventId)
    await leaveRoom(context, ghost, room, unfit === 'too-many' ? said : undefined)
    return database.transaction((tx) => context.finishEvent(tx, stored.id))
  }
  // All may have written before the ghost came: the homeserver hands over what is said where one of ours is.
  const written = { room, from: (sender: string) => !context.isOurs(sender), since: stored.eventId }
  const missed = await missedEvents(context.homeserver, { as: await asGhost(context, ghost), ...written }, settings)
  await database.transaction(async (tx) => {
    const id = await groups.ensure(tx, { matrixRoom: room })
    await groups.change(tx, id, (state) => ({ ...state, begunBy: { ghost, inviter: stored.sender } }))
    await context.storeMissed(tx, stored, missed)
    await context.finishEvent(tx, stored.id)
    tx.afterCommit(() => context.wake(id))
  })
}

/** Looks at the room, and gets the bot in and to power where the ghost can. */
async function prepare(context: PortalContext, ghost: GhostId, bot: GhostId, room: string): Promise<Unfit | undefined> {
  const { homeserver, settings } = context
  const as = await asGhost(context, ghost)
  const state = await readState(context, as, room)
  // Before anything is made of them: whoever invites chooses how many there are.
  if (state === undefined || countThere(state) > settings.groupMembers) return 'too-many'
  const content = (type: string) =>
    state.find((event) => event.type === type && event.state_key === '')?.content as Json | undefined
  if (content('m.room.encryption')?.algorithm !== 'm.megolm.v1.aes-sha2') return 'unencrypted'
  if (content('m.room.join_rules')?.join_rule !== 'invite') return 'public'
  if (content('m.room.history_visibility')?.history_visibility === 'world_readable') return 'public'
  const matrix = readRoomState(state)
  const powers = powersIn(matrix, bot)
  const membership = matrix.members[bot]?.membership
  try {
    if (!rules(powers)) {
      // A ghost that was given all power, as some clients do for whoever is invited first, hands it on.
      if (levelOf(powers, ghost) < 100) return 'powerless'
      const users = (matrix.levels.users ?? {}) as Json
      const levels = { ...matrix.levels, users: { ...users, [bot]: 100 } }
      await homeserver.putState(as, room, 'm.room.power_levels', '', levels)
    }
    if (membership !== 'join' && membership !== 'invite') await homeserver.invite(as, room, bot)
    await homeserver.join(await asGhost(context, bot), room)
    return undefined
  } catch (error) {
    if (isHomeserverError(error) && !error.retry && error.status !== 401) return 'powerless'
    throw error
  }
}
