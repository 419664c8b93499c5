// What somebody may ask for of whom nothing is known, and what they are told.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { toBase64Url } from '../crypto/index.ts'
import { nodeCrypto as crypto } from '../crypto/node.ts'
import { openWorld, type World } from '../hub/testing/world.ts'
import { inviteProofBytes } from '../protocol/index.ts'
import { freshDatabase } from '../store/testing.ts'
import { openNetworks } from './networks.ts'
import { openTestGateway, type TestClient } from './testing/client.ts'

const none = new Uint8Array()
const anId = () => toBase64Url(crypto.randomBytes(16))
let world: World
let close: () => Promise<void>
before(async () => {
  const database = await freshDatabase()
  world = openWorld(database)
  close = async () => {
    await world[Symbol.asyncDispose]()
    await database.close()
  }
})
after(() => close())

async function invited(change: { pin?: Uint8Array } = {}) {
  const host = await world.device()
  const invite = anId()
  const times = { expiresInMs: 0, idleMs: 0 }
  const put = { invite, pin: none, approval: true, singleUse: false, shown: none, replaces: '', ...times, ...change }
  await world.hub.putInvite(host.asker, put)
  return { host, invite }
}

const open = (invite: string) => ({ case: 'openInvite', value: { invite } }) as const
function enter(client: TestClient, invite: string, keys = crypto.generateKeyPair()) {
  const proof = crypto.sign(keys.privateKey, inviteProofBytes(client.hello.challenge, invite))
  return { case: 'enterInvite', value: { invite, accountKey: keys.publicKey, proof } } as const
}

describe('strangers', () => {
  test('share what they may ask for with their network, over all connections, also when it is refused', async () => {
    const { connect, gateway } = openTestGateway(world, { strangerRequestsPerMinute: 4, inviteAnswerMs: 0 })
    const [one, two, other] = await Promise.all([connect('here'), connect('here'), connect('elsewhere')])
    for (const client of [one, two]) {
      assert.equal(await client.refused(open(anId())), 'NOT_FOUND')
      assert.equal(await client.refused(enter(client, anId())), 'NOT_FOUND')
    }
    for (const client of [one, two, await connect('here')]) {
      assert.equal(await client.refused(open(anId())), 'RATE_LIMITED')
      assert.equal(await client.refused(enter(client, anId())), 'RATE_LIMITED')
      assert.equal(await client.refused({ case: 'createAccount', value: {} }), 'RATE_LIMITED')
      assert.equal(await client.refused({ case: 'openLink', value: {} }), 'RATE_LIMITED')
      assert.equal(await client.refused({ case: 'createGuestRoom', value: {} }), 'RATE_LIMITED')
    }
    assert.equal(await other.refused(open(anId())), 'NOT_FOUND')
    // Who has a device comes back from the same place at once.
    await one.authenticate(await world.device())
    gateway.drain()
  })

  test('put no manifests without being counted, but for that of a registration', async () => {
    const { connect, gateway, token } = openTestGateway(world, { strangerRequestsPerMinute: 3 })
    const device = await world.device()
    const { manifest } = device.account
    const put = { case: 'putManifest', value: { manifest } } as const
    const forged = { case: 'putManifest', value: { manifest: new Uint8Array(9) } } as const
    const client = await connect('here')
    const keys = crypto.generateKeyPair()
    const accessToken = token(world.token())
    const value = { accessToken, accountKey: keys.publicKey, proof: client.accountProof(keys.privateKey, accessToken) }
    await client.expect('account', { case: 'createAccount', value })
    for (let time = 0; time < 3; time++) assert.equal(await client.refused(forged), 'MALFORMED')
    assert.equal(await client.refused(forged), 'RATE_LIMITED')
    const other = await connect('here')
    assert.equal(await other.refused(put), 'RATE_LIMITED')
    // Whoever has a device renews its manifest from the same place.
    await other.authenticate(device)
    await other.expect('done', put)
    gateway.drain()
  })

  test('ask about one link so often and no more, whether there is one or not', async () => {
    const { connect, gateway } = openTestGateway(world, { inviteRequestsPerMinute: 2, inviteAnswerMs: 0 })
    const { invite } = await invited()
    for (const [each, said] of [
      [invite, 'inviteOptions'],
      [anId(), 'error'],
    ] as const) {
      for (let i = 0; i < 2; i++) assert.equal((await (await connect(`${i}`)).ask(open(each))).case, said)
      assert.equal(await (await connect('another')).refused(open(each)), 'RATE_LIMITED')
    }
    gateway.drain()
  })

  test('are told that there is no such link after one and the same time, whatever became of it', async () => {
    const { connect, gateway } = openTestGateway(world, { inviteAnswerMs: 300 })
    const client = await connect()
    const { host, invite: revoked } = await invited()
    await world.hub.revokeInvite(host.asker, revoked, false)
    for (const invite of [revoked, anId(), 'no link']) {
      for (const request of [open(invite), enter(client, invite)]) {
        // What was found out was known long before.
        const began = performance.now()
        assert.equal(await client.refused(request), 'NOT_FOUND')
        assert.ok(performance.now() - began >= 295)
      }
    }
    gateway.drain()
  })

  test('who wait to be let in are told of the answer, keep their connection, and are told once', async () => {
    // Long enough to ask in, also on a busy machine.
    const unauthenticatedMs = 4_000
    const { connect, gateway } = openTestGateway(world, { unauthenticatedMs, inviteAnswerMs: 0 })
    const { host, invite } = await invited()
    const client = await connect()
    const other = await connect()
    assert.equal((await client.expect('inviteEntry', enter(client, invite))).waiting, true)
    assert.equal((await other.expect('inviteEntry', enter(other, invite))).waiting, true)
    await new Promise((resolve) => setTimeout(resolve, 1.1 * unauthenticatedMs))
    const [first] = await world.hub.waitingGuests(host.asker)
    await world.hub.answerGuest(host.asker, { invite, account: first!.account, accept: true })
    assert.equal((await client.event('guestAnswered')).invite, invite)
    assert.deepEqual([other.closed, other.events.length], [undefined, 0])
    // Nobody waits on it any more, so it ends as one on which nobody has authenticated.
    await client.whenClosed()
    await world.hub.revokeInvite(host.asker, invite, false)
    await other.event('guestAnswered')
    gateway.drain()
  })
})

describe('the name of a network', () => {
  test('is that of all its addresses, says nothing of them, and changes', () => {
    const clock = { now: 0 }
    const networks = openNetworks({ crypto, clock: () => clock.now })
    const same = (one: string, other: string) => networks.nameOf(one) === networks.nameOf(other)
    assert.ok(same('192.0.2.1', '192.0.2.254'))
    assert.ok(same('192.0.2.1', '::ffff:192.0.2.9'))
    assert.ok(!same('192.0.2.1', '192.0.3.1'))
    assert.ok(same('2001:db8:1:2::1', '2001:db8:1:2:ffff::'))
    assert.ok(!same('2001:db8:1:2::1', '2001:db8:1:3::1'))
    const name = networks.nameOf('192.0.2.1')
    assert.match(name, /^[\w-]{16}$/)
    assert.notEqual(openNetworks({ crypto }).nameOf('192.0.2.1'), name)
    clock.now += 24 * 3_600_000
    assert.notEqual(networks.nameOf('192.0.2.1'), name)
  })
})
