import { toBase64Url } from '../../../crypto/index.ts'
import type { Transaction } from '../../../store/index.ts'
import type { GhostId } from '../../matrix/ghosts.ts'
import type { Json } from '../../matrix/homeserver.ts'
import { asGhost, owned, type PortalContext } from '../context.ts'
import { departLater } from '../departures.ts'
import { EdgeError, isRefusal } from '../errors.ts'
import { findMarked, hasMadeNothing, leaveRoom, readState, unlessGone } from '../matrix-room.ts'
import { sayIfPossible } from '../say.ts'
import { markType } from '../state-types.ts'
import type { MatrixUser } from '../users.ts'
import { groupTopic, refusalWords, words } from '../words.ts'
import { levelOf } from './roles.ts'
import { type GroupState, isThere, newState, powersIn, readRoomState } from './state.ts'
import type { GroupPortal } from './table.ts'
import { nameFor } from './to-messenger.ts'
import type { MessengerView } from './view.ts'

/**
 * What the Matrix room of a group is made of. Its members come afterwards, one by one, as at any later time; who may do what
 * is set with them. Whoever is invited reads from then on.
 */
const groupRoom = (name: string, mark: string): Json => ({
  preset: 'private_chat',
  visibility: 'private',
  ...(name === '' ? {} : { name }),
  topic: groupTopic,
  initial_state: [
    { type: 'm.room.encryption', state_key: '', content: { algorithm: 'm.megolm.v1.aes-sha2' } },
    { type: 'm.room.history_visibility', state_key: '', content: { history_visibility: 'invited' } },
    { type: 'm.room.guest_access', state_key: '', content: { guest_access: 'forbidden' } },
    { type: markType, state_key: '', content: { mark } },
  ],
})

/**
 * Makes the Matrix room of a group, as the bot. Marked first, so that one whose making was not noticed is found, and as long
 * as the homeserver may still be making it no other one is asked for.
 */
export async function makeGroupRoom(context: PortalContext, group: GroupPortal, view: MessengerView): Promise<void> {
  const { homeserver, ghosts, crypto, portals, database, settings, clock } = context
  const bot = await ghosts.ensureBot()
  const as = await asGhost(context, bot)
  const { making = toBase64Url(crypto.randomBytes(16)), makingAskedAt = 0 } = group
  const note = (makingAskedAt: number | undefined) =>
    database.transaction((tx) => portals.update(tx, group.id, { making, makingAskedAt }))
  let matrixRoom = group.making === undefined ? undefined : await findMarked(context, bot, making)
  if (matrixRoom === undefined) {
    if (clock() - makingAskedAt < settings.roomSettleMs) throw new EdgeError('making')
    await note(clock())
    try {
      matrixRoom = await homeserver.createRoom(as, groupRoom(view.name, making))
    } catch (error) {
      if (hasMadeNothing(error)) await note(undefined)
      throw error
    }
  }
  const made = matrixRoom
  await context.steps('matrix.group.made')
  await database.transaction(async (tx) => {
    await portals.update(tx, group.id, {
      ...{ matrixRoom: made, making: undefined, makingAskedAt: undefined, posture: undefined },
    })
    tx.afterCommit(() => context.wakeRoom(made))
  })
}

/**
 * Reads the Matrix room once, as a whole; from then on its events tell.
 * @returns whether it could be: false when there is more in it than is looked at
 */
export async function readMatrixRoom(context: PortalContext, group: GroupPortal, matrixRoom: string): Promise<boolean> {
  const { ghosts, groups, database } = context
  const as = await asGhost(context, await ghosts.ensureBot())
  const events = await readState(context, as, matrixRoom)
  if (events === undefined) return false
  const matrix = readRoomState(events)
  await database.transaction(async (tx) => {
    await groups.change(tx, group.id, (state) => {
      // What came while it was read may be newer: read again.
      if (state.matrix !== undefined || state.events !== group.state.events) return state
      const { ghost = '', inviter } = state.begunBy ?? {}
      const place = matrix.members[ghost]
      if (place === undefined || inviter === undefined) return { ...state, matrix }
      return { ...state, matrix: { ...matrix, members: { ...matrix.members, [ghost]: { ...place, inviter } } } }
    })
    tx.afterCommit(() => context.wakeRoom(matrixRoom))
  })
  return true
}

/**
 * Makes the messenger's group of a room that was made on Matrix. It belongs to whoever has the most power there; all others
 * come in afterwards, as at any later time.
 * @returns the words of a refusal
 */
