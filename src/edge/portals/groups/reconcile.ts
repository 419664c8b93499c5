import { toHex } from '../../../crypto/index.ts'
import type { Role, RoomId } from '../../../identity/index.ts'
import type { Transaction } from '../../../store/index.ts'
import type { PortalContext } from '../context.ts'
import { words } from '../words.ts'
import { compare, type Difference, giveUp } from './merge.ts'
import { actorOf, type GroupState, matrixSide, messengerSide, settled } from './state.ts'
import type { GroupPortal } from './table.ts'
import { closeRoom, moveMember, nameRoom, type RuledRoom, setLevels, showNames } from './to-matrix.ts'
import { type Attempt, carryOver, leaveMessenger } from './to-messenger.ts'
import { type MessengerView, viewOf } from './view.ts'

/**
 * Brings the two sides of a group together: what a Matrix user changed is made a commit, or taken back where the messenger's
 * rule refuses it; then the Matrix room is given what the messenger says. Nothing is remembered of what was under way: what
 * differs is found anew each time, and each step looks before it does anything. So it may stop anywhere.
 *
 * @returns the messenger's side as it is now; undefined when no device of ours is in the group any more
 */
export async function reconcile(context: PortalContext, id: number): Promise<MessengerView | undefined> {
  const { database, groups, ghosts, settings } = context
  const bot = await ghosts.ensureBot()
  const isGhost = (who: string) => context.isOurs(who) && who !== bot
  let waiting = new Set<string>()
  // Each round ends with one thing less to do, unless people go on changing it: then it is looked at again soon anyhow.
  for (let round = 0; round < settings.groupMembers; round++) {
    const group = await groups.byId(database, id)
    if (group?.room === undefined || group.state.matrix === undefined) return undefined
    const found = await viewOf(context, group, { furthest: true })
    if (found === undefined) return undefined
    const accepted = await acceptJoined(context, group.room, group.state.matrix, found)
    const view = accepted ? await viewOf(context, group, { furthest: true }) : found
    if (view === undefined) return undefined
    const { name, members } = view
    const state = await change(context, id, (state) =>
      settled({ ...state, messenger: { name, members } }, bot, isGhost),
    )
    if (state?.matrix === undefined) return undefined
    const open = { ...group, room: group.room, state: { ...state, matrix: state.matrix } }
    const differences = differencesIn(state, bot, isGhost)
    const next = nextOf(
      state,
      differences.filter((one) => one.to === 'messenger' && !waiting.has(nameOf(one))),
    )
    if (next === undefined) {
      const others = differences.filter(({ to }) => to === 'matrix')
      // What was done there before counts; the messenger is followed in the room after it.
      if (!state.matrix.replaced) await follow(context, open, { bot, isGhost }, view, others)
      return view
    }
    const attempt = await carryOver(context, open, view, next as Difference & { to: 'messenger' })
    await context.steps('matrix.group.committed')
    if (attempt === 'waiting') waiting = new Set([...waiting, nameOf(next)])
    else await noteAttempt(context, open, next, attempt, isGhost, bot)
  }
  return undefined
}

function differencesIn(state: GroupState, bot: string, isGhost: (who: string) => boolean): Difference[] {
  const messenger = messengerSide(state)
  if (messenger === undefined || state.matrix === undefined) return []
  return compare(messenger, matrixSide(state.matrix, bot), state.base, isGhost).differences
}

const nameOf = (difference: Difference) =>
  difference.what === 'name' ? 'name' : `${difference.what} ${difference.who}`

/** What somebody did comes after their own coming. */
function nextOf(state: GroupState, due: readonly Difference[]): Difference | undefined {
  const coming = new Set(due.flatMap((one) => (one.what === 'come' ? [one.who] : [])))
  return due.find((one) => !coming.has(actorOf(state, one) ?? '')) ?? due[0]
}

/** To join the room is to accept the group. Whether anybody has. */
async function acceptJoined(
  { users }: PortalContext,
  room: RoomId,
  matrix: NonNullable<GroupState['matrix']>,
  view: MessengerView,
): Promise<boolean> {
  let accepted = false
  for (const [who, { user, standing }] of view.present) {
    if (standing !== 'requested' || matrix.members[who]?.membership !== 'join') continue
    const { device } = await users.byAccount(user.account)
    await device.accept(room)
    accepted = true
  }
  return accepted
}

/**
 * After an attempt in the messenger: where it is so now, both agree. Where it was refused, or came to nothing, Matrix has to
 * change back, and is told why.
 */
