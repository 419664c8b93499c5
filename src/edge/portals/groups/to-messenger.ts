import { ClientError, type ClientErrorCode } from '../../../client/index.ts'
import type { AccountAddress, RoomId } from '../../../identity/index.ts'
import { owned, type PortalContext } from '../context.ts'
import { EdgeError, isRefusal } from '../errors.ts'
import type { MatrixUser } from '../users.ts'
import type { Difference } from './merge.ts'
import { actorOf, type GroupState } from './state.ts'
import type { GroupPortal } from './table.ts'
import type { MessengerView, Present } from './view.ts'

/**
 * What became of a change that somebody made on Matrix: `done`, or refused and therefore taken back there; `waiting`: a
 * member of the messenger was asked and has not answered.
 */
export type Attempt = 'done' | 'waiting' | { readonly refused: ClientErrorCode | 'no-member' | 'too-many' }

type Move = Extract<Difference, { what: 'come' | 'go' }>
type OpenGroup = GroupPortal & {
  readonly room: RoomId
  readonly state: Required<Pick<GroupState, 'matrix'>> & GroupState
}

/**
 * Makes in the messenger a change that a Matrix user made, by that user's own device, so that the messenger's rule decides
 * whether they may. Each is a commit that does nothing where it is so already.
 */
export async function carryOver(
  context: PortalContext,
  group: OpenGroup,
  view: MessengerView,
  difference: Difference & { to: 'messenger' },
): Promise<Attempt> {
  try {
    switch (difference.what) {
      case 'name': {
        const actor = await actorIn(context, group, view, difference)
        if (actor === undefined) return { refused: 'no-member' }
        await actor.device.rename(group.room, nameFor(difference.name))
        return 'done'
      }
      case 'role': {
        const actor = await actorIn(context, group, view, difference)
        const account = view.members[difference.who]?.account
        if (actor === undefined || account === undefined) return { refused: 'no-member' }
        await actor.device.setRole(group.room, account, difference.role)
        return 'done'
      }
      case 'come':
        return await add(context, group, view, difference)
      case 'go':
        return await remove(context, group, view, difference)
    }
  } catch (error) {
    if (!isRefusal(error)) throw error
    return { refused: error.code }
  }
}

/**
 * The Matrix user who did something there, when they take part in the messenger's group.
 * @throws EdgeError `behind` (retry) when they have just been added, and their device is about to hear of it
 */
async function actorIn(
  context: PortalContext,
  { room, state }: OpenGroup,
  view: MessengerView,
  difference: Difference,
): Promise<MatrixUser | undefined> {
  const mxid = actorOf(state, difference) ?? ''
  const member = view.members[mxid]
  const present = view.present.get(mxid)
  if (present?.standing === 'accepted') return present.user
  if (member === undefined || context.isOurs(mxid)) return undefined
  const joined = state.matrix.members[mxid]?.membership === 'join'
  if (present !== undefined && !joined) return undefined
  const standing =
    present?.standing ?? (await (await context.users.byAccount(member.account)).device.room(room))?.standing
  // A member whose device was not among those looked at, and has not gone: it enters, or has entered since that look.
  if (standing !== 'left' && standing !== 'declined') throw new EdgeError('behind')
  return undefined
}

/**
 * Whoever invited somebody adds them, and nobody in their stead: what a device of ours commits is what its user did. Where
 * that is nobody of the group (any more), the invitation is taken back.
 */
async function add(context: PortalContext, group: OpenGroup, view: MessengerView, difference: Move): Promise<Attempt> {
  const { who } = difference
  const { asked } = group.state
  const actor = await actorIn(context, group, view, difference)
  if (actor === undefined) return { refused: 'no-member' }
  if (Object.keys(view.members).length >= context.settings.groupMembers) return { refused: 'too-many' }
  if (context.isOurs(who)) {
    const account = await context.ghosts.accountOf(who)
    if (account === undefined) return { refused: 'no-member' }
    const question = asked[who]
    if (question?.answer === 'denied') return { refused: 'not-reachable' }
    if (question !== undefined && question.answer === undefined) {
      if (!question.sent) await ask(context, group, await context.users.byAccount(question.by), who, account)
      return 'waiting'
    }
    return addPerson(context, group, actor, who, account)
  }
  // To join the room is to agree to be in the group, with whoever invited them.
  const user = await context.users.ensure(who)
  await user.device.answerConsent(actor.account, true)
  await actor.device.addMembers(group.room, [user.account])
  return 'done'
}

/** A member of the messenger is added when they let this Matrix user do so; otherwise they are asked first. */
async function addPerson(
  context: PortalContext,
  group: OpenGroup,
  actor: MatrixUser,
  ghost: string,
  account: AccountAddress,
): Promise<Attempt> {
  try {
    await actor.device.addMembers(group.room, [account])
    return 'done'
  } catch (error) {
    if (!(error instanceof ClientError) || error.code !== 'consent-required') throw error
  }
  await ask(context, group, actor, ghost, account)
  return 'waiting'
}

/** The answer can come before the asking is noted as done, and a crash between the two: so it is noted before and after. */
async function ask(
  context: PortalContext,
  { id }: OpenGroup,
  actor: MatrixUser,
  ghost: string,
  account: AccountAddress,
): Promise<void> {
  const note = (sent: boolean) =>
    owned(context, actor.account, (tx) =>
      context.groups.change(tx, id, (state) => {
        const { answer } = (sent && state.asked[ghost]) || {}
        const question = { by: actor.account, sent, ...(answer && { answer }) }
        return { ...state, asked: { ...state.asked, [ghost]: question } }
      }),
    )
  await note(false)
  await actor.device.requestConsent(account)
  await note(true)
}

async function remove(
  context: PortalContext,
  group: OpenGroup,
  view: MessengerView,
  difference: Move,
): Promise<Attempt> {
  const { who } = difference
  const by = actorOf(group.state, difference)
  const leaving = view.present.get(who)
  // Their device is just coming in: then it can leave.
  if (leaving === undefined && !context.isOurs(who)) throw new EdgeError('behind')
  if (by !== who) {
    const account = view.members[who]?.account
    const actor = await actorIn(context, group, view, difference)
    try {
      if (actor !== undefined && account !== undefined) {
        await actor.device.removeMember(group.room, account)
        return 'done'
      }
    } catch (error) {
      if (!isRefusal(error)) throw error
      if (leaving === undefined) return { refused: error.code }
    }
    if (leaving === undefined) return { refused: 'no-member' }
  }
  if (leaving === undefined) return { refused: 'no-member' }
  // Whoever is out of the Matrix room reads nothing any more, whether or not the one who sent them away might do so.
  await leaveMessenger(context, group, leaving)
  return 'done'
}

/** Takes a Matrix user's device out of the messenger's group. */
export async function leaveMessenger(
  context: PortalContext,
  { id, room }: Pick<OpenGroup, 'id' | 'room'>,
  { user: { account, mxid, device }, standing }: Present,
): Promise<void> {
  await owned(context, account, (tx) =>
    context.groups.change(tx, id, (state) => ({ ...state, leaving: { ...state.leaving, [mxid]: true } })),
  )
  await (standing === 'requested' ? device.decline(room) : device.leave(room))
}

/** A name as the messenger takes it: one line, up to 400 bytes. */
export function nameFor(name: string): string {
  const line = name.replace(/\p{C}+/gu, ' ').trim()
  let short = line.slice(0, longestNameBytes)
  while (new TextEncoder().encode(short).length > longestNameBytes) short = [...short].slice(0, -1).join('')
  return short
}
const longestNameBytes = 400
