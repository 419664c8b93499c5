import { type AccountAddress, type GroupRoom, type Role, type RoomState, rolesIn } from '../../identity/index.ts'
import { extensionsOf, readRoom } from '../../mls/index.ts'
import type { Context } from '../context.ts'
import { ClientError } from '../errors.ts'
import type { RoomRecord, RosterRecord } from '../state/records.ts'
import type { RoomWork } from '../state/room-work.ts'
import type { GroupChange, LogPosition } from '../types.ts'
import { tellRoom } from './announce.ts'

/** A group as it stood in one epoch. */
export interface GroupEpoch {
  room: GroupRoom
  accounts: ReadonlySet<AccountAddress>
}

/** Of a room that this device makes: it is its owner. */
export function groupIn(state: RoomState): Pick<RoomRecord, 'group'> {
  return state.kind === 'group' ? { group: { name: state.name, role: 'owner' } } : {}
}

export function accountsIn({ leaves }: Pick<RosterRecord, 'leaves'>): Set<AccountAddress> {
  return new Set(leaves.map(({ address }) => address))
}

/** Name and roles of the room's group now; undefined for a room of another kind. */
export async function groupEpoch(work: RoomWork): Promise<GroupEpoch | undefined> {
  if (work.record?.kind !== 'group') return undefined
  const room = readRoom(extensionsOf(await work.group()))
  if (room?.kind !== 'group') throw new ClientError('storage', 'a group without its state')
  return { room, accounts: accountsIn(await work.roster()) }
}

/** Keeps in the room's record what is shown of the group, after its state was advanced. Gives the group. */
export async function noteGroup(context: Context, work: RoomWork): Promise<GroupEpoch | undefined> {
  const now = await groupEpoch(work)
  if (!now) return undefined
  const role = rolesIn(now.room, now.accounts).get(context.self.address) ?? 'member'
  work.update({ group: { name: now.room.name, role }, answered: true })
  return now
}

/** What brought one epoch about, as far as the epochs themselves do not show it. */
interface Cause extends Omit<LogPosition, 'room'> {
  by: AccountAddress
  /** Accounts that go because they wanted to. */
  left: ReadonlySet<AccountAddress>
}

/** Keeps and tells what a commit changed of a group. */
export async function tellGroup(
  context: Context,
  work: RoomWork,
  before: GroupEpoch | undefined,
  { left, ...cause }: Cause,
): Promise<void> {
  const shown = work.record?.group
  const after = await noteGroup(context, work)
  if (!before || !after) return
  const gone = without(before.accounts, after.accounts)
  const change: GroupChange = {
    room: work.id,
    ...cause,
    added: without(after.accounts, before.accounts),
    removed: gone.filter((account) => !left.has(account)),
    left: gone.filter((account) => left.has(account)),
    roles: changedRoles(before, after),
    ...(before.room.name !== after.room.name && { name: after.room.name }),
  }
  const { added, removed, roles, name } = change
  if (added.length > 0) await oweProfile(context, work)
  const current = work.record?.group
  if (shown?.name !== current?.name || shown?.role !== current?.role) await tellRoom(context, work)
  if ([added, removed, change.left, roles].every((list) => list.length === 0) && name === undefined) return
  await context.events.run('group', change, work.tx)
}

/** Who is new has not heard how the others are called. Of the account's devices the first in the tree tells them. */
async function oweProfile(context: Context, work: RoomWork): Promise<void> {
  const own = (await work.roster()).leaves.filter(({ address }) => address === context.self.address)
  const first = own.sort((a, b) => a.index - b.index)[0]
  if (first?.deviceId === context.deviceId) work.update({ profileOwed: true })
}

function without(a: ReadonlySet<AccountAddress>, b: ReadonlySet<AccountAddress>): AccountAddress[] {
  return [...a].filter((account) => !b.has(account))
}

/** Of those who are there before and after, and of those who come in as more than a member. */
function changedRoles(before: GroupEpoch, after: GroupEpoch): { account: AccountAddress; role: Role }[] {
  const was = rolesIn(before.room, before.accounts)
  return [...rolesIn(after.room, after.accounts)].flatMap(([account, role]) =>
    (was.get(account) ?? 'member') === role ? [] : [{ account, role }],
  )
}
