/**
 * Groups against a model: random changes on both sides, by whoever may make them there, against a homeserver in memory. The
 * model is the messenger's rule alone: what it says must be what both sides show once nothing is under way.
 */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { isDeepStrictEqual } from 'node:util'
import { type AccountAddress, type Role, type RoomId, rolesIn } from '../src/identity/index.ts'
import { type EdgeWorld, edgeWorld, person, type RunningEdge } from './support/edge-world.ts'
import fc from './support/fast-check.ts'
import { until } from './support/provider.ts'
import { type StubHomeserver, stubHomeserver } from './support/stub/index.ts'

/** More with `SILTA_RUNS`; in `npm test` as many as a minute has room for. */
const runs = Number(process.env.SILTA_RUNS ?? 3)

const persons = ['ana', 'ben', 'eve'] as const
const foreigners = ['alice', 'bob', 'carol'] as const
type Name = (typeof persons)[number] | (typeof foreigners)[number]
const everybody: readonly Name[] = [...persons, ...foreigners]
const isPerson = (name: Name): boolean => persons.some((one) => one === name)

/** What the messenger's rule makes of a group. Roles as stated; what they come to is `rolesIn`. */
interface Model {
  name: string
  members: Set<Name>
  stated: Map<Name, Exclude<Role, 'member'>>
}
const rank: Record<Role, number> = { member: 0, admin: 1, owner: 2 }
const rolesOf = ({ members, stated }: Model): Map<Name, Role> => {
  const roles = new Map([...stated].filter(([name]) => members.has(name)))
  return rolesIn({ roles: roles as never }, members as never) as unknown as Map<Name, Role>
}

type Change =
  | { what: 'add'; by: Name; whom: Name }
  | { what: 'remove'; by: Name; whom: Name }
  | { what: 'role'; by: Name; whom: Name; role: Role }
  | { what: 'rename'; by: Name; name: string }
  | { what: 'leave'; by: Name }

/** What a change comes to. A Matrix user who was sent away there is out in any case. */
function applyTo(model: Model, change: Change): Model {
  const { by } = change
  const roles = rolesOf(model)
  const own = rank[roles.get(by) ?? 'member']
  if (!model.members.has(by)) return model
  const without = (whom: Name): Model => ({
    ...model,
    members: new Set([...model.members].filter((one) => one !== whom)),
    stated: new Map([...model.stated].filter(([one]) => one !== whom)),
  })
  switch (change.what) {
    case 'add':
      return { ...model, members: new Set([...model.members, change.whom]) }
    case 'remove': {
      const target = roles.get(change.whom)
      if (target === undefined || change.whom === by) return model
      const may = own >= rank.admin && own > rank[target]
      return may ? without(change.whom) : model
    }
    case 'role': {
      const target = roles.get(change.whom)
      if (target === undefined) return model
      const may = change.whom === by ? rank[change.role] <= own : own === rank.owner && rank[target] < own
      if (!may) return model
      const stated = new Map(model.stated)
      if (change.role === 'member') stated.delete(change.whom)
      else stated.set(change.whom, change.role)
      return { ...model, stated }
    }
    case 'rename':
      return own >= rank.admin ? { ...model, name: change.name } : model
    case 'leave':
      return without(by)
  }
}

