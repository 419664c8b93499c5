import type { AccountAddress, Role } from '../../../identity/index.ts'
import type { StoredEvent } from '../../matrix/appservice.ts'
import type { Json } from '../../matrix/homeserver.ts'
import { type Base, compare, type Difference, type MatrixSide, type MessengerSide } from './merge.ts'
import { creatorsIn, type Powers, roleOf } from './roles.ts'

/** Somebody's place in a group's Matrix room. */
export interface MatrixPlace {
  readonly membership: string
  /** Who sent the event that made it so. */
  readonly by: string
  /** Who invited them, as long as they are there. */
  readonly inviter?: string
  /** They were in the room before it was a group: whoever it belongs to brought them in. */
  readonly founding?: true
  /** What they are called in this room. */
  readonly name?: string
}

/** What a member of the messenger was asked, and by whose device. */
interface Question {
  readonly by: AccountAddress
  readonly sent: boolean
  readonly answer?: 'granted' | 'denied'
}

/** What the edge knows of a group that reaches Matrix; kept sealed, in one piece. */
export interface GroupState {
  /** The Matrix room as its events have shown it, in their order; undefined until it was read once. */
  readonly matrix?: {
    readonly name: string
    readonly nameBy?: string
    readonly members: Readonly<Record<string, MatrixPlace>>
    readonly levels: Json
    readonly levelsBy?: string
    readonly creators: readonly string[]
    readonly joinRule?: string
    readonly visibility?: string
    /** It was replaced by another room. What happens in it since says nothing of the group any more. */
    readonly replaced?: true
  }
  /** The first ghost that was invited, and by whom: the room itself says so no more once that ghost has joined. */
  readonly begunBy?: { readonly ghost: string; readonly inviter: string }
  /** Of a group that was begun on Matrix: whose device has made it in the messenger. */
  readonly founder?: string
  /** Events that were taken in; what was read meanwhile is older than they are. */
  readonly events: number
  /** The messenger's side as it was last seen. */
  readonly messenger?: {
    readonly name: string
    readonly members: Readonly<Record<string, { readonly account: AccountAddress; readonly role: Role }>>
  }
  readonly base: Base
  /** What members of the messenger call themselves. */
  readonly names: Readonly<Record<string, string>>
  /** Ghosts that wait until their account has answered whether it wants to be added. */
  readonly asked: Readonly<Record<string, Question>>
  /** Matrix users whose device has left, until the log says so too: their leaf goes with somebody's next commit. */
  readonly leaving: Readonly<Record<string, true>>
  /** Differences that Matrix does not let us remove, as they were told. */
  readonly unmapped: Readonly<Record<string, string>>
}

export const newState: GroupState = {
  events: 0,
  base: { name: '', members: {} },
  names: {},
  leaving: {},
  asked: {},
  unmapped: {},
}

type Matrix = NonNullable<GroupState['matrix']>

/** Types of state that say something of a group. */
export const groupTypes: ReadonlySet<string> = new Set([
  'm.room.member',
  'm.room.name',
  'm.room.power_levels',
  'm.room.join_rules',
  'm.room.history_visibility',
  'm.room.create',
  'm.room.tombstone',
])

export const isThere = (membership: string) => membership === 'join' || membership === 'invite'

const text = (value: unknown) => (typeof value === 'string' ? value : '')

/** Somebody's place after an event that is about them. */
function placeAfter(before: MatrixPlace | undefined, sender: string, content: Json): MatrixPlace {
  const membership = text(content.membership)
  const inviter =
    membership === 'invite'
      ? sender
      : membership === 'join' && before && isThere(before.membership)
        ? before.inviter
        : undefined
  const name = text(content.displayname).slice(0, longestName)
  const founding = membership === 'join' && before?.membership === 'join' && before.founding
  return {
    membership,
    by: sender,
    ...(inviter && { inviter }),
    ...(founding && { founding }),
    ...(name && { name }),
  }
}

/** Longer than any name that the messenger gives one of its members, in UTF-16 units; an event has room for 64 KiB of it. */
const longestName = 512
/** Places that are kept, invitations that nobody has followed among them: four times as many as may be in a group. */
const mostPlaces = 1000

