import assert from 'node:assert/strict'
import { after, before, beforeEach, describe, it } from 'node:test'
import type { Device } from '../src/client/index.ts'
import { textMessage } from '../src/content/index.ts'
import type { RoomId } from '../src/identity/index.ts'
import { type EdgeWorld, edgeWorld, hex, person, type RunningEdge } from './support/edge-world.ts'
import { until } from './support/provider.ts'
import { type StubHomeserver, type StubUser, stubHomeserver } from './support/stub/index.ts'

describe('a conversation that one of the two does not want', () => {
  let stub: StubHomeserver
  let world: EdgeWorld
  let running: RunningEdge
  let ben: StubUser
  let bot: string
  let chat: string
  let people = 0
  /** Whether nothing that is encrypted gets into any room but the bot's. */
  let cut = false
  before(async () => {
    stub = await stubHomeserver()
    world = await edgeWorld(stub)
    running = await world.startEdge({
      async fetch(input, init) {
        if (cut && /\/send\/m\.room\.encrypted\/(?!.*said)/.test(String(input))) throw new Error('cut')
        return fetch(input, init)
      },
    })
    bot = `@${stub.registration.botLocalpart}:${stub.domain}`
  })
  beforeEach(async () => {
    ben = await stub.user(`ben${++people}`)
    chat = ben.createRoom([bot])
    await told(/What I understand/)
  })
  after(async () => {
    await world?.[Symbol.asyncDispose]()
    await stub?.[Symbol.asyncDispose]()
  })

  const bodies = (room: string) =>
    ben.seen.filter((one) => one.room === room).map(({ content }) => String(content.body))
  const told = (pattern: RegExp, room = chat, times = 1) =>
    until(`${pattern}`, () => bodies(room).filter((body) => pattern.test(body)).length >= times)
  const statuses = async () => {
    const before = bodies(chat).length
    await ben.send(chat, 'status')
    await until('the status', () => bodies(chat).length > before)
    return bodies(chat).at(-1)!
  }
  const textsSeen = () =>
    ben.seen.filter(({ content }) => content.msgtype === 'm.text').map(({ content }) => content.body)
  const somebody = async (name: string) => {
    const made = await person(world, `${name} ${people}`)
    await made.device.setHandle(`${name}${people}`)
    return { ...made, handle: `${name}${people}` }
  }
  const roomWith = async (other: Awaited<ReturnType<typeof somebody>>) => {
    await until('the request', async () => (await other.device.rooms()).some(({ kind }) => kind === 'direct'))
    return (await other.device.rooms()).find(({ kind }) => kind === 'direct')!.id
  }
  const newRoom = async (known: readonly string[]) => {
    await until('a new Matrix room', () => ben.joined.some((room) => !known.includes(room)))
    return ben.joined.find((room) => !known.includes(room))!
  }
  /** A conversation that both have accepted. */
  const open = async (name: string) => {
    const other = await somebody(name)
    const known = [...ben.joined]
    await ben.send(chat, `start ${other.handle}`)
    const room = await roomWith(other)
    const matrixRoom = await newRoom(known)
    await told(/can read this chat/, matrixRoom)
    await told(/Your request was sent/, matrixRoom)
    await other.device.accept(room)
    await say(other.device, room, `hello from ${name}`)
    await until('the hello', () => textsSeen().includes(`hello from ${name}`))
    return { ...other, room, matrixRoom }
  }
  const say = async (device: Device, room: RoomId, plain: string) => {
    const { accepted, messageId } = await device.send(room, textMessage({ plain }))
    return {
      messageId: hex(messageId),
      refused: await accepted.then(
        () => undefined,
        (e: { code: string }) => e.code,
      ),
    }
  }

  it('goes on where a block has ended: what comes then arrives, what came meanwhile has an outcome', async () => {
    const fay = await open('fay')
    await ben.send(chat, `block ${fay.handle}`)
    await told(/is blocked\. Nothing/)
    assert.match(await statuses(), /: blocked\./)
    assert.equal((await say(fay.device, fay.room, 'while blocked')).refused, 'blocked')
    // Nobody is asked, in any way, as long as the block stands.
    await ben.send(chat, `start ${fay.handle}`)
    await told(/You blocked/)

    const known = [fay.matrixRoom, ...ben.joined]
    await ben.send(chat, `unblock ${fay.handle}`)
    await told(/is not blocked any more. Your conversation goes on/)
    assert.doesNotMatch(await statuses(), /blocked/)
    const { refused, messageId } = await say(fay.device, fay.room, 'after it')
    assert.equal(refused, undefined)
    await until('what came after the block', () => textsSeen().includes('after it'))
    await until('its delivery', () => fay.heard.delivered.includes(messageId))
    const again = await newRoom(known)
    await ben.send(again, 'friends?')
    await until('the answer', () => fay.heard.texts.includes('friends?'))
    assert.ok(!textsSeen().includes('while blocked'))
  })

  it('tells of a message that a block has kept on its way', async () => {
    const gil = await open('gil')
    cut = true
    const late = await say(gil.device, gil.room, 'too late')
    assert.equal(late.refused, undefined)
    await until('it to wait', async () => (await world.database.query('select 1 from portal_outbox')).length > 0)
    await ben.send(chat, `block ${gil.handle}`)
    await told(/is blocked\. Nothing/)
    cut = false
    await running.edge.idle()
    await ben.send(chat, `unblock ${gil.handle}`)
    await until('the outcome', () => gil.heard.outcomes.length > 0)
    assert.deepEqual(gil.heard.outcomes, [{ outcome: 'rejected', code: 'blocked', messageId: late.messageId }])
    assert.ok(!textsSeen().includes('too late'))
  })

  it('tells of a message that was on its way when the Matrix user left', async () => {
    const ian = await open('ian')
    cut = true
    const late = await say(ian.device, ian.room, 'too late')
    assert.equal(late.refused, undefined)
    await until('it to wait', async () => (await world.database.query('select 1 from portal_outbox')).length > 0)
    ben.leave(ian.matrixRoom)
    await until('the outcome', () => ian.heard.outcomes.length > 0)
    await until('the end', async () => (await ian.device.room(ian.room))?.otherStanding === 'left')
    cut = false
    await running.edge.idle()
    assert.deepEqual(ian.heard.outcomes, [{ outcome: 'rejected', code: 'ended', messageId: late.messageId }])
    assert.ok(!textsSeen().includes('too late'))
  })

  it('is declined before anything was written: the invitation is taken back with the reason, and that is all', async () => {
    ben.joins = false
    const carl = await somebody('carl')
    await ben.send(chat, `start ${carl.handle}`)
    const room = await roomWith(carl)
    await until('the invitation', () => ben.invited.length > 0)
    const [matrixRoom = ''] = ben.invited
    await running.edge.idle()
    const { timeline, state } = stub.rooms.roomOf(matrixRoom)
    await carl.device.decline(room)
    await until('the invitation to go', () => ben.invited.length === 0)
    assert.deepEqual(state.get(`m.room.member|${ben.user}`)?.content, { membership: 'leave', reason: 'They declined.' })
    await running.edge.idle()
    // Nothing that a client could not read which has only been invited.
    assert.deepEqual(
      timeline.filter(({ type }) => type === 'm.room.encrypted'),
      [],
    )
  })

  it('tells once, in words, that a kind of event does not cross, and of each that it did not', async () => {
    const hal = await open('hal')
    for (const count of [1, 2]) await ben.sendEvent(hal.matrixRoom, 'org.example.strange', { count })
    const failed = () =>
      ben.seen.filter(
        ({ room, type, content }) =>
          room === hal.matrixRoom && type === 'com.beeper.message_send_status' && content.status === 'FAIL_PERMANENT',
      )
    await until('both to be told of', () => failed().length === 2)
    await told(/This kind of message does not cross yet/, hal.matrixRoom)
    await running.edge.idle()
    assert.equal(bodies(hal.matrixRoom).filter((body) => /does not cross yet/.test(body)).length, 1)
  })

  it('names the one who was asked for in nothing that the homeserver can read', async () => {
    const ida = await somebody('ida')
    await ben.send(chat, `start ${ida.handle}`)
    const room = await roomWith(ida)
    const matrixRoom = await newRoom([chat])
    await ida.device.accept(room)
    await told(/accepted/, matrixRoom)
    await ida.device.setReachable('matrix', false)
    await ben.send(matrixRoom, 'hello?')
    await told(/not reachable over Matrix any more/, matrixRoom)
    await running.edge.idle()
    assert.ok(
      bodies(matrixRoom).some((body) => body.includes(ida.handle)),
      'to read it is there',
    )
    const { timeline, state } = stub.rooms.roomOf(matrixRoom)
    const inClear = timeline.filter(({ type }) => type !== 'm.room.encrypted')
    assert.ok(inClear.some(({ content }) => content.status === 'FAIL_PERMANENT'))
    assert.equal(JSON.stringify([inClear, [...state.values()]]).includes(ida.handle), false)
  })

  it('tells whose message is too large with all its forms, and goes on', async () => {
    const ivo = await open('ivo')
    const formatted_body = '<b>somewords!</b> '.repeat(1300)
    const large = { format: 'org.matrix.custom.html', formatted_body }
    const sent = [
      ben.send(ivo.matrixRoom, 'before'),
      ben.send(ivo.matrixRoom, 'many words', large),
      ben.send(ivo.matrixRoom, 'after'),
    ]
    const [, eventId] = await Promise.all(sent)
    await told(/It is too long\. Send it in parts/, ivo.matrixRoom)
    await until('the others', () => ivo.heard.texts.includes('after'))
    assert.deepEqual(ivo.heard.texts.slice(-2), ['before', 'after'])
    const failed = ben.seen.filter(({ type, content }) => {
      return type === 'com.beeper.message_send_status' && content.status === 'FAIL_PERMANENT'
    })
    assert.deepEqual(
      failed.map(({ content }) => (content['m.relates_to'] as { event_id?: string }).event_id),
      [eventId],
    )
  })

  it('is not asked for again once it was declined, and begins when the other one accepts after all', async () => {
    const dan = await somebody('dan')
    await ben.send(chat, `start ${dan.handle}`)
    const room = await roomWith(dan)
    const matrixRoom = await newRoom([chat])
    await ben.send(matrixRoom, 'hello?')
    await until('the message', () => dan.heard.texts.includes('hello?'))
    await dan.device.decline(room)
    await told(/declined\. Nothing you write here reaches them/, matrixRoom)
    await running.edge.idle()
    const rooms = stub.rooms.rooms.size
    await ben.send(chat, `start ${dan.handle}`)
    await told(/has declined, and is not asked again/)
    await running.edge.idle()
    assert.equal(stub.rooms.rooms.size, rooms)
    assert.match(await statuses(), /no conversations/)

    const known = [...ben.joined, matrixRoom]
    await dan.device.accept(room)
    assert.equal((await say(dan.device, room, 'well, after all')).refused, undefined)
    await until('it', () => textsSeen().includes('well, after all'))
    const again = await newRoom(known)
    await ben.send(again, 'good!')
    await until('the answer', () => dan.heard.texts.includes('good!'))
  })
})
