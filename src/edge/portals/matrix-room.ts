import { toBase64Url } from '../../crypto/index.ts'
import type { GhostId } from '../matrix/ghosts.ts'
import { HomeserverError, isHomeserverError, type Json, type Masquerade } from '../matrix/homeserver.ts'
import { asGhost, owned, type PortalContext } from './context.ts'
import { elapsed } from './elapsed.ts'
import { EdgeError } from './errors.ts'
import type { Portal } from './portal-table.ts'
import { markType, postureType, type Unfit } from './state-types.ts'
import { topics } from './words.ts'

/**
 * What a portal's room is made of. The creator is not named in the power levels, which room version 12 refuses, and the
 * preset is not `trusted_private_chat`, which would make the invited user a creator too. Only the ghost may invite: a third
 * reader would change who can read without the messenger's side knowing.
 */
function portalRoom(mxid: string, mark: string, topic: string): Json {
  return {
    preset: 'private_chat',
    visibility: 'private',
    is_direct: true,
    topic,
    invite: [mxid],
    initial_state: [
      { type: 'm.room.encryption', state_key: '', content: { algorithm: 'm.megolm.v1.aes-sha2' } },
      { type: 'm.room.history_visibility', state_key: '', content: { history_visibility: 'invited' } },
      { type: 'm.room.guest_access', state_key: '', content: { guest_access: 'forbidden' } },
      { type: markType, state_key: '', content: { mark } },
    ],
    power_level_content_override: { invite: 100, users_default: 0, events_default: 0, state_default: 100 },
  }
}

/**
 * Makes the portal's encrypted room as the ghost, with the Matrix user invited. The room is marked, and the mark stored
 * first: a room whose making was not noticed (a crash, a lost answer) is found by it instead of a second one being made.
 */
export async function makeMatrixRoom(
  context: PortalContext,
  portal: Portal,
  ghost: GhostId,
  mxid: string,
): Promise<string> {
  const { homeserver, crypto } = context
  const as = await asGhost(context, ghost)
  const create = async (making: string) => {
    await owned(context, portal.account, (tx) =>
      context.portals.update(tx, portal.id, { making, makingAskedAt: context.clock() }),
    )
    const topic = portal.state === 'offered' ? topics.offered : topics.open
    try {
      return await homeserver.createRoom(as, portalRoom(mxid, making, topic))
    } catch (error) {
      if (hasMadeNothing(error))
        await owned(context, portal.account, (tx) =>
          context.portals.update(tx, portal.id, { makingAskedAt: undefined }),
        )
      throw error
    }
  }
  if (portal.making !== undefined) {
    const found = await findMarked(context, ghost, portal.making)
    if (found === undefined) {
      const waited = elapsed(context.clock(), portal.makingAskedAt ?? 0)
      if (waited < context.settings.roomSettleMs) throw new EdgeError('making')
      return create(portal.making)
    }
    // The room may have been made, and the invitation have failed.
    const member = await homeserver.getState(as, found, 'm.room.member', mxid)
    if (member?.membership !== 'invite' && member?.membership !== 'join') await homeserver.invite(as, found, mxid)
    return found
  }
  return create(toBase64Url(crypto.randomBytes(16)))
}

/**
 * The room that bears a mark, among those that a ghost, or the bot, is in and that are nobody's yet: of these there are few,
 * however many rooms it is in.
 */
export async function findMarked(context: PortalContext, ghost: GhostId, mark: string): Promise<string | undefined> {
  const { homeserver, database } = context
  const as = await asGhost(context, ghost)
  const path = '/_matrix/client/v3/joined_rooms'
  const { joined_rooms: rooms } = await homeserver.call<{ joined_rooms: string[] }>('GET', path, { as })
  const unknown = await database.query<{ room: string }>(
    `select joined.room from unnest($1::text[]) as joined (room)
      where not exists (select 1 from portal p where p.matrix_room = joined.room)
        and not exists (select 1 from bot_room b where b.matrix_room = joined.room)`,
    [rooms],
  )
  for (const { room } of unknown) if ((await homeserver.getState(as, room, markType))?.mark === mark) return room
  return undefined
}

