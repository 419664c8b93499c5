import { decodeContent } from '../../../content/index.ts'
import type { AccountAddress } from '../../../identity/index.ts'
import type { Queryable } from '../../../store/index.ts'
import type { GhostId } from '../../matrix/ghosts.ts'
import type { PortalContext } from '../context.ts'
import type { OutboxItem } from '../outbox-table.ts'
import type { OpenPortal } from '../portal-table.ts'
import { sendItems } from '../sending.ts'
import type { MatrixUser } from '../users.ts'
import { reconcile } from './reconcile.ts'
import type { GroupPortal } from './table.ts'
import type { MessengerView } from './view.ts'

/** A group's portal as one of its Matrix users has it: what goes through their device, and is said to them by the bot. */
export async function portalFor(
  context: PortalContext,
  group: GroupPortal,
  { account, mxid }: Pick<MatrixUser, 'account' | 'mxid'>,
  accepted = true,
): Promise<OpenPortal> {
  return {
    id: group.id,
    account,
    // Nobody in particular: the name in front of a refusal is "this person" then.
    peer: account,
    room: group.room,
    ghost: await context.ghosts.ensureBot(),
    matrixRoom: group.matrixRoom ?? '',
    mxid,
    state: accepted ? 'open' : 'offered',
    userIn: true,
    peerName: undefined,
    askedAs: undefined,
    name: undefined,
    shownName: undefined,
    makingAskedAt: undefined,
    posture: group.posture,
    endedBecause: undefined,
    making: undefined,
    heldUntil: 0,
    earlier: group.state.begunBy?.ghost as GhostId | undefined,
    readers: readersOf(context, group),
    circle: new Map(Object.entries(group.state.messenger?.members ?? {}).map(([who, { account }]) => [who, account])),
  }
}

/** Matrix users who are in the group on both sides: for them, and nobody else, room keys are shared. */
function readersOf({ isOurs }: PortalContext, { state: { messenger, matrix } }: GroupPortal): string[] {
  return Object.keys(messenger?.members ?? {}).filter((who) => {
    const membership = matrix?.members[who]?.membership
    return !isOurs(who) && (membership === 'join' || membership === 'invite')
  })
}

/**
 * Whose device says what all of the edge's devices in a group hear: the first of those that read in it. Who has been invited
 * and has not come hears less, so they speak only where there is nobody else.
 */
export async function speakerIn(
  { groups }: PortalContext,
  on: Queryable,
  { id, state: { messenger, matrix } }: GroupPortal,
): Promise<AccountAddress | undefined> {
  const here = Object.entries(messenger?.members ?? {}).flatMap(([who, { account }]) =>
    matrix?.members[who]?.membership === 'join' ? [account] : [],
  )
  const reading = await groups.accounts(on, id)
  return reading.find((account) => here.includes(account)) ?? reading[0]
}

/**
 * Sends what waits for the Matrix room, in order. Where the group has changed on the messenger in between, the room is
 * brought up to that first: what was written before a member went is for them too, what came after is not.
 * @returns whether nothing waits any more
 */
export async function sendToGroup(context: PortalContext, id: number, found: MessengerView): Promise<boolean> {
  const { outbox, groups, settings, database } = context
  let view = found
  for (;;) {
    const items = await outbox.waiting(database, id, settings.outboxBatch)
    if (items.length === 0) return true
    const change = items.findIndex(({ kind }) => kind === 'members')
    if (change === 0) {
      const now = await reconcile(context, id)
      if (now === undefined) return false
      view = now
      await database.transaction(async (tx) => outbox.done(tx, [items[0]!.id]))
      continue
    }
    const group = await groups.byId(database, id)
    if (group?.matrixRoom === undefined) return false
    const speaker = speakerOf(view)
    if (speaker === undefined) return false
    const portal = await portalFor(context, group, speaker.user, speaker.standing === 'accepted')
    if (portal.readers?.length === 0) return false
    const sending = change < 0 ? items : items.slice(0, change)
    const ghosts = await ghostsOf(context, sending)
    await sendItems(context, portal, sending, (item) => ({ ...portal, ghost: ghosts.get(item.id) ?? portal.ghost }))
  }
}

/** Who reports to the messenger what has reached Matrix: one of the Matrix users for all, and only who has accepted. */
function speakerOf({ present }: MessengerView) {
  const all = [...present.values()]
  return all.find(({ standing }) => standing === 'accepted') ?? all[0]
}

/** The ghosts of those who wrote, by item. */
async function ghostsOf({ ghosts }: PortalContext, items: readonly OutboxItem[]): Promise<Map<number, GhostId>> {
  const found = new Map<number, GhostId>()
  for (const { id, kind, body } of items) {
    const sender = kind === 'message' ? decodeContent(body).sender : undefined
    if (sender !== undefined) found.set(id, await ghosts.ensure(sender as AccountAddress))
  }
  return found
}
