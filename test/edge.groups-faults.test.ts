/** Groups in which something goes wrong at an awkward moment, against a homeserver in memory. */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { textMessage } from '../src/content/index.ts'
import type { AccountAddress, RoomId } from '../src/identity/index.ts'
import type { ServerFrame } from '../src/protocol/index.ts'
import { type EdgeWorld, edgeWorld, person, type RunningEdge } from './support/edge-world.ts'
import { until } from './support/provider.ts'
import { type StubHomeserver, type StubUser, stubHomeserver } from './support/stub/index.ts'

describe('a group of the messenger and Matrix', () => {
  let stub: StubHomeserver
  let world: EdgeWorld
  let running: RunningEdge
  let alice: StubUser
  let bob: StubUser
  let carol: StubUser
  /** The bridge's ghosts get no room keys. */
  let losesKeys = false
  /** Devices that are welcomed into a group do not hear of it, nor of anything after it. */
  let holdsWelcomes = false
  const held: ServerFrame[] = []
  /** How often messages of a Matrix user were stored, in one transaction each time. */
  let stored = 0
  /** Waited for before a ghost leaves a room. */
  let beforeLeaving: (() => Promise<void>) | undefined
  let made = 0
  const accounts = new Map<StubUser, AccountAddress>()

  const start = async () => {
    running = await world.startEdge({
      settings: {
        matrix: { missingKeySyncMs: 50 },
        portals: { missingKeyMs: 100, missingKeyMostMs: 400, missingKeyRetryMs: 50 },
      },
      async fetch(input, init) {
        if (losesKeys && String(input).includes('/sync')) throw new Error('cut')
        if (String(input).includes('/leave')) await beforeLeaving?.()
        return fetch(input, init)
      },
      steps(step) {
        if (step === 'client.submission.stored') stored++
      },
      tap: {
        down(frame) {
          const isHeld = held.some(({ channel }) => channel === frame.channel && frame.id === 0n)
          if (!holdsWelcomes) return [...held.splice(0), frame]
          if (frame.body.case !== 'welcome' && !isHeld) return frame
          held.push(frame)
          return undefined
        },
      },
      pushed: (transaction) =>
        losesKeys ? { ...transaction, 'de.sorunome.msc2409.to_device': [], to_device: [] } : transaction,
    })
  }
  before(async () => {
    stub = await stubHomeserver()
    world = await edgeWorld(stub, { hub: { strangersPerHour: 100_000 } })
    await start()
    ;[alice, bob, carol] = [await stub.user('alice'), await stub.user('bob'), await stub.user('carol')]
  })
  after(async () => {
    await world?.[Symbol.asyncDispose]()
    await stub?.[Symbol.asyncDispose]()
  })

  type Person = Awaited<ReturnType<typeof person>>
  const somebody = async (): Promise<Person> => {
    const one = await person(world, `person ${++made}`)
    for (const user of [alice, bob, carol])
      accounts.set(user, await one.device.lookUp({ network: 'matrix', value: user.user }))
    return one
  }
  const account = (user: StubUser) => accounts.get(user)!
  /** A group of somebody of the messenger with Matrix users, once they are in its Matrix room. */
  const group = async (name: string, ...users: StubUser[]) => {
    const owner = await somebody()
    const room = await owner.device.createGroup({ name, members: users.map(account) })
    let matrixRoom = ''
    await until('the Matrix room', async () => {
      matrixRoom = (await matrixRoomOf(room)) ?? ''
      return matrixRoom !== '' && users.every((user) => membership(matrixRoom, user) === 'join')
    })
    await until('everybody has accepted', async () => {
      await running.edge.idle()
      return (await membersOf(owner, room)).length === users.length + 1
    })
    return { owner, room, matrixRoom }
  }
  const matrixRoomOf = async (room: RoomId) => {
    const [row] = await world.database.query<{ matrix_room: string | null }>(
      'select matrix_room from portal where room = $1',
      [room],
    )
    return row?.matrix_room ?? undefined
  }
  const membership = (room: string, { user }: StubUser) => stub.rooms.roomOf(room).members.get(user)
  const membersOf = async ({ device }: Person, room: RoomId) =>
    (await device.group(room)).members.map(({ address }) => address)
  const say = async ({ device }: Person, room: RoomId, plain: string) =>
    (await device.send(room, textMessage({ plain }))).accepted
  const texts = (user: StubUser, room: string) =>
    user.seen
      .filter((seen) => seen.room === room && seen.content.msgtype === 'm.text')
      .map(({ content }) => String(content.body))
  const notices = (user: StubUser, room: string) =>
    user.seen
      .filter((seen) => seen.room === room && seen.content.msgtype === 'm.notice')
      .map(({ content }) => String(content.body))

  it('takes nobody in whom somebody invited who is out of it, and says so', async () => {
    const { owner, room, matrixRoom } = await group('Invited', alice, bob)
    await running.close()
    stub.rooms.invite(matrixRoom, bob.user, carol.user)
    await until('Carol on Matrix', () => membership(matrixRoom, carol) === 'join')
    await owner.device.removeMember(room, account(bob))
    await start()
    await until('Bob is out', () => membership(matrixRoom, bob) === 'leave')
    await until('Carol is out', () => membership(matrixRoom, carol) === 'leave')
    await until('the reason', () =>
      notices(alice, matrixRoom).some((said) => /could not be added to the group/.test(said)),
    )
    assert.deepEqual((await membersOf(owner, room)).sort(), [owner.device.address, account(alice)].sort())
  })

  it('lets somebody in by the device of whoever invited them, also when both come at once', async () => {
    const { owner, room, matrixRoom } = await group('Chain', alice)
    const by: AccountAddress[] = []
    owner.device.on('group', (change) => {
      if (change.added.includes(account(carol))) by.push(change.by)
    })
    // Known there before the one who will invite her.
    stub.rooms.invite(matrixRoom, alice.user, carol.user)
    await until('Carol in the group', async () => (await membersOf(owner, room)).includes(account(carol)))
    stub.rooms.leave(matrixRoom, carol.user)
    await until('Carol out of it', async () => !(await membersOf(owner, room)).includes(account(carol)))
    await running.edge.idle()
    await running.close()
    stub.rooms.invite(matrixRoom, alice.user, bob.user)
    await until('Bob on Matrix', () => membership(matrixRoom, bob) === 'join')
    stub.rooms.invite(matrixRoom, bob.user, carol.user)
    await until('Carol on Matrix', () => membership(matrixRoom, carol) === 'join')
    await start()
    await until('both', async () => (await membersOf(owner, room)).length === 4)
    await until('their changes', () => by.length === 2)
    assert.deepEqual(by, [account(alice), account(bob)])
  })

  it('has all that was said while the bridge was away, in order, whoever of its devices comes first', async () => {
    const { owner, room, matrixRoom } = await group('Away', alice)
    await running.close()
    const said: string[] = []
    for (let n = 1; n <= 6; n++) {
      if (n === 4) await owner.device.addMembers(room, [account(bob)])
      said.push(`while away ${n}`)
      await say(owner, room, said.at(-1)!)
    }
    // Whoever comes last is opened last.
    await world.database.query('update matrix_user set created_at = -created_at')
    await start()
    await until('all', () => texts(alice, matrixRoom).length >= said.length)
    await running.edge.idle()
    assert.deepEqual(texts(alice, matrixRoom), said)
  })

  it('has what somebody writes between coming into the room and having entered the group', async () => {
    const owner = await somebody()
    const room = await owner.device.createGroup({ name: 'Early', members: [account(alice), account(bob)] })
    let matrixRoom = ''
    const said: string[] = []
    await until('the Matrix room', async () => {
      matrixRoom = (await matrixRoomOf(room)) ?? ''
      return matrixRoom !== '' && membership(matrixRoom, alice) === 'join' && membership(matrixRoom, bob) === 'join'
    })
    for (let n = 1; n <= 8; n++) {
      for (const user of [alice, bob]) {
        said.push(`early ${n} of ${user.user}`)
        await user.send(matrixRoom, said.at(-1)!)
      }
      // Whoever is in the midst of entering goes on with it later.
      if (n % 3 === 0) {
        await running.close()
        await start()
      }
    }
    // Placeholders for keys that are under way may stand between them.
    const early = () => owner.heard.texts.filter((text) => text.startsWith('early'))
    const refused = () =>
      [alice, bob].some((user) => notices(user, matrixRoom).some((text) => /not delivered/.test(text)))
    await until('all of it, or a refusal', () => refused() || early().length >= said.length)
    assert.deepEqual(early().sort(), said.sort())
  })

  it('waits for whoever was added and has still to enter it', async () => {
    const { owner, room, matrixRoom } = await group('Entering', alice)
    holdsWelcomes = true
    stub.rooms.invite(matrixRoom, alice.user, bob.user)
    await until('Bob in the group', async () => (await membersOf(owner, room)).includes(account(bob)))
    await until('what Bob does not hear', () => held.length > 0)
    await running.edge.idle()
    const refused = () => notices(bob, matrixRoom).some((text) => /not delivered/.test(text))
    const waits = () => world.database.query('select 1 from appservice_event where room = $1', [matrixRoom])
    await bob.send(matrixRoom, 'on the threshold')
    await until('it at the bridge', async () => refused() || (await waits()).length > 0)
    await running.edge.idle()
    holdsWelcomes = false
    // Whatever comes next for the bridge comes behind what was held.
    await say(owner, room, 'come in')
    await until('it, or a refusal', () => refused() || owner.heard.texts.includes('on the threshold'))
    assert.equal(refused(), false)
  })

  it('takes what one has written in a row in one transaction', async () => {
    const { owner, room, matrixRoom } = await group('Rows', alice, bob)
    await alice.send(matrixRoom, 'first of alice')
    await bob.send(matrixRoom, 'first of bob')
    await until('the first', () => owner.heard.texts.filter((text) => text.startsWith('first')).length === 2)
    await running.edge.idle()
    await running.close()
    const said: string[] = []
    for (const [user, name] of [
      [alice, 'alice'],
      [bob, 'bob'],
      [alice, 'alice'],
    ] as const)
      for (let n = 1; n <= 10; n++) {
        said.push(`${said.length + 1} of ${name}`)
        await user.send(matrixRoom, said.at(-1)!)
      }
    stored = 0
    await start()
    const heard = () => owner.heard.texts.filter((text) => said.includes(text))
    await until('all of it', () => heard().length >= said.length)
    await running.edge.idle()
    for (const [user, name] of [
      [alice, 'alice'],
      [bob, 'bob'],
    ] as const) {
      const of = (texts: readonly string[]) => texts.filter((text) => text.endsWith(name))
      const own = owner.heard.texts.filter((_, index) => owner.heard.messages[index]!.sender === account(user))
      assert.deepEqual(of(own), [`first of ${name}`, ...of(said)])
    }
    // The homeserver hands over the first by itself; and a device reports what it has come to.
    assert.ok(stored < said.length / 2, `${said.length} messages, ${stored} transactions`)
    assert.equal((await membersOf(owner, room)).length, 3)
  })

  it('puts each late message in its place by the device of whoever wrote it', async () => {
    const { owner, room, matrixRoom } = await group('Late', alice, bob)
    const heard = new Map<string, AccountAddress>()
    owner.device.on('message', ({ sender, content }) => {
      const text = JSON.stringify(content, (_, value) =>
        value instanceof Uint8Array ? new TextDecoder().decode(value) : value,
      )
      for (const each of ['late from Alice', 'late from Bob']) if (text.includes(each)) heard.set(each, sender)
    })
    losesKeys = true
    await alice.send(matrixRoom, 'late from Alice')
    await bob.send(matrixRoom, 'late from Bob')
    await until('placeholders', () => owner.heard.texts.filter((text) => /has not arrived/.test(text)).length === 2)
    losesKeys = false
    // Their keys are missing as well, so the bridge asks the homeserver for what it has missed, now and then.
    await until('both', async () => {
      await alice.send(matrixRoom, 'and on')
      await running.edge.idle()
      return heard.size === 2
    })
    await running.edge.idle()
    assert.deepEqual(Object.fromEntries(heard), { 'late from Alice': account(alice), 'late from Bob': account(bob) })
    assert.equal((await membersOf(owner, room)).length, 3)
  })

  it('has what comes while its room is being left in the room after that one', async () => {
    const { owner, room, matrixRoom } = await group('Again', alice)
    await say(owner, room, 'before')
    await until('before', () => texts(alice, matrixRoom).includes('before'))
    const leaving = Promise.withResolvers<void>()
    const added = Promise.withResolvers<void>()
    beforeLeaving = async () => {
      leaving.resolve()
      await added.promise
    }
    alice.leave(matrixRoom)
    await leaving.promise
    await owner.device.addMembers(room, [account(alice)])
    await say(owner, room, 'while it was left')
    await until('at the bridge', async () => {
      const [row] = await world.database.query<{ seq: number }>(
        `select (select count(*) from portal_outbox where kind = 'message') + (select count(*) from portal_ahead where kind = 'message') as seq`,
      )
      return (row?.seq ?? 0) > 0
    })
    beforeLeaving = undefined
    added.resolve()
    let next = ''
    await until('a new room', async () => {
      next = (await matrixRoomOf(room)) ?? ''
      return next !== '' && next !== matrixRoom && membership(next, alice) === 'join'
    })
    await until('what was said', () => texts(alice, next).includes('while it was left'))
    assert.deepEqual(texts(alice, matrixRoom), ['before'])
    assert.deepEqual(texts(alice, next), ['while it was left'])
  })

  it('finds the Matrix room whose making was not noticed, without a look at each room of the bot', async () => {
    await running.close()
    const asked: string[] = []
    let lost = false
    running = await world.startEdge({
      async fetch(input, init) {
        const url = new URL(String(input))
        const answer = await fetch(input, init)
        if (init?.method === 'POST' && url.pathname.endsWith('/createRoom') && !lost) {
          lost = true
          throw new Error('the answer is lost')
        }
        if (url.pathname.includes('/state/eu.silta.portal')) asked.push(url.pathname)
        return answer
      },
    })
    const rooms = stub.rooms.rooms.size
    const { owner, room } = await group('Lost', alice)
    assert.equal(lost, true)
    assert.equal(stub.rooms.rooms.size, rooms + 1)
    assert.ok(asked.length <= 2, `${asked.length} rooms were looked at`)
    assert.equal((await membersOf(owner, room)).length, 2)
  })
})
