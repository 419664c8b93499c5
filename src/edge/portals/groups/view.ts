import { ClientError, type GroupView, type RoomStanding } from '../../../client/index.ts'
import type { AccountAddress, Posture, Role } from '../../../identity/index.ts'
import type { PortalContext } from '../context.ts'
import { EdgeError } from '../errors.ts'
import type { MatrixUser } from '../users.ts'
import type { GroupPortal } from './table.ts'

/** A Matrix user whose device is in the group. */
export interface Present {
  readonly user: MatrixUser
  /** `requested`: they have been invited there and have not joined. */
  readonly standing: Extract<RoomStanding, 'requested' | 'accepted'>
}

/** The messenger's side of a group, as the device that has followed its log the furthest sees it. */
export interface MessengerView {
  readonly name: string
  /** By Matrix id, of the user or of the ghost. */
  readonly members: Readonly<Record<string, { readonly account: AccountAddress; readonly role: Role }>>
  /** By Matrix id. */
  readonly present: ReadonlyMap<string, Present>
  readonly posture: Posture
}

/**
 * Undefined when no device of ours is in the group (any more).
 * @param furthest after a change by one of our devices: the others may not have heard of it
 * @throws EdgeError `behind` (retry) while no device that is there has come as far as what was taken from the log
 */
export async function viewOf(
  context: PortalContext,
  group: GroupPortal,
  { furthest = false } = {},
): Promise<MessengerView | undefined> {
  const { room } = group
  if (room === undefined) return undefined
  const { present, gone, coming } = await presentIn(context, group)
  if (present.size === 0) {
    if (coming) throw new EdgeError('behind')
    return undefined
  }
  let best: (GroupView & { posture: Posture }) | undefined
  for (const { user } of present.values()) {
    const { device } = user
    try {
      const seen = await device.group(room)
      if (seen.seq >= (best?.seq ?? group.seq)) best = { ...seen, posture: await device.posture(room) }
      if (best && !furthest) break
    } catch (error) {
      // It has left, or been removed, between the two looks.
      if (error instanceof ClientError && error.code === 'not-joined') continue
      throw error
    }
  }
  if (best === undefined) throw new EdgeError('behind')
  const keyed = await Promise.all(
    best.members.map(async ({ address, role }) => [await keyOf(context, address), { account: address, role }] as const),
  )
  // The leaf of a Matrix user who has left goes with the next commit, whoever makes it.
  const there = keyed.filter(([who]) => !gone.has(who))
  return { name: best.name, members: Object.fromEntries(there), present, posture: best.posture }
}

/** `gone`: who has left. `coming`: a device has a group that the provider has not taken yet. */
async function presentIn(
  context: PortalContext,
  { id, room, state }: GroupPortal,
): Promise<{ present: Map<string, Present>; gone: Set<string>; coming: boolean }> {
  const { groups, users, database } = context
  const present = new Map<string, Present>()
  const gone = new Set<string>()
  let coming = false
  // Those who read in it, and whom the log may still have: not all who ever were in it, whose devices would be opened each time.
  const leaving = await Promise.all(Object.keys(state.leaving).map((mxid) => users.accountOf(mxid)))
  const known = Object.values(state.messenger?.members ?? {}).map(({ account }) => account)
  const others = [...known, ...leaving.filter((account) => account !== undefined)]
  for (const account of await groups.accounts(database, id, others)) {
    const user = await users.byAccount(account)
    const info = room && (await user.device.room(room))
    coming ||= info === undefined
    const standing = info?.standing
    const left = standing === 'left' || standing === 'declined'
    // Said of somebody who was added again it is of before: their device is about to hear of it.
    if (left && state.leaving[user.mxid]) gone.add(user.mxid)
    else if (!left && info?.joined && standing) present.set(user.mxid, { user, standing })
  }
  return { present, gone, coming }
}

/** The Matrix id that stands for an account: the user's own, or their ghost's. */
async function keyOf({ users, ghosts, database }: PortalContext, account: AccountAddress): Promise<string> {
  return (await users.mxidOf(database, account)) ?? (await ghosts.ensure(account))
}
