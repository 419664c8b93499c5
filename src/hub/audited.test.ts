import assert from 'node:assert/strict'
import { test } from 'node:test'
import { nodeCrypto as crypto } from '../crypto/node.ts'
import { onBothDialects } from '../store/testing.ts'
import { refusal } from './testing/values.ts'
import { openWorld } from './testing/world.ts'

onBothDialects('what the hub takes down for the compliance log', (open) => {
  async function opened() {
    const database = await open()
    const world = openWorld(database)
    return {
      world,
      /** What was taken down since the last time. */
      since: () => world.audited.splice(0),
      async [Symbol.asyncDispose]() {
        await world[Symbol.asyncDispose]()
        await database.close()
      },
    }
  }

  test('accounts, manifests, devices that come and go, and renewed endorsements', async () => {
    await using it = await opened()
    const token = it.world.token()
    const { publicKey } = crypto.generateKeyPair()
    const { address } = await it.world.hub.createAccount(token, publicKey)
    await it.world.hub.createAccount(token, publicKey)
    assert.deepEqual(it.since(), [{ type: 'account.created', account: address, accountKind: 'person' }])
    it.world.clock.now += 60 * 24 * 3_600_000
    await it.world.hub.createAccount(token, publicKey)
    assert.deepEqual(it.since(), [{ type: 'account.endorsed', account: address }])

    const edge = await it.world.device('edge')
    const account = edge.account.address
    assert.deepEqual(it.since(), [
      { type: 'account.created', account, accountKind: 'edge', network: 'matrix' },
      { type: 'manifest.published', account, number: 1, devices: 1 },
      { type: 'device.linked', account, device: edge.deviceId, deviceKind: 'edge' },
    ])
    const alice = await it.world.device()
    it.since()
    const tablet = await alice.account.link()
    await it.world.hub.putManifest({ manifest: alice.account.manifest, certificates: [] })
    await alice.account.unlink(tablet)
    const person = alice.account.address
    assert.deepEqual(it.since(), [
      { type: 'manifest.published', account: person, number: 2, devices: 2 },
      { type: 'device.linked', account: person, device: tablet.deviceId, deviceKind: 'companion' },
      { type: 'manifest.published', account: person, number: 3, devices: 1 },
      { type: 'device.unlinked', account: person, device: tablet.deviceId },
    ])
  })

  test('opt-ins, opt-outs and who may write first, where they change', async () => {
    await using it = await opened()
    const alice = await it.world.device()
    const account = alice.account.address
    it.since()
    const put = (change: object) =>
      it.world.hub.putPreferences(alice.asker, { reachable: [], unreachable: [], ...change })
    await put({ reachable: ['matrix'], firstContact: 'consent' })
    await put({ reachable: ['matrix'], firstContact: 'consent', unreachable: ['other'] })
    await put({ unreachable: ['matrix'] })
    assert.deepEqual(it.since(), [
      { type: 'first-contact.changed', account, from: 'anyone', to: 'consent' },
      { type: 'network.opted-in', account, network: 'matrix' },
      { type: 'network.opted-out', account, network: 'matrix' },
    ])
    const bob = await it.world.device()
    await it.world.hub.putPreferences(bob.asker, { reachable: [], unreachable: [], handle: 'bob' })
    it.since()
    // What was refused has not happened.
    await assert.rejects(put({ handle: 'bob', reachable: ['matrix'], firstContact: 'nobody' }), refusal('handle-taken'))
    assert.deepEqual(it.since(), [])
  })

  test('that an edge comes into a conversation, and removals that the hub proposes', async () => {
    await using it = await opened()
    const [alice, edge] = [await it.world.device(), await it.world.device('edge')]
    await it.world.hub.putPreferences(alice.asker, { reachable: ['matrix'], unreachable: [] })
    it.since()
    const room = await alice.create('direct', edge.account)
    assert.deepEqual(it.since(), [{ type: 'room.posture-changed', room, from: 'native', to: 'edge' }])
    await alice.receive()
    const tablet = await alice.account.link()
    await tablet.join(room)
    await alice.receive()
    it.since()
    await alice.account.unlink(tablet)
    await assert.rejects(alice.send(room, 'hello'), refusal('pending-proposal'))
    const account = alice.account.address
    const proposed = { type: 'room.removal-proposed', room, account, device: tablet.deviceId, reason: 'unlinked' }
    assert.deepEqual(
      it.since().filter(({ type }) => type === 'room.removal-proposed'),
      [proposed],
    )
  })
})
