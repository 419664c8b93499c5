// What a homeserver forgets when it is killed: Synapse counts events as handed over before it has stored them, and hands
// over much later what it had stored and not sent.
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { textMessage } from '../src/content/index.ts'
import type { RoomId } from '../src/identity/index.ts'
import { type EdgeWorld, edgeWorld, person, type RunningEdge } from './support/edge-world.ts'
import { type StubHomeserver, type StubUser, stubHomeserver } from './support/stub/index.ts'
import { until } from './support/until.ts'

const patienceMs = 60_000

describe('an edge whose homeserver is killed', () => {
  let stub: StubHomeserver
  let world: EdgeWorld
  let running: RunningEdge
  let alice: StubUser

  const start = async () => {
    running = await world.startEdge({
      settings: {
        matrix: { watchRetryMs: 50, gapRoomMs: 0, missingKeySyncMs: 50 },
        portals: { missingKeyMs: 60_000, missingKeyRetryMs: 50 },
      },
    })
  }
  before(async () => {
    stub = await stubHomeserver()
    world = await edgeWorld(stub)
    await start()
    alice = await stub.user('alice')
  })
  after(async () => {
    await world?.[Symbol.asyncDispose]()
    await stub?.[Symbol.asyncDispose]()
  })

  const conversation = async (name: string) => {
    const other = await person(world, name)
    const room = await other.device.conversationWith({ network: 'matrix', value: alice.user })
    await other.device.send(room, textMessage({ plain: `hello from ${name}` }))
    let matrixRoom = ''
    await until(`the room with ${name}`, () => {
      matrixRoom = alice.seen.find(({ content }) => content.body === `hello from ${name}`)?.room ?? ''
      return matrixRoom !== ''
    })
    const said: string[] = []
    const says = async (...texts: string[]) => {
      for (const text of texts) {
        said.push(text)
        await alice.send(matrixRoom, text)
      }
    }
    const hasAll = async () => {
      await until(`all at ${name}`, () => other.heard.texts.length >= said.length, patienceMs)
      await running.edge.idle()
      assert.deepEqual(other.heard.texts, said)
    }
    await says(`hello ${name}`)
    await hasAll()
    return { ...other, room, matrixRoom, says, hasAll }
  }
  const kill = async () => {
    await stub.interrupt()
    stub.pusher.release()
    await stub.resume()
  }

  it('has what was forgotten, with its room key, though nobody says any more', async () => {
    const one = await conversation('carol')
    alice.newRoomKey(one.matrixRoom)
    stub.pusher.hold(false)
    await one.says('forgotten 1', 'forgotten 2', 'forgotten 3')
    await kill()
    await one.hasAll()
  })

  it('has it before what is said next, and what is handed over much too late only once', async () => {
    const one = await conversation('dora')
    stub.pusher.hold(false)
    await one.says('stored and not sent')
    stub.pusher.hold(true)
    await one.says('forgotten')
    await kill()
    await one.says('next')
    await one.hasAll()
    await stub.pusher.retryStored()
    await one.says('last')
    await one.hasAll()
  })

  it('has it also after it was down itself, behind all that the homeserver has kept', async () => {
    const one = await conversation('erin')
    await running.close()
    await one.says(...Array.from({ length: 30 }, (_, n) => `while away ${n}`))
    await kill()
    await one.says('afterwards')
    await start()
    await one.hasAll()
  })

  it('sees who has left', async () => {
    const other = await person(world, 'frida')
    const address = await other.device.lookUp({ network: 'matrix', value: alice.user })
    const room: RoomId = await other.device.createGroup({ name: 'Group', members: [address] })
    const members = async () => (await other.device.group(room)).members.length
    let matrixRoom = ''
    await until('the group', async () => {
      const query = 'select matrix_room from portal where room = $1'
      const [row] = await world.database.query<{ matrix_room: string | null }>(query, [room])
      matrixRoom = row?.matrix_room ?? ''
      return matrixRoom !== '' && alice.joined.includes(matrixRoom) && (await members()) === 2
    })
    await running.edge.idle()
    stub.pusher.hold(false)
    alice.leave(matrixRoom)
    await kill()
    await until('one less', async () => (await members()) === 1, patienceMs)
  })
})
