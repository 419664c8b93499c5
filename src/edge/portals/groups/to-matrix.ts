import { isDeepStrictEqual } from 'node:util'
import type { Role } from '../../../identity/index.ts'
import type { GhostId } from '../../matrix/ghosts.ts'
import { isHomeserverError, type Json, type Masquerade } from '../../matrix/homeserver.ts'
import { asGhost, type PortalContext } from '../context.ts'
import { leaveRoom } from '../matrix-room.ts'
import type { Difference } from './merge.ts'
import { levelsFor } from './roles.ts'
import { type GroupState, powersIn } from './state.ts'

/** A group's Matrix room, with the bot that rules it. */
export interface RuledRoom {
  readonly matrixRoom: string
  readonly bot: GhostId
}

/**
 * Lets somebody into the Matrix room, or takes them out. Each looks at what is there first, so that it does nothing twice.
 * @returns false when the homeserver will not have it
 */
export async function moveMember(
  context: PortalContext,
  room: RuledRoom,
  { what, who }: Extract<Difference, { what: 'come' | 'go' }>,
): Promise<boolean> {
  const { homeserver } = context
  const { matrixRoom, bot } = room
  return allowed(async () => {
    const as = await asGhost(context, bot)
    const membership = (await homeserver.getState(as, matrixRoom, 'm.room.member', who))?.membership
    const ours = context.isOurs(who)
    if (what === 'go') {
      if (membership !== 'join' && membership !== 'invite') return
      if (ours) await leaveRoom(context, who as GhostId, matrixRoom)
      else await homeserver.kick(as, matrixRoom, who)
      return
    }
    // Matrix' bans have no counterpart: whoever is added again is let in again.
    if (membership === 'ban') await unban(context, as, matrixRoom, who)
    if (membership !== 'join' && membership !== 'invite') await homeserver.invite(as, matrixRoom, who)
    if (ours && membership !== 'join') await homeserver.join(await asGhost(context, who as GhostId), matrixRoom)
  })
}

const unban = (context: PortalContext, as: Masquerade, room: string, user: string) =>
  context.homeserver.call('POST', `/_matrix/client/v3/rooms/${encodeURIComponent(room)}/unban`, {
    as,
    body: { user_id: user },
  })

/** Names the room. Where it is called something else meanwhile, that is looked at first. */
export function nameRoom(
  context: PortalContext,
  { matrixRoom, bot }: RuledRoom,
  name: string,
  seen: string,
): Promise<boolean> {
  return allowed(async () => {
    const as = await asGhost(context, bot)
    const now = await context.homeserver.getState(as, matrixRoom, 'm.room.name')
    if ((now?.name ?? '') !== seen) return
    await context.homeserver.putState(as, matrixRoom, 'm.room.name', '', { name })
  })
}

/**
 * Sets the power levels that say what the members are in the messenger, where they do not say so.
 * @returns whether they were another's, so that something was reset; undefined when the homeserver will not have it
 */
export async function setLevels(
  context: PortalContext,
  { matrixRoom, bot }: RuledRoom,
  matrix: NonNullable<GroupState['matrix']>,
  roles: ReadonlyMap<string, Role>,
): Promise<'same' | 'set' | undefined> {
  const wanted = levelsFor(powersIn(matrix, bot), roles)
  if (isDeepStrictEqual(plain(wanted), plain(matrix.levels))) return 'same'
  const done = await allowed(async () => {
    const as = await asGhost(context, bot)
    const now = await context.homeserver.getState(as, matrixRoom, 'm.room.power_levels')
    // Somebody has just changed them: that is on its way here, and is looked at first.
    if (!isDeepStrictEqual(plain(now ?? {}), plain(matrix.levels))) return
    await context.homeserver.putState(as, matrixRoom, 'm.room.power_levels', '', wanted)
  })
  return done ? 'set' : undefined
}

const plain = (content: Json) => JSON.parse(JSON.stringify(content))

/**
 * A room of a group is for invited people, and read by nobody else: what was said in the messenger of who can read must
 * stay true. Set back where somebody changed it.
 * @returns whether something was; undefined when the homeserver will not have it
 */
export async function closeRoom(
  context: PortalContext,
  { matrixRoom, bot }: RuledRoom,
  { joinRule, visibility }: NonNullable<GroupState['matrix']>,
): Promise<'same' | 'set' | undefined> {
  const open = joinRule !== undefined && joinRule !== 'invite'
  const readable = visibility === 'world_readable'
  if (!open && !readable) return 'same'
  const done = await allowed(async () => {
    const as = await asGhost(context, bot)
    const put = (type: string, content: Json) => context.homeserver.putState(as, matrixRoom, type, '', content)
    if (open) await put('m.room.join_rules', { join_rule: 'invite' })
    if (readable) await put('m.room.history_visibility', { history_visibility: 'invited' })
  })
  return done ? 'set' : undefined
}

/** Calls ghosts in the room what their accounts call themselves. Elsewhere they have no name. */
export async function showNames(
  context: PortalContext,
  { matrixRoom }: RuledRoom,
  names: ReadonlyMap<string, string>,
): Promise<void> {
  for (const [ghost, displayname] of names) {
    const content = { membership: 'join', displayname }
    const as = await asGhost(context, ghost as GhostId)
    await allowed(() => context.homeserver.putState(as, matrixRoom, 'm.room.member', ghost, content))
  }
}

/** False when the homeserver refuses and would refuse again. */
async function allowed(work: () => Promise<unknown>): Promise<boolean> {
  try {
    await work()
    return true
  } catch (error) {
    if (isHomeserverError(error) && !error.retry && error.status !== 401) return false
    throw error
  }
}
