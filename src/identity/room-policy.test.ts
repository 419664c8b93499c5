import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from '../../test/support/fast-check.ts'
import { nodeCrypto as crypto } from '../crypto/node.ts'
import { type AccountAddress, newAccountAddress } from './address.ts'
import { type GroupRoom, judgeCommit, type Role, type RoomCommit, rolesIn } from './room-policy.ts'
import { emptyRoster, type RosterLeaf } from './roster.ts'

const accounts = Array.from({ length: 5 }, () => newAccountAddress(crypto, 'provider.example'))
const [ana] = accounts as [AccountAddress]
const keys = new Map(accounts.map((account) => [account, crypto.randomBytes(32)]))
const leafOf = (address: AccountAddress): RosterLeaf => ({
  address,
  accountKey: keys.get(address)!,
  deviceKey: keys.get(address)!,
  deviceKind: 'primary',
})

/** What somebody tries. `who` and `target` are accounts by number. */
const attempt = fc.oneof(
  fc.record({ what: fc.constant('add' as const), who: fc.nat(4), target: fc.nat(4), prune: fc.boolean() }),
  fc.record({ what: fc.constant('remove' as const), who: fc.nat(4), target: fc.nat(4) }),
  fc.record({ what: fc.constant('leave' as const), who: fc.nat(4), target: fc.nat(4) }),
  fc.record({ what: fc.constant('rename' as const), who: fc.nat(4), name: fc.constantFrom('a', 'b') }),
  fc.record({
    what: fc.constant('role' as const),
    who: fc.nat(4),
    target: fc.nat(4),
    role: fc.constantFrom<Role>('owner', 'admin', 'member'),
  }),
)
type Attempt = typeof attempt extends fc.Arbitrary<infer T> ? T : never

interface Group {
  room: GroupRoom
  present: AccountAddress[]
}

function commitOf({ room, present }: Group, tried: Attempt): RoomCommit & { next: Group } {
  const sender = accounts[tried.who]!
  const target = 'target' in tried ? accounts[tried.target]! : sender
  const gone = tried.what === 'remove' || tried.what === 'leave'
  const remaining = gone
    ? present.filter((account) => account !== target)
    : tried.what === 'add'
      ? [...new Set([...present, target])]
      : present
  let roles = new Map(room.roles)
  if (tried.what === 'role') {
    if (tried.role === 'member') roles.delete(target)
    else roles.set(target, tried.role)
  }
  const prunes = tried.what === 'role' || tried.what === 'rename' || (tried.what === 'add' && tried.prune)
  if (prunes) roles = new Map([...roles].filter(([account]) => present.includes(account)))
  const next = { ...room, roles, name: tried.what === 'rename' ? tried.name : room.name }
  return {
    before: room,
    after: next,
    otherwiseChanged: false,
    sender,
    external: false,
    proposals: tried.what === 'leave' ? [{ type: 'remove', by: 'outside' }] : [],
    leavesBefore: present.map(leafOf),
    leavesAfter: remaining.map(leafOf),
    removed: gone ? [{ leaf: leafOf(target), proposed: tried.what === 'leave' }] : [],
    roster: emptyRoster,
    next: { room: next, present: remaining },
  }
}

test('any sequence of changes is judged as a simple model of the group judges it', () => {
  fc.assert(
    fc.property(fc.array(attempt, { maxLength: 60 }), (attempts) => {
      let group: Group = { room: { kind: 'group', name: '', roles: new Map([[ana, 'owner']]) }, present: [ana] }
      // The model: who is in it, and what each of them was made.
      const model = new Map<AccountAddress, Role>([[ana, 'owner']])
      let name = ''
      const power = (account: AccountAddress) => {
        const all = [...model.values()]
        const level = { owner: 2, admin: 1, member: 0 }[model.get(account) ?? 'member']
        if (all.includes('owner')) return level
        return all.includes('admin') ? (level === 1 ? 2 : 0) : 2
      }
      for (const tried of attempts) {
        const sender = accounts[tried.who]!
        const target = 'target' in tried ? accounts[tried.target]! : sender
        const knows = model.has(target)
        if (!model.has(sender) || (tried.what === 'leave' && (sender === target || !knows))) continue
        if (
          (tried.what === 'role' || tried.what === 'remove') &&
          (!knows || (tried.what === 'remove' && sender === target))
        )
          continue
        const commit = commitOf(group, tried)
        let allowed: boolean
        if (tried.what === 'add') allowed = knows || tried.prune || !group.room.roles.has(target)
        else if (tried.what === 'leave') allowed = true
        else if (tried.what === 'remove') allowed = power(sender) >= 1 && power(sender) > power(target)
        else if (tried.what === 'rename') allowed = tried.name === name || power(sender) >= 1
        else if (tried.role === model.get(target)) allowed = true
        else if (sender === target) allowed = { owner: 2, admin: 1, member: 0 }[tried.role] <= power(sender)
        else allowed = power(sender) === 2 && power(target) < 2
        assert.equal(judgeCommit(commit) === undefined, allowed, JSON.stringify(tried))
        if (!allowed) continue
        group = commit.next
        if (tried.what === 'add' && !knows) model.set(target, 'member')
        if (tried.what === 'remove' || tried.what === 'leave') model.delete(target)
        if (tried.what === 'role') model.set(target, tried.role)
        if (tried.what === 'rename') name = tried.name
        const ranks = rolesIn(group.room, group.present)
        assert.deepEqual([...ranks.keys()].sort(), [...model.keys()].sort())
        for (const [account, role] of ranks) assert.equal({ owner: 2, admin: 1, member: 0 }[role], power(account))
      }
    }),
    { numRuns: 300 },
  )
})

