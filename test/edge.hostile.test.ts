import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { textMessage } from '../src/content/index.ts'
import {
  conversation,
  type EdgeWorld,
  edgeWorld,
  person,
  type RunningEdge,
  textsSeen,
  untilRoom,
  untilSeen,
} from './support/edge-world.ts'
import { type MatrixClient, startMatrixClient } from './support/matrix-client.ts'
import { startNio } from './support/nio.ts'
import { until } from './support/provider.ts'
import { synapseMissing, type TestSynapse, testSynapse } from './support/synapse.ts'

describe('an edge whose surroundings mean it no good', { skip: await synapseMissing() }, () => {
  let synapse: TestSynapse
  let world: EdgeWorld
  let running: RunningEdge
  let alice: MatrixClient
  /** Whether messages do not reach the homeserver; what is said by the way does. */
  let cut = false
  /** How long the homeserver's answer to createRoom is on its way, ms. */
  let createRoomMs = 0
  /** Whether the homeserver only begins to make rooms when we have long given up waiting for its answer. */
  let slow = false
  /** Whether no ghost gets out of its room. */
  let locked = false

  before(async () => {
    synapse = await testSynapse()
    world = await edgeWorld(synapse)
    running = await startEdge()
    alice = await startMatrixClient({ synapse, name: 'alice' })
  })
  const startEdge = () =>
    world.startEdge({
      settings: { portals: { userLeaseMs: 600 } },
      async fetch(input, init) {
        if (cut && /\/send\/m\.room\.encrypted\/(?!.*said)/.test(String(input))) throw new Error('cut')
        if (locked && /\/leave\b/.test(String(input))) throw new Error('cut')
        if (slow && String(input).includes('/createRoom')) {
          void pause(1_500).then(() => fetch(input, { ...init, signal: null }))
          throw new Error('no answer')
        }
        const answer = await fetch(input, init)
        if (String(input).includes('/createRoom')) await pause(createRoomMs)
        return answer
      },
    })
  after(async () => {
    await alice?.stop()
    await world?.[Symbol.asyncDispose]()
    await synapse?.stop()
  })

  it('keeps what was done in a room whose making it has not noticed yet', async () => {
    const other = await person(world, 'early')
    const before = await alice.joined()
    createRoomMs = 3_000
    const room = await other.device.conversationWith({ network: 'matrix', value: alice.user })
    let made: string | undefined
    await until('the Matrix room', async () => {
      made = (await alice.joined()).find((one) => !before.includes(one))
      return made !== undefined
    })
    createRoomMs = 0
    await alice.send(made!, 'already here')
    await until('acceptance', async () => (await other.device.room(room))?.otherStanding === 'accepted')
    await until('the message', () => other.heard.texts.includes('already here'))
  })

  it('makes one room, also where the homeserver makes it after we have stopped waiting', async () => {
    const other = await person(world, 'slow')
    const before = await alice.joined()
    slow = true
    const room = await other.device.conversationWith({ network: 'matrix', value: alice.user })
    await other.device.send(room, textMessage({ plain: 'in one room' }))
    const matrixRoom = await untilRoom(alice, before)
    slow = false
    await until('the message', async () => (await textsSeen(alice, matrixRoom)).includes('in one room'))
    // Longer than what is still on its way.
    await pause(2_500)
    assert.deepEqual(
      (await alice.joined()).filter((one) => !before.includes(one)),
      [matrixRoom],
    )
  })

  it('leaves the last room of a conversation that is begun anew, also when it could not at first', async () => {
    const { device, room, matrixRoom } = await conversation(world, 'anew', alice)
    const ghost = (await alice.members(matrixRoom)).find(({ user }) => user !== alice.user)!.user
    const ghostsRooms = async (): Promise<string[]> => {
      const headers = { authorization: `Bearer ${synapse.registration.asToken}` }
      const path = `/_matrix/client/v3/joined_rooms?user_id=${encodeURIComponent(ghost)}`
      return ((await (await fetch(synapse.url + path, { headers })).json()) as { joined_rooms: string[] }).joined_rooms
    }
    locked = true
    await alice.leave(matrixRoom)
    await until('the end', async () => (await device.room(room))?.otherStanding === 'left')
    const before = await alice.joined()
    await device.conversationWith({ network: 'matrix', value: alice.user })
    await until('what is to be left', async () => {
      const rows = await world.database.query('select matrix_room from portal_departure')
      return rows.length > 0
    })
    await running.close()
    assert.ok((await ghostsRooms()).includes(matrixRoom))
    locked = false
    running = await startEdge()
    await untilRoom(alice, before)
    await until('the ghost to go', async () => !(await ghostsRooms()).includes(matrixRoom))
  })

  it('tells of a device that its owner has not verified, once', async () => {
    await using nora = await startNio({ synapse, name: 'nora' })
    const other = await person(world, 'unsigned')
    const room = await other.device.conversationWith({ network: 'matrix', value: nora.user })
    await other.device.send(room, textMessage({ plain: 'hello' }))
    const { room: matrixRoom } = await nora.untilReceived('hello')
    for (const text of ['one', 'two']) await nora.send(matrixRoom, text)
    await until('the messages', () => other.heard.texts.length === 2)
    const told = async () => (await nora.messages(matrixRoom)).filter(({ body }) => /not verified/.test(body)).length
    await until('the notice', async () => (await told()) > 0)
    await other.device.send(room, textMessage({ plain: 'understood' }))
    await nora.untilReceived('understood')
    assert.equal(await told(), 1)
  })

  it('takes up a device again whose lease another process had and let run out', async () => {
    const { device, room, matrixRoom } = await conversation(world, 'lease', alice)
    await running.edge.idle()
    await world.database.query(
      `update lease set owner = 'another', fence = fence + 1, held_until = now_ms() + 1000 where name like 'matrix user %'`,
    )
    await pause(500)
    await device.send(room, textMessage({ plain: 'is anybody there' }))
    await until('the message', async () => (await textsSeen(alice, matrixRoom)).includes('is anybody there'))
    assert.deepEqual(await textsSeen(alice, matrixRoom), ['is anybody there'])
  })
  it('goes on in a room of its own when the room is replaced, with what was encrypted for the old one', async () => {
    const other = await person(world, 'replaced')
    await other.device.setHandle('replaced')
    const ghost = await ghostOf('replaced')
    const before = await alice.joined()
    const own = await alice.createRoom({ invite: [ghost], trusted: true })
    await alice.untilJoined(own, ghost)
    await alice.send(own, 'hello')
    await until('the message', () => other.heard.texts.includes('hello'))
    const [{ id: room } = assert.fail()] = await other.device.rooms().then((rooms) => rooms.filter((one) => one.other))
    await other.device.accept(room)
    await running.edge.idle()
    cut = true
    await other.device.send(room, textMessage({ plain: 'kept' }))
    await until('its encryption', async () => {
      const [row] = await world.database.query<{ count: number }>(
        'select count(*) as count from portal_outbox where sealed_event is not null',
      )
      return (row?.count ?? 0) > 0
    })
    await asAlice('POST', `rooms/${encodeURIComponent(own)}/upgrade`, { new_version: '11' })
    let next: string | undefined
    await until('another room', async () => {
      for (const one of await alice.joined())
        if (one !== own && !before.includes(one) && (await alice.state(one, 'eu.silta.portal', ''))) next = one
      return next !== undefined
    })
    cut = false
    await until('the message', async () => (await textsSeen(alice, next!)).includes('kept'))
    assert.equal((await alice.untilReceived('kept')).failure, undefined)
  })

  it('passes on a message once, however often the homeserver hands it over', async () => {
    const { heard, matrixRoom } = await conversation(world, 'replay', alice)
    const eventId = await alice.send(matrixRoom, 'once')
    await until('the message', () => heard.texts.includes('once'))
    const original = await asAlice(
      'GET',
      `rooms/${encodeURIComponent(matrixRoom)}/event/${encodeURIComponent(eventId)}`,
    )
    await alice.sendRaw(matrixRoom, 'm.room.encrypted', original.content as object)
    await alice.send(matrixRoom, 'after')
    await until('what came after', () => heard.texts.includes('after'))
    assert.deepEqual(heard.texts, ['once', 'after'])
  })

  it('enters no room that is for everybody, and opens one of its own', async () => {
    const other = await person(world, 'crowd')
    await other.device.setHandle('crowd')
    const ghost = await ghostOf('crowd')
    const bot = `@${synapse.registration.botLocalpart}:${synapse.registration.domain}`
    const before = await alice.joined()
    const { room_id: square } = await asAlice('POST', 'createRoom', { preset: 'public_chat', invite: [ghost, bot] })
    const found = await untilRoom(alice, [...before, String(square)])
    await alice.untilJoined(found, ghost)
    const membership = async (user: string) =>
      (await alice.members(String(square))).find((member) => member.user === user)?.membership
    await until(
      'both to decline',
      async () => (await membership(ghost)) === 'leave' && (await membership(bot)) === 'leave',
    )
    const path = `rooms/${encodeURIComponent(String(square))}/messages?dir=b&limit=50`
    const { chunk } = (await asAlice('GET', path)) as { chunk: { sender: string; content: { membership?: string } }[] }
    assert.deepEqual(
      chunk.filter(({ sender, content }) => [ghost, bot].includes(sender) && content.membership === 'join'),
      [],
    )
  })

  it('answers the bot chat again after a command that nothing could be made of', async () => {
    const bot = `@${synapse.registration.botLocalpart}:${synapse.registration.domain}`
    const chat = await alice.createRoom({ invite: [bot], direct: true })
    await alice.untilJoined(chat, bot)
    await untilSeen(alice, chat, /What I understand/)
    await alice.send(chat, `start ${'x'.repeat(40_000)}`)
    await alice.send(chat, 'status')
    await untilSeen(alice, chat, /cannot be reached, or does not wish to be/)
    await untilSeen(alice, chat, /Your conversations/)
  })

  const ghostOf = async (handle: string): Promise<string> => {
    const response = await fetch(`${synapse.url}/_matrix/client/v3/thirdparty/user/silta?handle=${handle}`, {
      headers: { authorization: `Bearer ${synapse.registration.asToken}` },
    })
    const [{ userid }] = (await response.json()) as [{ userid: string }]
    return userid
  }

  /** A call that no client library makes easily. */
  const asAlice = async (method: string, path: string, body?: object): Promise<Record<string, unknown>> => {
    const base = `${synapse.url}/_matrix/client/v3/`
    const identifier = { type: 'm.id.user', user: 'alice' }
    const login = await fetch(`${base}login`, {
      method: 'POST',
      body: JSON.stringify({ type: 'm.login.password', identifier, password: 'a password' }),
    })
    const { access_token: token } = (await login.json()) as { access_token: string }
    const answer = await fetch(base + path, {
      method,
      headers: { authorization: `Bearer ${token}` },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    const text = await answer.text()
    assert.equal(answer.status, 200, text)
    return JSON.parse(text)
  }
})