/** The room after one state event. */
export function applied(matrix: Matrix, event: Pick<StoredEvent, 'type' | 'stateKey' | 'sender' | 'content'>): Matrix {
  if (matrix.replaced) return matrix
  const { type, stateKey, sender, content } = event
  if (type === 'm.room.member' && stateKey !== undefined) {
    const before = matrix.members[stateKey]
    const place = placeAfter(before, sender, content)
    // Whom nobody is known to have invited is taken in by nobody, should they come.
    if (before === undefined && place.membership === 'invite' && Object.keys(matrix.members).length >= mostPlaces)
      return matrix
    return { ...matrix, members: { ...matrix.members, [stateKey]: place } }
  }
  if (stateKey !== '') return matrix
  if (type === 'm.room.name') return { ...matrix, name: text(content.name), nameBy: sender }
  if (type === 'm.room.power_levels') return { ...matrix, levels: content, levelsBy: sender }
  if (type === 'm.room.join_rules') return { ...matrix, joinRule: text(content.join_rule) }
  if (type === 'm.room.history_visibility') return { ...matrix, visibility: text(content.history_visibility) }
  if (type === 'm.room.create') return { ...matrix, creators: creatorsIn(content, sender) }
  if (type === 'm.room.tombstone') return { ...matrix, replaced: true }
  return matrix
}

/** How many are in a room, or invited, by the homeserver's whole state of it. */
export const countThere = (state: readonly Json[]): number =>
  state.filter(({ type, content }) => type === 'm.room.member' && isThere(text((content as Json | null)?.membership)))
    .length

/** The room from the homeserver's whole state of it, with those who are there. Members are taken in one pass: there may be many. */
export function readRoomState(state: readonly Json[]): Matrix {
  const events = state.flatMap((event) => {
    const { type, state_key: stateKey, sender, content } = event
    if (typeof type !== 'string' || typeof stateKey !== 'string' || typeof sender !== 'string') return []
    return typeof content === 'object' && content !== null ? [{ type, stateKey, sender, content: content as Json }] : []
  })
  const members = events.flatMap(({ type, stateKey, sender, content }): [string, MatrixPlace][] => {
    if (type !== 'm.room.member') return []
    const place = placeAfter(undefined, sender, content)
    if (!isThere(place.membership)) return []
    return [[stateKey, place.membership === 'join' ? { ...place, founding: true } : place]]
  })
  return events
    .filter(({ type }) => type !== 'm.room.member')
    .reduce<Matrix>(applied, { name: '', members: Object.fromEntries(members), levels: {}, creators: [] })
}

/** Who did on Matrix what makes a difference; undefined when nobody of the group can have. */
export function actorOf({ matrix, founder }: GroupState, difference: Difference): string | undefined {
  if (difference.what === 'name') return matrix?.nameBy
  if (difference.what === 'role') return matrix?.levelsBy
  const place = matrix?.members[difference.who]
  if (difference.what === 'go') return place?.by
  return place?.inviter ?? (place?.founding ? founder : undefined)
}

export const powersIn = (matrix: Matrix, bot: string): Powers => ({
  content: matrix.levels,
  creators: matrix.creators,
  bot,
})

/** The Matrix side as it is compared: everybody but the bot. */
export function matrixSide(matrix: Matrix, bot: string): MatrixSide {
  const powers = powersIn(matrix, bot)
  const members = Object.entries(matrix.members).flatMap(([who, { membership }]) =>
    who !== bot && isThere(membership)
      ? [[who, { membership: membership as 'join' | 'invite', role: roleOf(powers, who) }] as const]
      : [],
  )
  return { name: matrix.name, members: new Map(members) }
}

export function messengerSide({ messenger }: GroupState): MessengerSide | undefined {
  if (messenger === undefined) return undefined
  return {
    name: messenger.name,
    members: new Map(Object.entries(messenger.members).map(([who, { role }]) => [who, role])),
  }
}

/** The state with what both sides agree on noted, as far as it is known now. */
export function settled(state: GroupState, bot: string, isGhost: (who: string) => boolean): GroupState {
  const messenger = messengerSide(state)
  const { matrix } = state
  if (matrix === undefined) return state
  if (messenger === undefined) return { ...state, matrix: withoutGone(state, matrix) }
  const base = compare(messenger, matrixSide(matrix, bot), state.base, isGhost).agreed
  return { ...state, base, matrix: withoutGone({ ...state, base }, matrix) }
}

/** The room without those who are out of it on both sides: all that ever were, or are banned, would only become more. */
function withoutGone({ base, messenger }: GroupState, matrix: Matrix): Matrix {
  const places = Object.entries(matrix.members)
  const kept = places.filter(
    ([who, { membership }]) =>
      isThere(membership) || Object.hasOwn(base.members, who) || Object.hasOwn(messenger?.members ?? {}, who),
  )
  return kept.length === places.length ? matrix : { ...matrix, members: Object.fromEntries(kept) }
}