async function noteAttempt(
  context: PortalContext,
  group: GroupPortal,
  difference: Difference,
  attempt: Exclude<Attempt, 'waiting'>,
  isGhost: (who: string) => boolean,
  bot: string,
): Promise<void> {
  const view = await viewOf(context, { ...group, seq: 0 }, { furthest: true })
  await change(context, group.id, (before) => {
    const asked = { ...before.asked }
    if (difference.what !== 'name') delete asked[difference.who]
    const seen = view && { messenger: { name: view.name, members: view.members } }
    const state = settled({ ...before, ...seen, asked }, bot, isGhost)
    const still = differencesIn(state, bot, isGhost).some(
      (one) => one.to === 'messenger' && nameOf(one) === nameOf(difference),
    )
    if (!still || state.matrix === undefined) return state
    return { ...state, base: giveUp(state.base, difference, matrixSide(state.matrix, bot)) }
  })
  if (attempt === 'done') return
  context.counters.count('refused', { way: 'from-matrix', code: attempt.refused })
  await context.database.transaction(async (tx) => {
    await context.outbox.add(tx, group.id, 'notice', words.undone(difference.what, attempt.refused))
  })
}

/** The Matrix room follows the messenger. What it does not let us do is told once, and not tried again until it changes. */
async function follow(
  context: PortalContext,
  group: GroupPortal & { room: RoomId; state: { matrix: NonNullable<GroupState['matrix']> } },
  { bot, isGhost }: { bot: Awaited<ReturnType<PortalContext['ghosts']['ensureBot']>>; isGhost(who: string): boolean },
  view: MessengerView,
  differences: readonly Difference[],
): Promise<void> {
  if (group.matrixRoom === undefined) return
  const room: RuledRoom = { matrixRoom: group.matrixRoom, bot }
  const { unmapped } = group.state
  const failed: Record<string, string> = {}
  const attempt = async (name: string, seen: string, work: () => Promise<boolean>) => {
    if (unmapped[name] === seen || !(await work())) failed[name] = seen
    await context.steps('matrix.group.followed')
  }
  // Ghosts first: whoever comes finds the group as it is.
  const moves = differences.flatMap((one) => (one.what === 'come' || one.what === 'go' ? [one] : []))
  for (const one of moves.sort((a, b) => Number(isGhost(b.who)) - Number(isGhost(a.who)))) {
    const seen = group.state.matrix.members[one.who]?.membership ?? ''
    await attempt(nameOf(one), seen, () => moveMember(context, room, one))
    const invited = one.what === 'come' ? view.present.get(one.who) : undefined
    // Whom the homeserver will not have invited reads nothing, and takes no part.
    if (invited !== undefined && nameOf(one) in failed) {
      await leaveMessenger(context, group, invited)
    }
  }
  const called = group.state.matrix.name
  for (const one of differences)
    if (one.what === 'name') await attempt('name', called, () => nameRoom(context, room, one.name, called))
  const roles = new Map(Object.entries(view.members).map(([who, { role }]): [string, Role] => [who, role]))
  const levels = JSON.stringify(group.state.matrix.levels)
  await attempt('levels', fingerprint(context, levels), async () => {
    const set = await setLevels(context, room, group.state.matrix, roles)
    const byMember = group.state.matrix.levelsBy !== undefined && !context.isOurs(group.state.matrix.levelsBy)
    const onlyRoles = differences.some(({ what }) => what === 'role')
    if (set === 'set' && byMember && !onlyRoles) await tell(context, group.id, words.levelsReset())
    return set !== undefined
  })
  const { joinRule = '', visibility = '' } = group.state.matrix
  await attempt('closed', `${joinRule} ${visibility}`, async () => {
    const set = await closeRoom(context, room, group.state.matrix)
    if (set === 'set') await tell(context, group.id, words.closedAgain())
    return set !== undefined
  })
  const names = new Map<string, string>()
  for (const [who, { account }] of Object.entries(view.members)) {
    const name = group.state.names[account]
    const place = group.state.matrix.members[who]
    if (isGhost(who) && place?.membership === 'join' && name !== undefined && place.name !== name) names.set(who, name)
  }
  await showNames(context, room, names)
  await change(context, group.id, (state) => ({ ...state, unmapped: failed }))
  if (Object.entries(failed).some(([name, seen]) => unmapped[name] !== seen))
    await tell(context, group.id, words.notPossible())
}

const fingerprint = ({ crypto }: PortalContext, text: string) => toHex(crypto.sha256(new TextEncoder().encode(text)))

const tell = (context: PortalContext, id: number, said: string) =>
  context.database.transaction((tx) => context.outbox.add(tx, id, 'notice', said))

async function change(
  context: PortalContext,
  id: number,
  how: (state: GroupState) => GroupState,
): Promise<GroupState | undefined> {
  let after: GroupState | undefined
  await context.database.transaction(async (tx: Transaction) => {
    await context.groups.change(tx, id, (state) => {
      after = how(state)
      return after
    })
  })
  return after
}