export async function makeMessengerGroup(
  context: PortalContext,
  group: GroupPortal,
  matrix: NonNullable<GroupState['matrix']>,
): Promise<string | undefined> {
  const owner = await ownerOf(context, matrix)
  if (owner === undefined) return refusalWords('not-allowed', 'start')
  try {
    await owner.device.createGroup({
      name: nameFor(matrix.name),
      members: [],
      async within(tx, room) {
        const sql = tx.application as Transaction
        await context.portals.update(sql, group.id, { room, state: 'open' })
        await context.turns.enter(sql, group.id, owner.account, 0)
        await context.groups.change(sql, group.id, (state) => ({ ...state, founder: owner.mxid }))
      },
    })
    return undefined
  } catch (error) {
    if (!isRefusal(error)) throw error
    await owned(context, owner.account, (tx) => context.portals.update(tx, group.id, { room: undefined }))
    return refusalWords(error.code, 'start')
  }
}

async function ownerOf(
  context: PortalContext,
  matrix: NonNullable<GroupState['matrix']>,
): Promise<MatrixUser | undefined> {
  const powers = powersIn(matrix, await context.ghosts.ensureBot())
  const joined = Object.entries(matrix.members).filter(
    ([who, { membership }]) => membership === 'join' && !context.isOurs(who),
  )
  // The same one whenever it is asked again.
  const [first] = joined
    .map(([who]) => ({ who, level: levelOf(powers, who) }))
    .sort((a, b) => b.level - a.level || (a.who < b.who ? -1 : 1))
  return first && (await context.users.ensure(first.who))
}

/**
 * The Matrix room was replaced by another one, which is not ours to rule: ghosts and bot go, and the group goes on in a room
 * that is made for it. There everybody who is in the messenger's group is invited, as into its first one.
 */
export async function moveOut(
  context: PortalContext,
  { id, matrixRoom }: GroupPortal & { readonly matrixRoom: string },
  matrix: NonNullable<GroupState['matrix']>,
): Promise<void> {
  const { groups, portals, outbox, database, ghosts } = context
  const bot = await ghosts.ensureBot()
  await sayIfPossible(context, bot, matrixRoom, words.groupReplaced(), 'replaced')
  await database.transaction(async (tx) => {
    for (const [who, { membership }] of Object.entries(matrix.members))
      if (context.isOurs(who) && isThere(membership)) await departLater(tx, id, who as GhostId, matrixRoom)
    await groups.noteReplaced(tx, id, matrixRoom)
    await portals.update(tx, id, {
      ...{ matrixRoom: undefined, making: undefined, makingAskedAt: undefined, posture: undefined },
    })
    // What crosses is stated in each room.
    await tx.query("delete from portal_told where portal = $1 and what like 'capabilities-%'", [id])
    // With the count of events, so that a look at the old room that is under way is not taken for one at the next.
    await groups.change(tx, id, ({ names, leaving, events }) => ({ ...newState, names, leaving, events: events + 1 }))
    await outbox.add(tx, id, 'notice', words.groupMoved())
  })
}

/**
 * The end of a group's portal: whoever of the messenger is still in the Matrix room goes, and so do Matrix users who were
 * in the group. It begins anew, with a room of its own, when somebody on Matrix is added again.
 */
export async function endGroup(context: PortalContext, group: GroupPortal): Promise<void> {
  const { ghosts, homeserver, groups, portals, outbox, database } = context
  const { matrixRoom } = group
  const { matrix, messenger } = group.state
  // Leaving takes its time; what comes meanwhile, when somebody is added again, is for the room after this one.
  const newest = await outbox.newest(database, group.id)
  if (!group.ended && !(await database.transaction((tx) => groups.end(tx, group.id, group.changes))))
    return context.wake(group.id)
  if (matrixRoom !== undefined) {
    const bot = await ghosts.ensureBot()
    const as = await asGhost(context, bot)
    const there = Object.entries(matrix?.members ?? {}).flatMap(([who, { membership }]) =>
      isThere(membership) ? [who] : [],
    )
    for (const who of there)
      if (!context.isOurs(who) && messenger?.members[who]) await unlessGone(homeserver.kick(as, matrixRoom, who))
    for (const who of there)
      if (context.isOurs(who) && who !== bot) await leaveRoom(context, who as GhostId, matrixRoom)
    await leaveRoom(context, bot, matrixRoom)
  }
  await database.transaction(async (tx) => {
    // Where somebody was added meanwhile it goes on, with a new room.
    await outbox.clear(tx, group.id, newest)
    await portals.update(tx, group.id, {
      ...{ matrixRoom: undefined, making: undefined, makingAskedAt: undefined, posture: undefined },
    })
    await groups.change(tx, group.id, ({ names }) => ({ ...newState, names }))
  })
}
