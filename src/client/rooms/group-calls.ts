import { type AccountAddress, type GroupRoom, rolesIn } from '../../identity/index.ts'
import { MlsError, mostCommitManifests, roomExtension } from '../../mls/index.ts'
import type { Context } from '../context.ts'
import { ClientError, type ClientErrorCode } from '../errors.ts'
import { lookIntoRoom, type RoomWork } from '../state/room-work.ts'
import type { Device, GroupView } from '../types.ts'
import type { GroupIntent, Invitation } from './changes.ts'
import { claim } from './create.ts'
import { groupEpoch } from './group-state.ts'
import { makeGroup } from './reach.ts'
import type { Workers } from './workers.ts'

type GroupCalls = Pick<Device, 'createGroup' | 'group' | 'addMembers' | 'removeMember' | 'rename' | 'setRole'>
type Room = Parameters<Device['rename']>[0]

/** What a device does with groups. Every change is a commit; one that loses against another is made again. */
export function groupCalls(context: Context, workers: Workers): GroupCalls {
  const change = async (room: Room, intent: GroupIntent) => {
    await requireGroup(context, room)
    const done = context.changes.ask(room, intent)
    workers.send(room)
    await done
  }
  return {
    group: (room) => lookIntoRoom(context, room, viewOf),
    async createGroup({ name, members, within }) {
      const state = newGroup(context.self.address, name)
      // One's own manifest comes with the first commit too.
      requireAtOnce(context, members, mostCommitManifests - 1)
      const invitations = await claimAll(context, members)
      // One's own other devices come last: where somebody refuses, nothing of this account's supply is used up.
      const own = await claim(context, context.self.address)
      return makeGroup(context, workers, state, [...invitations, own], within)
    },
    async addMembers(room, members) {
      await requireGroup(context, room)
      requireAtOnce(context, members, mostCommitManifests)
      const add = async () => change(room, { what: 'add', invitations: await claimAll(context, members) })
      try {
        await add()
      } catch (error) {
        // One of them has linked or unlinked a device since its KeyPackages were claimed.
        if (!(error instanceof ClientError && overtaken.has(error.code))) throw error
        await add()
      }
    },
    async removeMember(room, account) {
      if (account === context.self.address) throw new ClientError('not-allowed', 'leaving is another call')
      await change(room, { what: 'remove', account })
    },
    async rename(room, name) {
      newGroup(context.self.address, name)
      await change(room, { what: 'rename', name })
    },
    setRole: (room, account, role) => change(room, { what: 'role', account, role }),
  }
}

const overtaken: ReadonlySet<ClientErrorCode> = new Set<ClientErrorCode>(['old-manifest', 'not-in-manifest'])

async function requireGroup(context: Context, room: Room): Promise<void> {
  if (context.signal.aborted) throw new ClientError('closed')
  if (context.self.unlinked) throw new ClientError('unlinked')
  const record = await lookIntoRoom(context, room, async (work) => work.record)
  if (!record) throw new ClientError('no-such-room')
  if (record.kind !== 'group' || record.standing !== 'accepted') throw new ClientError('not-allowed')
  if (record.refused) throw new ClientError('not-joined')
}

/** What no commit could hold is refused before anybody's KeyPackages are used up. Errors: too-large. */
function requireAtOnce(context: Context, accounts: readonly AccountAddress[], most: number): void {
  const others = new Set(accounts)
  others.delete(context.self.address)
  if (others.size > most)
    throw new ClientError('too-large', `at most ${most} accounts at once; add the others afterwards`)
}

/** One account after the other: whoever cannot be reached is told of before anybody else's KeyPackages are used up. */
async function claimAll(context: Context, accounts: readonly AccountAddress[]): Promise<Invitation[]> {
  const invitations: Invitation[] = []
  for (const account of new Set(accounts))
    if (account !== context.self.address) invitations.push(await claim(context, account))
  return invitations
}

async function viewOf(work: RoomWork): Promise<GroupView> {
  const epoch = await groupEpoch(work)
  if (!epoch) throw new ClientError(work.record ? 'not-allowed' : 'no-such-room', 'no group')
  const { leaves } = await work.roster()
  const roles = rolesIn(epoch.room, epoch.accounts)
  const members = new Map<AccountAddress, GroupView['members'][number]>()
  for (const { address, accountKind, operator, network } of [...leaves].sort((a, b) => a.index - b.index))
    if (!members.has(address))
      members.set(address, {
        address,
        role: roles.get(address) ?? 'member',
        accountKind,
        ...(operator && { operator }),
        ...(network && { network }),
      })
  return { seq: work.record?.cursor ?? 0, name: epoch.room.name, members: [...members.values()] }
}

/** Errors: malformed, too-large. */
function newGroup(owner: AccountAddress, name: string): GroupRoom {
  const state: GroupRoom = { kind: 'group', name, roles: new Map([[owner, 'owner']]) }
  try {
    roomExtension(state)
  } catch (cause) {
    if (!(cause instanceof MlsError)) throw cause
    throw new ClientError(cause.code === 'too-large' ? 'too-large' : 'malformed', 'the name of a group', { cause })
  }
  return state
}
