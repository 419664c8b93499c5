import { equalBytes } from '../crypto/index.ts'
import type { AccountAddress } from './address.ts'
import { deviceIn } from './manifest.ts'
import type { Roster, RosterLeaf } from './roster.ts'

/** What an account may do in a group: `owner` all, `admin` rename it and remove members, `member` add others. */
export type Role = 'owner' | 'admin' | 'member'

/** What a group's members and its hub agree on besides who is in it. Who is not named among the roles is a member. */
export interface GroupRoom {
  kind: 'group'
  name: string
  roles: ReadonlyMap<AccountAddress, Exclude<Role, 'member'>>
}

/** What a room is, as its GroupContext states it. Only a group has more than its kind. */
export type RoomState = { kind: 'direct' | 'guest' | 'self' } | GroupRoom

/** A commit as the rule sees it. Its leaves and manifests have been judged already (leaf.ts, roster.ts). */
export interface RoomCommit {
  before: RoomState
  after: RoomState
  /** Whether it changes anything of the GroupContext's extensions but the room's state. */
  otherwiseChanged: boolean
  /** The account that commits. */
  sender: AccountAddress
  /** Whether it is an external commit (RFC 9420 §12.4.3.2). */
  external: boolean
  /** `by`: the committer, somebody from outside the group (the hub), or another member. */
  proposals: readonly { type: string; by: 'committer' | 'outside' | 'another' }[]
  leavesBefore: readonly RosterLeaf[]
  leavesAfter: readonly RosterLeaf[]
  /** `proposed`: the hub proposed it. */
  removed: readonly { leaf: RosterLeaf; proposed: boolean }[]
  /** After the commit. */
  roster: Roster
}

/** What a commit does that it may not. */
export type RoomRefusal = 'extensions' | 'proposal' | 'removal' | 'name' | 'role'

/**
 * The rule of what a commit may do to a room, the same at the hub and at every member, so that they cannot split: whoever
 * computes it from the same log gets the same answer, and a member does not follow a hub that let something else pass.
 * - Proposals are the committer's own, or the hub's removals. Nobody replaces a group by another, nor binds a key that
 *   not all have, except where a guest is let in by one.
 * - Of the GroupContext's extensions only a group's name and roles change.
 * - A leaf goes when the hub proposed it (its account leaves, its device was unlinked), when its device is no longer in
 *   the manifest in force, when its own device joins anew; in a group also when somebody above its account wants it.
 * - Admins and owners rename. Owners give and take the roles of everyone below them; everybody may step down.
 * - Roles are for accounts that are there: a change lists nobody else, and who comes back comes as a member, also when it
 *   comes back in the commit in which it goes. An account under another account key than before has come back, unless it
 *   commits itself: the provider endorses keys, and must not be able to put somebody else in an owner's place.
 */
export function judgeCommit(commit: RoomCommit): RoomRefusal | undefined {
  const { before, after, external, sender } = commit
  if (commit.otherwiseChanged || before.kind !== after.kind) return 'extensions'
  if (commit.proposals.some((proposal) => !mayPropose(before, proposal))) return 'proposal'
  const present = accountsOf(commit.leavesBefore)
  const remaining = accountsOf(commit.leavesAfter)
  const role = before.kind === 'group' ? rolesIn(before, present) : undefined
  const rankOf = (account: AccountAddress) => rank[role?.get(account) ?? 'member']
  for (const { leaf, proposed } of commit.removed) {
    // An external commit takes out nothing but the joiner's own former leaf: that is the MLS room's to see.
    if (proposed || external) continue
    const manifest = commit.roster.get(leaf.address)?.inForce?.manifest
    if (manifest !== undefined && !deviceIn(manifest, leaf.deviceKey)) continue
    if (rankOf(sender) < rank.admin || rankOf(sender) <= rankOf(leaf.address)) return 'removal'
  }
  if (before.kind !== 'group' || after.kind !== 'group') return undefined
  if (after.name !== before.name && rankOf(sender) < rank.admin) return 'name'
  const stayed = stayedIn(commit)
  return judgeRoles(before, after, {
    sender,
    remaining,
    stayed,
    rankOf: (account) => (stayed.has(account) ? rankOf(account) : rank.member),
  })
}

/**
 * Who may do what in a group, for the accounts in it. A group that all owners have left belongs to its admins, and when
 * there are none either, to everybody: nobody can be made to stay so that it can go on.
 */
export function rolesIn(
  { roles }: Pick<GroupRoom, 'roles'>,
  accounts: Iterable<AccountAddress>,
): Map<AccountAddress, Role> {
  const stated = new Map(
    [...accounts].map((account): [AccountAddress, Role] => [account, roles.get(account) ?? 'member']),
  )
  const highest = (['owner', 'admin', 'member'] as const).find((role) => [...stated.values()].includes(role))
  return new Map([...stated].map(([account, role]) => [account, role === highest ? 'owner' : role]))
}

/** The state without the roles of accounts that are not there. */
export function withoutAbsent(room: GroupRoom, accounts: ReadonlySet<AccountAddress>): GroupRoom {
  return { ...room, roles: new Map([...room.roles].filter(([account]) => accounts.has(account))) }
}

/** Whether two states are the same in all. */
export function sameRoom(a: RoomState, b: RoomState): boolean {
  if (a.kind !== 'group' || b.kind !== 'group') return a.kind === b.kind
  return (
    a.name === b.name && a.roles.size === b.roles.size && [...a.roles].every(([who, role]) => b.roles.get(who) === role)
  )
}

const rank: Record<Role, number> = { member: 0, admin: 1, owner: 2 }

function mayPropose(room: RoomState, { type, by }: RoomCommit['proposals'][number]): boolean {
  if (type === 'reinit' || (type === 'psk' && room.kind !== 'guest')) return false
  return by === 'committer' || (by === 'outside' && type === 'remove')
}

function judgeRoles(
  before: GroupRoom,
  after: GroupRoom,
  who: {
    sender: AccountAddress
    /** Of those that remain, the ones that were there before, and not only their address. */
    stayed: ReadonlySet<AccountAddress>
    remaining: ReadonlySet<AccountAddress>
    rankOf(account: AccountAddress): number
  },
): RoomRefusal | undefined {
  if (!sameRoom(before, after) && [...after.roles.keys()].some((account) => !who.remaining.has(account))) return 'role'
  for (const account of who.remaining) {
    const was = who.stayed.has(account) ? (before.roles.get(account) ?? 'member') : 'member'
    const is = after.roles.get(account) ?? 'member'
    if (was === is) continue
    const own = who.rankOf(who.sender)
    const allowed = account === who.sender ? rank[is] <= own : own === rank.owner && who.rankOf(account) < own
    if (!allowed) return 'role'
  }
  return undefined
}

/** The committer has signed with a key of a leaf that was there before: it is the same whatever account key it now has. */
function stayedIn({ leavesBefore, leavesAfter, sender }: RoomCommit): Set<AccountAddress> {
  const keys = new Map(leavesAfter.map(({ address, accountKey }) => [address, accountKey]))
  const stayed = leavesBefore.filter(({ address, accountKey }) => {
    const now = keys.get(address)
    return address === sender || (now !== undefined && equalBytes(now, accountKey))
  })
  return accountsOf(stayed)
}

function accountsOf(leaves: readonly RosterLeaf[]): Set<AccountAddress> {
  return new Set(leaves.map(({ address }) => address))
}