describe('a group under any sequence of changes', () => {
  let stub: StubHomeserver
  let world: EdgeWorld
  let running: RunningEdge
  const people = new Map<Name, Awaited<ReturnType<typeof person>>>()
  const accounts = new Map<Name, AccountAddress>()
  const mxids = new Map<Name, string>()

  before(async () => {
    stub = await stubHomeserver({ keep: false })
    world = await edgeWorld(stub, { hub: { strangersPerHour: 100_000 } })
    running = await world.startEdge()
    for (const name of persons) {
      const made = await person(world, name)
      people.set(name, made)
      accounts.set(name, made.device.address)
    }
    const ana = people.get('ana')!
    for (const name of foreigners) {
      const { user } = await stub.user(name)
      mxids.set(name, user)
      accounts.set(name, await ana.device.lookUp({ network: 'matrix', value: user }))
    }
    // Who may be added by whom is another matter: here everybody by everybody.
    for (const { device } of people.values())
      for (const account of accounts.values()) if (account !== device.address) await device.answerConsent(account, true)
  })
  after(async () => {
    await world?.[Symbol.asyncDispose]()
    await stub?.[Symbol.asyncDispose]()
  })

  const nameOfAccount = (account: AccountAddress) =>
    [...accounts].find(([, one]) => one === account)?.[0] ?? ('nobody' as Name)
  const matrixRoomOf = async (room: RoomId) => {
    const [row] = await world.database.query<{ matrix_room: string | null }>(
      "select matrix_room from portal where kind = 'group' and room = $1",
      [room],
    )
    return row?.matrix_room ?? undefined
  }
  const learnGhosts = async () => {
    const rows = await world.database.query<{ mxid: string; account: AccountAddress }>(
      'select mxid, account from ghost',
    )
    for (const { mxid, account } of rows) {
      const name = nameOfAccount(account)
      if (persons.some((one) => one === name)) mxids.set(name, mxid)
    }
  }

  /** The group as the messenger has it; undefined while its members do not agree among themselves. */
  const onMessenger = async (room: RoomId) => {
    const views = []
    for (const { device } of people.values()) {
      const info = await device.room(room)
      if (!info?.joined || info.standing === 'left') continue
      const { name, members } = await device.group(room)
      views.push({
        name,
        roles: Object.fromEntries(members.map(({ address, role }) => [nameOfAccount(address), role])),
      })
    }
    const [first] = views
    const there = people.size > 0 && first !== undefined
    const whole = there && views.every((view) => isDeepStrictEqual(view, first))
    const complete = whole && Object.keys(first.roles).filter((name) => isPerson(name as Name)).length === views.length
    return complete ? first : undefined
  }
  const levels = (matrixRoom: string) => {
    const content = (stub.rooms.roomOf(matrixRoom).state.get('m.room.power_levels|')?.content ?? {}) as {
      users?: Record<string, number>
      events?: Record<string, number>
    }
    return (mxid: string) => content.users?.[mxid] ?? 0
  }
  const toRole = (level: number): Role => (level >= 99 ? 'owner' : level >= 50 ? 'admin' : 'member')
  const toLevel: Record<Role, number> = { owner: 99, admin: 50, member: 0 }
  /** The group as the Matrix room shows it. */
  const onMatrix = async (room: RoomId) => {
    await learnGhosts()
    const matrixRoom = await matrixRoomOf(room)
    if (matrixRoom === undefined) return undefined
    const { members, state } = stub.rooms.roomOf(matrixRoom)
    const levelOf = levels(matrixRoom)
    const roles: Record<string, Role> = {}
    for (const name of everybody) {
      const mxid = mxids.get(name) ?? ''
      if (members.get(mxid) === 'join') roles[name] = toRole(levelOf(mxid))
      // On their way: nothing is settled yet.
      if (members.get(mxid) === 'invite') roles[`${name} is invited`] = 'member'
    }
    return { name: String(state.get('m.room.name|')?.content.name ?? ''), roles }
  }
  /** Both sides show the same, or nobody on Matrix is in it and no ghost in a room. */
  const agreed = async (room: RoomId) => {
    const messenger = await onMessenger(room)
    if (messenger === undefined) return undefined
    const matrix = await onMatrix(room)
    if (!foreigners.some((name) => name in messenger.roles)) return matrix === undefined ? messenger : undefined
    return isDeepStrictEqual(messenger, matrix) ? messenger : undefined
  }
  const settle = async (room: RoomId, said: string) => {
    let state: Awaited<ReturnType<typeof onMessenger>>
    await until('agreement', async () => {
      const first = await agreed(room)
      if (first === undefined) return false
      await running.edge.idle()
      state = await agreed(room)
      return isDeepStrictEqual(first, state)
    }).catch(async (error) => {
      const [messenger, matrix] = [await onMessenger(room), await onMatrix(room)]
      throw new Error(`${said}: ${JSON.stringify({ messenger, matrix })}`, { cause: error })
    })
    return state!
  }

  /** Does a change where its author is. False when that side itself forbids it, or it makes no sense there. */
  const perform = async (room: RoomId, change: Change, odd: number): Promise<boolean> => {
    const { by } = change
    if (isPerson(by)) {
      const { device } = people.get(by)!
      const info = await device.room(room)
      if (!info?.joined || info.standing !== 'accepted') return false
      const done =
        change.what === 'add'
          ? device.addMembers(room, [accounts.get(change.whom)!])
          : change.what === 'remove'
            ? device.removeMember(room, accounts.get(change.whom)!)
            : change.what === 'role'
              ? device.setRole(room, accounts.get(change.whom)!, change.role)
              : change.what === 'rename'
                ? device.rename(room, change.name)
                : device.leave(room)
      return done.then(
        () => true,
        (error: { name?: string }) => {
          if (error.name !== 'ClientError') throw error
          return false
        },
      )
    }
    const matrixRoom = await matrixRoomOf(room)
    if (matrixRoom === undefined) return false
    await learnGhosts()
    const { members, state } = stub.rooms.roomOf(matrixRoom)
    const levelOf = levels(matrixRoom)
    const self = mxids.get(by)!
    const own = levelOf(self)
    if (members.get(self) !== 'join') return false
    const whom = 'whom' in change ? mxids.get(change.whom) : undefined
    if (change.what === 'leave') {
      stub.rooms.leave(matrixRoom, self)
      return true
    }
    if (change.what === 'rename') {
      if (own < 50) return false
      stub.rooms.putState(matrixRoom, self, 'm.room.name', '', { name: change.name })
      return true
    }
    if (whom === undefined || (whom === self && change.what !== 'role')) return false
    if (change.what === 'add') {
      if (members.get(whom) === 'join' || members.get(whom) === 'ban') return false
      stub.rooms.invite(matrixRoom, self, whom)
      return true
    }
    if (members.get(whom) !== 'join') return false
    if (change.what === 'remove') {
      if (own < 50 || own <= levelOf(whom)) return false
      if (odd % 3 === 0) stub.rooms.ban(matrixRoom, whom, self)
      else stub.rooms.leave(matrixRoom, whom, self)
      return true
    }
    if (own < 99 || (levelOf(whom) >= own && whom !== self)) return false
    const content = state.get('m.room.power_levels|')!.content as { users: Record<string, number> }
    // Also values between, which have no counterpart.
    const level = Math.min(own, toLevel[change.role] + (change.role === 'admin' ? odd % 40 : 0))
    const users = { ...content.users, [whom]: level }
    stub.rooms.putState(matrixRoom, self, 'm.room.power_levels', '', { ...content, users })
    return true
  }

  const name = fc.constantFrom(...everybody)
  const change: fc.Arbitrary<Change> = fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record({ what: fc.constant('add' as const), by: name, whom: name }),
    },
    { weight: 3, arbitrary: fc.record({ what: fc.constant('remove' as const), by: name, whom: name }) },
    {
      weight: 4,
      arbitrary: fc.record({
        what: fc.constant('role' as const),
        by: name,
        whom: name,
        role: fc.constantFrom<Role>('owner', 'admin', 'member'),
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        what: fc.constant('rename' as const),
        by: name,
        name: fc.constantFrom('Band', 'Choir', 'Orchestra'),
      }),
    },
    { weight: 1, arbitrary: fc.record({ what: fc.constant('leave' as const), by: name }) },
  )
  const begin = async () => {
    const { device } = people.get('ana')!
    const members = (['ben', 'alice', 'bob'] as const).map((one) => accounts.get(one)!)
    const room = await device.createGroup({ name: 'Band', members })
    await settle(room, 'the beginning')
    const model: Model = {
      name: 'Band',
      members: new Set<Name>(['ana', 'ben', 'alice', 'bob']),
      stated: new Map([['ana', 'owner']]),
    }
    return { room, model }
  }
  /** Somebody of the messenger has to stay, to look. */
  const wouldEmpty = ({ members }: Model, change: Change) =>
    (change.what === 'leave' || change.what === 'remove') && [...members].filter(isPerson).length <= 1

  it('is on both sides what the rule makes of each change, one after another', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(change, fc.nat(99)), { minLength: 8, maxLength: 8 }), async (changes) => {
        let { room, model } = await begin()
        const said: string[] = []
        for (const [one, odd] of changes) {
          if (wouldEmpty(model, one) || !model.members.has(one.by)) continue
          if (!(await perform(room, one, odd))) continue
          said.push(JSON.stringify(one))
          model = applyTo(model, one)
          const state = await settle(room, said.join(' '))
          const expected = { name: model.name, roles: Object.fromEntries(rolesOf(model)) }
          const sorted = (roles: object) => Object.fromEntries(Object.entries(roles).sort())
          assert.deepEqual(
            { ...state, roles: sorted(state.roles) },
            { ...expected, roles: sorted(expected.roles) },
            said.join(' '),
          )
        }
      }),
      { numRuns: runs, endOnFailure: true },
    )
  })

  it('is the same on both sides after changes at the same time', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(change, fc.nat(99)), { minLength: 12, maxLength: 12 }), async (changes) => {
        const { room } = await begin()
        const said: string[] = []
        for (let i = 0; i < changes.length; i += 3) {
          const three = changes.slice(i, i + 3)
          said.push(JSON.stringify(three.map(([one]) => one)))
          // Who is alone to look stays.
          const some = three.filter(([one]) => one.what !== 'leave' || !isPerson(one.by) || one.by === 'eve')
          await Promise.all(some.map(([one, odd]) => perform(room, one, odd)))
          if (i % 6 === 0) await settle(room, said.join(' '))
        }
        await settle(room, said.join(' '))
      }),
      { numRuns: runs, endOnFailure: true },
    )
  })
})