test('nothing else of a room changes, and no proposals but the hub’s removals are taken up', () => {
  const group: Group = {
    room: { kind: 'group', name: '', roles: new Map([[ana, 'owner']]) },
    present: accounts.slice(0, 2),
  }
  const commit = (change: Partial<RoomCommit>) =>
    judgeCommit({ ...commitOf(group, { what: 'rename', who: 0, name: '' as 'a' }), ...change })
  assert.equal(commit({}), undefined)
  assert.equal(commit({ otherwiseChanged: true }), 'extensions')
  assert.equal(commit({ after: { kind: 'direct' } }), 'extensions')
  assert.equal(commit({ before: { kind: 'direct' }, after: { kind: 'direct' } }), undefined)
  for (const type of ['reinit', 'psk']) assert.equal(commit({ proposals: [{ type, by: 'committer' }] }), 'proposal')
  for (const type of ['add', 'extensions', 'psk', 'reinit'])
    assert.equal(commit({ proposals: [{ type, by: 'outside' }] }), 'proposal')
  assert.equal(commit({ proposals: [{ type: 'remove', by: 'another' }] }), 'proposal')
  const guest = { kind: 'guest' } as const
  assert.equal(commit({ before: guest, after: guest, proposals: [{ type: 'psk', by: 'committer' }] }), undefined)
  const removed = [{ leaf: leafOf(accounts[1]!), proposed: false }]
  assert.equal(commit({ before: { kind: 'direct' }, after: { kind: 'direct' }, removed }), 'removal')
  assert.equal(
    commit({ after: { ...group.room, roles: new Map([...group.room.roles, [accounts[3]!, 'admin']]) } }),
    'role',
  )
})

describe('an account under a new account key', () => {
  const [owner, member, other] = accounts as [AccountAddress, AccountAddress, AccountAddress]
  const leaves = [owner, member, other].map(leafOf)
  const renewed: RosterLeaf = {
    ...leafOf(owner),
    accountKey: crypto.randomBytes(32),
    deviceKey: crypto.randomBytes(32),
  }
  const room = (roles: [AccountAddress, 'owner' | 'admin'][]): GroupRoom => ({
    kind: 'group',
    name: '',
    roles: new Map(roles),
  })
  const owned = room([[owner, 'owner']])
  /** The provider has proposed that the owner goes; somebody takes that up and brings in the address anew. */
  const replacing = (sender: AccountAddress, before: GroupRoom, after: GroupRoom, leaf = renewed) =>
    judgeCommit({
      ...{ before, after, otherwiseChanged: false, sender, external: false, roster: emptyRoster },
      proposals: [
        { type: 'remove', by: 'outside' },
        { type: 'add', by: 'committer' },
      ],
      leavesBefore: leaves,
      leavesAfter: [leaf, ...leaves.slice(1)],
      removed: [{ leaf: leaves[0]!, proposed: true }],
    })

  test('does not come into the role of its address, which the provider could have given to anybody', () => {
    assert.equal(replacing(member, owned, owned), 'role')
    const administered = room([[owner, 'admin']])
    assert.equal(replacing(member, administered, administered), 'role')
    assert.equal(replacing(member, administered, owned), 'role')
  })

  test('comes back as a member: the commit drops the role', () => {
    assert.equal(replacing(member, owned, room([])), undefined)
    const plain = room([[other, 'owner']])
    assert.equal(replacing(member, plain, plain), undefined)
  })

  test('keeps the role where another owner commits, and not where an admin does', () => {
    const shared = (role: 'owner' | 'admin') =>
      room([
        [owner, 'owner'],
        [member, role],
      ])
    assert.equal(replacing(member, shared('owner'), shared('owner')), undefined)
    assert.equal(replacing(member, shared('admin'), shared('admin')), 'role')
  })

  test('keeps the role when its own device that was there commits, and when it is another device under the old key', () => {
    const same = { ...leafOf(owner), accountKey: renewed.accountKey }
    assert.equal(replacing(owner, owned, owned, same), undefined)
    assert.equal(replacing(member, owned, owned, { ...leafOf(owner), deviceKey: renewed.deviceKey }), undefined)
  })
})
