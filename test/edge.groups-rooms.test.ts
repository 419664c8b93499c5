/** What is done to the Matrix room of a group by those who may, or what it was before, against a homeserver in memory. */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { textMessage } from '../src/content/index.ts'
import { putBackEdge } from '../src/edge/put-back.ts'
import type { RoomId } from '../src/identity/index.ts'
import { EntryKind } from '../src/protocol/index.ts'
import { type EdgeWorld, edgeWorld, person, type RunningEdge } from './support/edge-world.ts'
import { type StubHomeserver, type StubUser, stubHomeserver } from './support/stub/index.ts'
import { until } from './support/until.ts'

describe('the Matrix room of a group', () => {
  let stub: StubHomeserver
  let world: EdgeWorld
  let running: RunningEdge
  let alice: StubUser
  let bob: StubUser
  let people = 0
  /** When the bridge's devices last heard anything. */
  let heardAt = 0
  /** The next message of a group that does not come, or not as it was, to so many of the bridge's devices. */
  let spoiled: { room?: RoomId; seq?: bigint; left: number; how: 'drop' | 'garble' } = { left: 0, how: 'drop' }
  /** Receipts and typing that the homeserver was given. */
  const signals: string[] = []
  /** Waited for before the homeserver is asked for a room. */
  let beforeMaking: (() => Promise<void>) | undefined

  const start = async () => {
    running = await world.startEdge({
      async fetch(input, init) {
        if (String(input).includes('/createRoom')) await beforeMaking?.()
        if (/\/(receipt|typing)\//.test(String(input))) signals.push(String(input))
        return fetch(input, init)
      },
      tap: {
        down(frame) {
          heardAt = performance.now()
          if (frame.body.case !== 'deliver' || frame.body.value.room !== spoiled.room) return frame
          const { kind, seq, message, own } = frame.body.value
          if (kind !== EntryKind.MESSAGE || own) return frame
          spoiled.seq ??= seq
          if (seq !== spoiled.seq || spoiled.left <= 0) return frame
          spoiled.left--
          if (spoiled.how === 'drop') return undefined
          message[message.length - 1]! ^= 1
          return frame
        },
      },
    })
  }
  before(async () => {
    stub = await stubHomeserver()
    world = await edgeWorld(stub, { hub: { strangersPerHour: 100_000 } })
    await start()
    ;[alice, bob] = [await stub.user('alice'), await stub.user('bob')]
  })
  after(async () => {
    await world?.[Symbol.asyncDispose]()
    await stub?.[Symbol.asyncDispose]()
  })

  const bot = () => `@${stub.registration.botLocalpart}:${stub.domain}`
  const isGhost = (user: string) => user.startsWith(`@${stub.registration.userPrefix}`)
  const membersOf = (matrixRoom: string) => stub.rooms.roomOf(matrixRoom).members
  const joined = (matrixRoom: string) =>
    [...membersOf(matrixRoom)].flatMap(([user, membership]) => (membership === 'join' ? [user] : []))
  const roomOf = async (room: RoomId) => {
    const query = 'select matrix_room from portal where room = $1'
    const [row] = await world.database.query<{ matrix_room: string | null }>(query, [room])
    return row?.matrix_room ?? ''
  }
  /** The group's Matrix room, other than one that it had, with these in it. */
  const untilRoomWith = async (room: RoomId, users: readonly StubUser[], before = '') => {
    let matrixRoom = ''
    await until('the Matrix room', async () => {
      matrixRoom = await roomOf(room)
      if (matrixRoom === '' || matrixRoom === before) return false
      return users.every(({ user }) => joined(matrixRoom).includes(user))
    })
    return matrixRoom
  }
  const begin = async (name: string, ...users: StubUser[]) => {
    const owner = await person(world, `person ${++people}`)
    const members = []
    for (const { user } of users) members.push(await owner.device.lookUp({ network: 'matrix', value: user }))
    const room = await owner.device.createGroup({ name, members })
    const matrixRoom = await untilRoomWith(room, users)
    const ghost = () => [...membersOf(matrixRoom).keys()].find(isGhost)!
    await until('its member there', () => ghost() !== undefined)
    const say = async (plain: string) => (await owner.device.send(room, textMessage({ plain }))).accepted
    await say(`hello ${name}`)
    for (const user of users) await until('hello', () => said(user, matrixRoom).includes(`hello ${name}`))
    await running.edge.idle()
    return { owner, room, matrixRoom, say, ghost: ghost(), members }
  }
  const seen = ({ seen }: StubUser, room: string, msgtype: string) =>
    seen.flatMap((one) => (one.room === room && one.content.msgtype === msgtype ? [String(one.content.body)] : []))
  const said = (user: StubUser, room: string) => seen(user, room, 'm.text')
  const told = (user: StubUser, room: string, pattern: RegExp) =>
    seen(user, room, 'm.notice').some((text) => pattern.test(text))
  const encrypted = { type: 'm.room.encryption', state_key: '', content: { algorithm: 'm.megolm.v1.aes-sha2' } }

  it('may be replaced: the group goes on in the next one, and nothing that is written meanwhile is lost', async () => {
    const { owner, room, matrixRoom, say, ghost, members } = await begin('Upgraded', alice, bob)
    stub.rooms.putState(matrixRoom, alice.user, 'm.room.tombstone', 'of something else', {})
    await say('still there')
    await until('what is said', () => said(alice, matrixRoom).includes('still there'))
    assert.equal(await roomOf(room), matrixRoom)

    const [making, make] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    beforeMaking = () => {
      making.resolve()
      return make.promise
    }
    const tombstone = { body: 'replaced', replacement_room: '!next:stub.test' }
    stub.rooms.putState(matrixRoom, alice.user, 'm.room.tombstone', '', tombstone)
    // As clients do that follow: nobody leaves the group by it.
    stub.rooms.leave(matrixRoom, bob.user)
    await making.promise
    await say('meanwhile')
    beforeMaking = undefined
    make.resolve()
    const next = await untilRoomWith(room, [alice, bob], matrixRoom)
    for (const user of [alice, bob]) await until('what was said', () => said(user, next).includes('meanwhile'))
    await until('the reason', () => told(alice, matrixRoom, /was replaced/) && told(alice, next, /goes on here/))
    await alice.send(next, 'I have followed')
    await until('an answer', () => owner.heard.texts.includes('I have followed'))
    await until('nobody of ours in the old room', () => joined(matrixRoom).every((user) => user === alice.user))
    await running.edge.idle()
    const there = (await owner.device.group(room)).members.map(({ address }) => address)
    assert.deepEqual(there.sort(), [owner.device.address, ...members].sort())
    assert.deepEqual([said(alice, matrixRoom), said(alice, next)], [['hello Upgraded', 'still there'], ['meanwhile']])
    assert.deepEqual(await world.database.query('select 1 from portal_departure'), [])

    // Whoever replaced it invites all that were there.
    const replacement = stub.rooms.create(alice.user, {
      ...{ name: 'Upgraded', creation_content: { predecessor: { room_id: matrixRoom } }, initial_state: [encrypted] },
      power_level_content_override: { users: { [alice.user]: 100, [bot()]: 100 } },
      invite: [bot(), ghost],
    })
    await until('the ghost out of it', () => membersOf(replacement).get(ghost) === 'leave')
    await until('the reason', () => told(alice, replacement, /has a room of its own/))
    await running.edge.idle()
    const groups = await world.database.query("select 1 from portal where kind = 'group' and matrix_room = $1", [
      replacement,
    ])
    assert.deepEqual(groups, [])
    assert.equal(await roomOf(room), next)
  })

  it('lets all members write: a power that is asked for that is set back, which is said', async () => {
    const { matrixRoom, say } = await begin('Silenced', alice)
    const levels = () => stub.rooms.roomOf(matrixRoom).state.get('m.room.power_levels|')!.content
    const events = { ...(levels().events as object), 'm.room.encrypted': 50 }
    stub.rooms.putState(matrixRoom, alice.user, 'm.room.power_levels', '', { ...levels(), events })
    await until('it set back', () => (levels().events as Record<string, unknown>)['m.room.encrypted'] === 0)
    await until('a word of it', () => told(alice, matrixRoom, /powers in this room were set/))
    await say('not silenced')
    await until('what is said', () => said(alice, matrixRoom).includes('not silenced'))
  })

  it('is told who reads and types there also when whoever was told first of it is gone', async () => {
    const { owner, room, matrixRoom, members } = await begin('Signals', alice, bob)
    // Whose account comes first speaks for all of them.
    const [gone, left] = members[0]! < members[1]! ? [alice, bob] : [bob, alice]
    stub.rooms.leave(matrixRoom, gone.user)
    await until('one less', async () => (await owner.device.group(room)).members.length === 2)
    await running.edge.idle()
    signals.length = 0
    await left.send(matrixRoom, 'who reads this?')
    await until('the message', () => owner.heard.texts.includes('who reads this?'))
    const { messageId } = owner.heard.messages.at(-1)!
    await owner.device.markRead(room, messageId)
    await owner.device.typing(room)
    await until('the receipt', () => signals.some((url) => url.includes('/receipt/')))
    await until('who types', () => signals.some((url) => url.includes('/typing/')))
    assert.deepEqual(
      signals.filter((url) => !url.includes(encodeURIComponent(matrixRoom))),
      [],
    )
  })

  it('is told that messages may be missing after the database was put back, and not after a mere restart', async () => {
    const { matrixRoom, say } = await begin('Put back', alice, bob)
    const gaps = () => seen(alice, matrixRoom, 'm.notice').filter((text) => /may be missing/.test(text)).length
    await running.close()
    await say('while away')
    await start()
    await until('it', () => said(alice, matrixRoom).includes('while away'))
    await running.edge.idle()
    assert.equal(gaps(), 0)
    await running.close()
    await world.database.transaction(putBackEdge)
    await start()
    await until('the notice', () => gaps() > 0)
    await say('afterwards')
    await until('what is said', () => said(alice, matrixRoom).includes('afterwards'))
    assert.equal(gaps(), 1)
  })

  for (const invited of [['bot', 'ghost'], ['ghost']])
    it(`begins with what was written while nobody of ours was in it, with the ${invited.join(' and the ')} invited`, async () => {
      const { owner, ghost } = await begin(`Beside one begun by the ${invited}`, alice, bob)
      await owner.device.answerConsent(await owner.device.lookUp({ network: 'matrix', value: alice.user }), true)
      await running.close()
      const name = `Begun by the ${invited}`
      const matrixRoom = stub.rooms.create(alice.user, {
        ...{ name, initial_state: [encrypted], invite: [bob.user] },
        power_level_content_override: { users: { [alice.user]: 100, [bot()]: 100, [ghost]: 100 } },
      })
      await until('Bob', () => joined(matrixRoom).includes(bob.user))
      for (const who of invited) stub.rooms.invite(matrixRoom, alice.user, who === 'bot' ? bot() : ghost)
      const early = [`early from Alice: ${invited}`, `early from Bob: ${invited}`]
      await alice.send(matrixRoom, early[0]!)
      await bob.send(matrixRoom, early[1]!)
      await start()
      await until('the group', async () => (await owner.device.rooms()).some((one) => one.name === name && one.joined))
      await alice.send(matrixRoom, `later: ${invited}`)
      await until('what came later', () => owner.heard.texts.includes(`later: ${invited}`))
      await until('all of it', () => early.every((text) => owner.heard.texts.includes(text)))
      assert.equal(told(alice, matrixRoom, /not delivered|could not be read/), false)
    })

  for (const how of ['drop', 'garble'] as const)
    for (const left of [1, 2])
      it(`is told once of a message that ${left === 1 ? 'one of the two devices' : 'none'} there has (${how})`, async () => {
        const { room, matrixRoom, say } = await begin(`Spoiled ${how} ${left}`, alice, bob)
        // What devices report to each other is in the log as well.
        await until('silence', () => performance.now() - heardAt > 700)
        spoiled = { room, left, how }
        const [lost, next] = [`for ${left} in vain: ${how}`, `after that: ${how}`]
        await say(lost)
        await until('the devices that lack it', () => spoiled.left === 0)
        await say(next)
        for (const user of [alice, bob]) await until('what came next', () => said(user, matrixRoom).includes(next))
        await running.edge.idle()
        spoiled = { left: 0, how }
        await say('and on')
        await until('the last', () => said(alice, matrixRoom).includes('and on'))
        const notices = seen(alice, matrixRoom, 'm.notice').filter((text) =>
          /may be missing|could not be read/.test(text),
        )
        assert.equal(notices.length, left === 1 ? 0 : 1, `${notices}`)
        const between = left === 1 ? [lost] : []
        assert.deepEqual(said(alice, matrixRoom).slice(1), [...between, next, 'and on'])
        if (how === 'garble' || left === 1) return
        const order = alice.seen.filter((one) => one.room === matrixRoom).map(({ content }) => String(content.body))
        assert.ok(order.findIndex((text) => /may be missing/.test(text)) < order.indexOf(next))
      })

  for (const [name, fill] of [
    [
      'of too many',
      (matrixRoom: string) => {
        for (let n = 0; n < 260; n++) {
          stub.rooms.invite(matrixRoom, alice.user, `@crowd${n}:stub.test`)
          if (n % 2 === 0) stub.rooms.join(matrixRoom, `@crowd${n}:stub.test`)
        }
      },
    ],
    [
      'with more in it than can be read at once',
      (matrixRoom: string) => {
        const blob = 'x'.repeat(60_000)
        for (let n = 0; n < 150; n++) stub.rooms.putState(matrixRoom, alice.user, 'org.example.blob', `${n}`, { blob })
      },
    ],
  ] as const)
    it(`is not one ${name}: whoever invited somebody there is told so`, async () => {
      const { ghost } = await begin(`Beside one ${name}`, alice)
      const square = stub.rooms.create(alice.user, {
        ...{ name: 'Square', initial_state: [encrypted], invite: [bob.user] },
        power_level_content_override: { users: { [alice.user]: 100, [bot()]: 100 } },
      })
      fill(square)
      stub.rooms.invite(square, alice.user, bot())
      await until('the bot', () => membersOf(square).get(bot()) === 'join')
      stub.rooms.invite(square, alice.user, ghost)
      await until('the ghost out of it', () => membersOf(square).get(ghost) === 'leave')
      await alice.idle()
      const { content, sender } = alice.seen.findLast(({ room, type }) => room === square && type === 'm.room.member')!
      assert.equal(sender, ghost)
      assert.match(String(content.reason), /too many members/)
      assert.equal(told(alice, square, /too many/), false)
    })
})
