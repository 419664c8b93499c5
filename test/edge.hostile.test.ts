import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { textMessage } from '../src/content/index.ts'
import { conversation, type EdgeWorld, edgeWorld, person, type RunningEdge, textsSeen } from './support/edge-world.ts'
import { type MatrixClient, startMatrixClient } from './support/matrix-client.ts'
import { until } from './support/provider.ts'
import { synapseMissing, type TestSynapse, testSynapse } from './support/synapse.ts'

describe('an edge whose surroundings mean it no good', { skip: await synapseMissing() }, () => {
  let synapse: TestSynapse
  let world: EdgeWorld
  let running: RunningEdge
  let alice: MatrixClient
  /** How long the homeserver's answer to createRoom is on its way, ms. */
  let createRoomMs = 0

  before(async () => {
    synapse = await testSynapse()
    world = await edgeWorld(synapse)
    running = await world.startEdge({
      settings: { portals: { userLeaseMs: 600 } },
      async fetch(input, init) {
        const answer = await fetch(input, init)
        if (String(input).includes('/createRoom')) await pause(createRoomMs)
        return answer
      },
    })
    alice = await startMatrixClient({ synapse, name: 'alice' })
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
})
