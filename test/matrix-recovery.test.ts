import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { freshDatabase, type TestDatabase } from '../src/store/testing.ts'
import { type GhostBridge, type GhostBridgeOptions, openGhostBridge } from './support/ghost-bridge.ts'
import { type MatrixClient, startMatrixClient } from './support/matrix-client.ts'
import { synapseMissing, type TestSynapse, testSynapse } from './support/synapse.ts'

const hasKeys = async (request: Request) => {
  if (!request.url.includes('/transactions/')) return false
  const body = (await request.json()) as Record<string, unknown[] | undefined>
  return (body['de.sorunome.msc2409.to_device']?.length ?? 0) > 0
}
const hasEncrypted = async (request: Request) => {
  if (!request.url.includes('/transactions/')) return false
  const { events } = (await request.json()) as { events: { type: string }[] }
  return events.some((event) => event.type === 'm.room.encrypted')
}
const failure = () => Response.json({ errcode: 'M_UNKNOWN' }, { status: 500 })

describe('what the homeserver could not deliver', { skip: await synapseMissing() }, () => {
  let synapse: TestSynapse
  let database: TestDatabase
  let bridge: GhostBridge
  let alice: MatrixClient
  let room: string
  let intercept: GhostBridgeOptions['intercept']
  let failStores = 0

  const open = () =>
    openGhostBridge({
      synapse,
      database,
      intercept: (request, pass) => (intercept ?? ((_, go) => go()))(request, pass),
      appserviceDatabase: {
        ...database,
        async transaction(work) {
          if (failStores > 0) {
            failStores--
            throw new Error('the disk is full')
          }
          return database.transaction(work)
        },
      },
    })
  const bodies = () => bridge.received.map((message) => message.content.body)

  before(async () => {
    ;[synapse, database] = await Promise.all([testSynapse(), freshDatabase('pglite')])
    bridge = await open()
    alice = await startMatrixClient({ synapse, name: 'alice' })
    const ghost = await bridge.newGhost()
    room = await alice.createRoom({ invite: [ghost] })
    await alice.untilJoined(room, ghost)
    await alice.send(room, 'hello')
    await bridge.untilReceived('hello')
  })
  after(async () => {
    await alice?.stop()
    await bridge?.close()
    await synapse?.stop()
  })

  it('a room key in a transaction that fails on the way is fetched when an event needs it', async () => {
    let failed = 0
    intercept = async (request, pass) => {
      if (failed > 0 || !(await hasKeys(request))) return pass()
      failed++
      return failure()
    }
    await alice.newRoomKey(room)
    await alice.send(room, 'its key went astray')
    await bridge.untilReceived('its key went astray')
    assert.equal(failed, 1)
  })

  it('a room key in a transaction that could not be stored is fetched as soon as one can be', async () => {
    intercept = undefined
    failStores = 1
    await alice.newRoomKey(room)
    await alice.send(room, 'the disk was full')
    await bridge.untilReceived('the disk was full')
    assert.equal(failStores, 0)
  })

  it('a transaction that was stored but answered with an error is handled once', async () => {
    let seen = 0
    intercept = async (request, pass) => {
      if (!(await hasEncrypted(request))) return pass()
      const answer = await pass()
      assert.equal(answer.status, 200)
      return seen++ === 0 ? failure() : answer
    }
    await alice.newRoomKey(room)
    await alice.send(room, 'once')
    await alice.send(room, 'after it')
    await bridge.untilReceived('after it')
    assert.equal(bodies().filter((body) => body === 'once').length, 1)
    assert.ok(seen >= 2)
    intercept = undefined
  })

  it('what was sent while the service was down arrives in order, new room keys included', async () => {
    await bridge.close()
    for (let index = 0; index < 6; index++) {
      if (index % 2 === 0) await alice.newRoomKey(room)
      await alice.send(room, `down ${index}`)
    }
    bridge = await open()
    await bridge.untilReceived('down 5')
    assert.deepEqual(bodies(), ['down 0', 'down 1', 'down 2', 'down 3', 'down 4', 'down 5'])
    await alice.send(room, 'and on')
    await bridge.untilReceived('and on')
  })
})
