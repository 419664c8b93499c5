import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { freshDatabase, type TestDatabase } from '../src/store/testing.ts'
import { type GhostBridge, openGhostBridge } from './support/ghost-bridge.ts'
import { type MatrixClient, startMatrixClient } from './support/matrix-client.ts'
import { startNio } from './support/nio.ts'
import { synapseMissing, type TestSynapse, testSynapse } from './support/synapse.ts'

/**
 * Synapse on PostgreSQL answers most of the claims that come at once for one device with nothing. The one here is on
 * SQLite, so this does it in its place; and the first claim for each user comes back empty too, as when another client
 * claims at the same moment.
 */
function likePostgres(): typeof fetch {
  const asked = new Set<string>()
  const underWay = new Set<string>()
  return async (input, init) => {
    if (!String(input).includes('/keys/claim')) return fetch(input, init)
    const users = Object.keys(JSON.parse(String(init?.body)).one_time_keys)
    const empty = users.some((user) => underWay.has(user) || !asked.has(user))
    for (const user of users) asked.add(user)
    if (empty) return Response.json({ one_time_keys: {}, failures: {} })
    for (const user of users) underWay.add(user)
    try {
      return await fetch(input, init)
    } finally {
      for (const user of users) underWay.delete(user)
    }
  }
}

describe('ghosts on a real Synapse', { skip: await synapseMissing() }, () => {
  let synapse: TestSynapse
  let database: TestDatabase
  let bridge: GhostBridge
  let alice: MatrixClient

  before(async () => {
    ;[synapse, database] = await Promise.all([testSynapse(), freshDatabase('pglite')])
    bridge = await openGhostBridge({ synapse, database, fetch: likePostgres() })
    alice = await startMatrixClient({ synapse, name: 'alice' })
  })
  after(async () => {
    await alice?.stop()
    await bridge?.close()
    await synapse?.stop()
  })

  it('is seen as a user whose only device is signed by its owner', async () => {
    const ghost = await bridge.newGhost()
    const room = await alice.createRoom({ invite: [ghost] })
    await alice.untilJoined(room, ghost)
    const trust = await alice.trust(ghost, await bridge.ghosts.deviceOf(ghost))
    assert.deepEqual(trust, { signedByOwner: true, userVerified: false, identityChanged: false })
  })

  it('exchanges messages with a client that trusts cross-signed devices only, without any warning', async () => {
    const ghost = await bridge.newGhost()
    await alice.isolate(true)
    const room = await alice.createRoom({ invite: [ghost] })
    await alice.untilJoined(room, ghost)
    await alice.send(room, 'to the ghost')
    const there = await bridge.untilReceived('to the ghost')
    assert.equal(there.sender, alice.user)
    assert.equal(there.senderDevice, alice.device)
    assert.deepEqual(there.shield, { color: 'none' })
    await bridge.say(ghost, room, 'to the client', [alice.user, ghost])
    const here = await alice.untilReceived('to the client', { room })
    assert.deepEqual(here.shield, { colour: 'NONE', reason: null })
    assert.equal(here.encrypted, true)
    await alice.isolate(false)
  })

  it('is read by matrix-nio and reads it', async () => {
    const ghost = await bridge.newGhost()
    await using nio = await startNio({ synapse, name: 'nora' })
    const room = await nio.createRoom([ghost])
    await nio.untilJoined(room, ghost)
    await nio.send(room, 'from nio')
    await bridge.untilReceived('from nio')
    await bridge.say(ghost, room, 'to nio', [nio.user, ghost])
    await nio.untilReceived('to nio')
    assert.ok((await nio.messages(room)).every((message) => message.decrypted))
  })

  for (const [name, start] of [
    ['matrix-js-sdk', () => startMatrixClient({ synapse, name: 'carol' })],
    ['matrix-nio, which has no fallback key', () => startNio({ synapse, name: 'nils' })],
  ] as const)
    it(`starts twenty conversations at the same moment, all readable by ${name}`, async () => {
      await using client = await start()
      const ghosts = await Promise.all(Array.from({ length: 20 }, () => bridge.newGhost()))
      const encryption = { type: 'm.room.encryption', state_key: '', content: { algorithm: 'm.megolm.v1.aes-sha2' } }
      const options = { preset: 'private_chat', invite: [client.user], initial_state: [encryption] }
      const rooms = await Promise.all(ghosts.map((user) => bridge.homeserver.createRoom({ user }, options)))
      await Promise.all(rooms.map((room, index) => client.untilJoined(room, ghosts[index]!, 60_000)))
      await Promise.all(
        ghosts.map((ghost, index) => bridge.say(ghost, rooms[index]!, `cold ${index} ${name}`, [client.user, ghost])),
      )
      for (const index of rooms.keys()) await client.untilReceived(`cold ${index} ${name}`)
    })

  it('refuses to send what nobody could read, and says that it may work later', async () => {
    const ghost = await bridge.newGhost()
    await synapse.registerUser('dora', 'no device yet')
    const room = await bridge.homeserver.createRoom({ user: ghost }, { preset: 'private_chat' })
    const dora = `@dora:${synapse.domain}`
    await assert.rejects(bridge.say(ghost, room, 'into the void', [dora, ghost]), { code: 'unreadable', retry: true })
    await using client = await startMatrixClient({ synapse, name: 'dora', password: 'no device yet' })
    await bridge.homeserver.putState({ user: ghost }, room, 'm.room.encryption', '', {
      algorithm: 'm.megolm.v1.aes-sha2',
    })
    await bridge.homeserver.invite({ user: ghost }, room, dora)
    await client.untilJoined(room, dora)
    await bridge.say(ghost, room, 'now there is a device', [dora, ghost])
    await client.untilReceived('now there is a device')
  })
})