/** A homeserver that refuses has made nothing; one that does not answer, or a proxy for it, may still be at it. */
export const hasMadeNothing = (error: unknown): boolean =>
  error instanceof HomeserverError && error.status !== 0 && error.status < 500

/** The room's whole state; undefined when that is more than any room of ours has. */
export async function readState(
  { homeserver }: Pick<PortalContext, 'homeserver'>,
  as: Masquerade,
  room: string,
): Promise<Json[] | undefined> {
  try {
    return await homeserver.getRoomState(as, room)
  } catch (error) {
    if (isHomeserverError(error, 'SILTA_TOO_LARGE')) return undefined
    throw error
  }
}

/**
 * Whether a room can be the portal's: encrypted, for invited people only, nobody in it but the two, and the ghost may
 * state there who can read.
 */
export function fitness(state: readonly Json[], ghost: string, mxid: string): 'fit' | Unfit {
  const content = (type: string, key = '') =>
    state.find((event) => event.type === type && event.state_key === key)?.content as Json | undefined
  if (content('m.room.encryption')?.algorithm !== 'm.megolm.v1.aes-sha2') return 'unencrypted'
  if (content('m.room.join_rules')?.join_rule !== 'invite') return 'public'
  if (content('m.room.history_visibility')?.history_visibility === 'world_readable') return 'public'
  const others = state.filter(
    ({ type, state_key, content }) =>
      type === 'm.room.member' &&
      ['join', 'invite', 'knock'].includes(String((content as Json).membership)) &&
      state_key !== ghost &&
      state_key !== mxid,
  )
  if (others.length > 0) return 'not-two'
  return powerOf(state, ghost) >= neededPower(content('m.room.power_levels')) ? 'fit' : 'powerless'
}

function neededPower(levels: Json = {}): number {
  const events = (levels.events ?? {}) as Json
  return numberOr(events[postureType], numberOr(levels.state_default, 50))
}

function powerOf(state: readonly Json[], ghost: string): number {
  const create = state.find(({ type }) => type === 'm.room.create')
  const { room_version: version, additional_creators: more } = (create?.content ?? {}) as Json
  // From room version 12 on, creators stand above all numbers (MSC4289).
  const creators = [create?.sender, ...(Array.isArray(more) ? more : [])]
  if (Number(version) >= 12 && creators.includes(ghost)) return Number.POSITIVE_INFINITY
  const levels = (state.find(({ type }) => type === 'm.room.power_levels')?.content ?? {}) as Json
  return numberOr(((levels.users ?? {}) as Json)[ghost], numberOr(levels.users_default, 0))
}

const numberOr = (value: unknown, other: number) => (typeof value === 'number' ? value : other)

/** Takes the ghost out of a room; one that it is not in (any more) is fine. */
export async function leaveRoom(context: PortalContext, ghost: GhostId, room: string, why?: string): Promise<void> {
  await unlessGone(context.homeserver.leave(await asGhost(context, ghost), room, why))
}

/** Takes the ghost out of a room, and an invitation of the user back that nobody has answered there. May be repeated. */
export async function goFrom(
  context: PortalContext,
  ghost: GhostId,
  room: string,
  mxid?: string,
  why?: string,
): Promise<void> {
  if (mxid !== undefined && (await isOnlyInvited(context, ghost, room, mxid)))
    await unlessGone(context.homeserver.kick(await asGhost(context, ghost), room, mxid, why))
  await leaveRoom(context, ghost, room)
}

/** Whether somebody was invited into a ghost's room and has not answered. */
export async function isOnlyInvited(
  context: PortalContext,
  ghost: GhostId,
  room: string,
  mxid: string,
): Promise<boolean> {
  const member = await context.homeserver
    .getState(await asGhost(context, ghost), room, 'm.room.member', mxid)
    .catch((error: unknown) => {
      if (error instanceof HomeserverError && !error.retry) return undefined
      throw error
    })
  return member?.membership === 'invite'
}

/** The homeserver's answer that something is not there, or not ours to touch, is no failure of what ends it. */
export async function unlessGone(done: Promise<void>): Promise<void> {
  try {
    await done
  } catch (error) {
    if (!(error instanceof HomeserverError) || error.retry || error.status === 401) throw error
  }
}
