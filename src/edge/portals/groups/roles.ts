import type { Role } from '../../../identity/index.ts'
import type { Json } from '../../matrix/homeserver.ts'
import { postureType } from '../state-types.ts'

/**
 * What the members of a group may do, on Matrix a number (m.room.power_levels) and on the messenger a role:
 *
 * - admin is 50, member 0.
 * - owner is 100, or one below the bridge's own power where that is 100: it has to be able to take back what it gave.
 * - Who stands as high as the bridge or higher (in rooms that were made on Matrix: their creator) is left as they are.
 */
export interface Powers {
  /** Content of m.room.power_levels. */
  readonly content: Json
  /** Creators stand above all numbers from room version 12 on (MSC4289); before, there are none here. */
  readonly creators: readonly string[]
  readonly bot: string
}

const memberLevel = 0
const adminLevel = 50
const highest = 100

export const levelOf = ({ content, creators }: Powers, user: string): number => {
  if (creators.includes(user)) return Number.POSITIVE_INFINITY
  const users = (content.users ?? {}) as Json
  return numberOr(users[user], numberOr(content.users_default, 0))
}

const ownerLevel = (powers: Powers): number => Math.min(highest, levelOf(powers, powers.bot) - 1)

/** Whether the bridge can rule the room: give and take all roles, invite, remove. */
export const rules = (powers: Powers): boolean => levelOf(powers, powers.bot) >= highest

/** Undefined for somebody whose power the bridge cannot change. */
export function roleOf(powers: Powers, user: string): Role | undefined {
  const level = levelOf(powers, user)
  if (level >= levelOf(powers, powers.bot)) return undefined
  if (level >= ownerLevel(powers)) return 'owner'
  return level >= adminLevel ? 'admin' : 'member'
}

/** The level that a role is. */
const levelFor = (powers: Powers, role: Role): number =>
  ({ owner: ownerLevel(powers), admin: adminLevel, member: memberLevel })[role]

/**
 * What all members may send: the messenger lets them write, so their ghosts must be let here. Types without a level of their
 * own have `events_default`, and stay without.
 */
const written = ['m.room.encrypted', 'm.room.message', 'm.reaction', 'm.room.redaction'] as const

/** The creators who stand above all numbers, from the content and sender of m.room.create. */
export function creatorsIn({ room_version: version, additional_creators: more }: Json, sender: unknown): string[] {
  if (Number(version) < 12 || Number.isNaN(Number(version))) return []
  return [sender, ...(Array.isArray(more) ? more : [])].filter((user): user is string => typeof user === 'string')
}

/**
 * The power levels that say of a group's members what they are in the messenger, and of the room what its rule says: members
 * add, admins rename and remove, owners give roles; who can read is stated by the bridge alone. What the bridge cannot
 * change stays as it is, or the homeserver would refuse all of it.
 */
export function levelsFor(powers: Powers, roles: ReadonlyMap<string, Role>): Json {
  const { content, bot, creators } = powers
  const own = levelOf(powers, bot)
  const before = (content.users ?? {}) as Json
  const users: Json = {}
  for (const [user, level] of Object.entries(before)) {
    // Of those who are no members (any more) nobody keeps a power.
    if (user === bot || numberOr(level, 0) >= own) users[user] = level
  }
  for (const [user, role] of roles) {
    if (user in users || creators.includes(user)) continue
    const level = levelFor(powers, role)
    if (level !== 0) users[user] = level
  }
  const owner = ownerLevel(powers)
  const mine = Math.min(highest, own)
  const events = { ...((content.events ?? {}) as Json) }
  const wanted: Record<string, number> = {
    'm.room.name': adminLevel,
    'm.room.avatar': adminLevel,
    'm.room.topic': adminLevel,
    'm.room.power_levels': owner,
    'm.room.history_visibility': mine,
    'm.room.encryption': mine,
    'm.room.join_rules': mine,
    'm.room.guest_access': mine,
    'm.room.server_acl': mine,
    'm.room.tombstone': mine,
    [postureType]: mine,
  }
  for (const [type, level] of Object.entries(wanted)) if (numberOr(events[type], 0) <= own) events[type] = level
  for (const type of written)
    if (events[type] !== undefined && numberOr(events[type], 0) <= own) events[type] = memberLevel
  const limits: Record<string, number> = {
    users_default: 0,
    events_default: 0,
    state_default: adminLevel,
    invite: 0,
    kick: adminLevel,
    ban: adminLevel,
    redact: adminLevel,
  }
  const kept = Object.fromEntries(
    Object.entries(limits).map(([name, level]) => [name, numberOr(content[name], 0) > own ? content[name] : level]),
  )
  return { ...content, ...kept, users, events }
}

const numberOr = (value: unknown, other: number) => (typeof value === 'number' ? value : other)
