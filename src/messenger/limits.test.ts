// What one side may ask for, however many connections and channels it asks on.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { nodeCrypto as crypto } from '../crypto/node.ts'
import { openWorld, type World } from '../hub/testing/world.ts'
import { ErrorCode } from '../protocol/index.ts'
import { freshDatabase } from '../store/testing.ts'
import type { GatewaySettings } from './index.ts'
import { openRates } from './rate.ts'
import { openTestGateway } from './testing/client.ts'

async function open(settings: Partial<GatewaySettings> = {}, change: (world: World) => World = (world) => world) {
  const database = await freshDatabase()
  const world = openWorld(database)
  const { gateway, ...rest } = openTestGateway(change(world), settings)
  return {
    world,
    gateway,
    ...rest,
    async [Symbol.asyncDispose]() {
      gateway.drain()
      await world[Symbol.asyncDispose]()
      await database.close()
    },
  }
}

describe('limits', () => {
  test('are those of a device and an account, and not made new by authenticating again', async () => {
    await using service = await open({ lookUpsPerMinute: 3, requestBurst: 5, requestsPerSecond: 0.001 })
    const device = await service.world.device()
    const lookUp = { case: 'lookUp', value: { kind: 1, value: 'somebody' } } as const
    const client = await service.connect()
    let channel = await client.authenticate(device)
    for (let i = 0; i < 3; i++) assert.equal(await client.refused(lookUp, channel), 'NOT_REACHABLE')
    assert.equal(await client.refused(lookUp, channel), 'RATE_LIMITED')
    channel = await client.authenticate(device)
    assert.equal(await client.refused(lookUp, channel), 'RATE_LIMITED')
    const other = await service.connect()
    channel = await other.authenticate(device)
    await assert.rejects(other.expect('pong', { case: 'ping', value: {} }, channel), /RATE_LIMITED/)
  })

  test('of look-ups hold for trying which handles are taken too', async () => {
    await using service = await open({ lookUpsPerMinute: 2 })
    const device = await service.world.device()
    const client = await service.connect()
    const channel = await client.authenticate(device)
    const take = (handle: string) => ({ case: 'putSettings', value: { handle } }) as const
    await client.expect('settings', take('one.name'), channel)
    await client.expect('settings', take('another'), channel)
    assert.equal(await client.refused(take('third'), channel), 'RATE_LIMITED')
    await client.expect('settings', { case: 'putSettings', value: { reachable: ['matrix'] } }, channel)
  })

  test('of changes that the compliance log keeps for good, on all channels of an account and on none', async () => {
    await using service = await open({ changeBurst: 4, changesPerHour: 1 })
    const { world } = service
    const device = await world.device()
    const { account } = device
    const client = await service.connect()
    const channel = await client.authenticate(device)
    const next = () => {
      const manifest = account.sign(account.devices)
      const taken = () => Object.assign(account, { manifest, number: account.number + 1 })
      return { request: { case: 'putManifest', value: { manifest } } as const, taken }
    }
    for (const on of [0, channel]) {
      const { request, taken } = next()
      await client.expect('done', request, on)
      taken()
      // The same again is nothing new.
      await client.expect('done', request, on)
    }
    // What others sign in its name is not its own.
    const stranger = await world.account()
    const forged = stranger.sign(account.devices, { account: account.address, number: 9 })
    const forgery = { case: 'putManifest', value: { manifest: forged } } as const
    for (let time = 0; time < 6; time++) assert.equal(await client.refused(forgery), 'BAD_CERTIFICATE')
    const reachable = ['matrix']
    const change = { case: 'putSettings', value: { firstContact: 2, reachable } } as const
    await client.expect('settings', change, channel)
    const entries = world.audited.length
    assert.equal(await client.refused(change, channel), 'RATE_LIMITED')
    for (const on of [0, channel]) assert.equal(await client.refused(next().request, on), 'RATE_LIMITED')
    assert.equal(world.audited.length, entries)
    await client.expect('settings', { case: 'putSettings', value: {} }, channel)
    await client.expect('rooms', { case: 'listRooms', value: {} }, channel)
  })

  test('of commits and rooms, and of what is large', async () => {
    await using service = await open({
      commitBurst: 2,
      requestUnitBytes: 1024,
      requestBurst: 26,
      requestsPerSecond: 0.1,
    })
    const device = await service.world.device()
    const client = await service.connect()
    const channel = await client.authenticate(device)
    const commit = { case: 'submitCommit', value: { room: 'x' } } as const
    for (let i = 0; i < 2; i++) assert.equal(await client.refused(commit, channel), 'MALFORMED')
    assert.equal(await client.refused(commit, channel), 'RATE_LIMITED')
    const supply = { case: 'publishKeyPackages', value: { keyPackages: Array(20).fill(new Uint8Array(1)) } } as const
    assert.equal(await client.refused(supply, channel), 'BAD_KEY_PACKAGE')
    const large = { case: 'submitMessage', value: { room: 'x', message: new Uint8Array(16 * 1024) } } as const
    assert.equal(await client.refused(large, channel), 'MALFORMED')
    assert.equal(await client.refused(large, channel), 'RATE_LIMITED')
  })

  test('of bytes that an account makes the provider keep, from all its devices', async () => {
    await using service = await open({ accountBytesBurst: 10_000, accountBytesPerHour: 1 })
    const device = await service.world.device()
    const client = await service.connect()
    let channel = await client.authenticate(device)
    const message = { case: 'submitMessage', value: { room: 'x', message: new Uint8Array(4000) } } as const
    for (let i = 0; i < 2; i++) assert.equal(await client.refused(message, channel), 'MALFORMED')
    channel = await client.authenticate(device)
    assert.equal(await client.refused(message, channel), 'RATE_LIMITED')
    await client.expect('rooms', { case: 'listRooms', value: {} }, channel)
  })

  test('of bytes under way: what does not fit is refused, and nothing piles up', async () => {
    await using service = await open({ firstUnderWayBytes: 100_000 })
    const client = await service.connect()
    const slow = { case: 'createAccount', value: { accessToken: 'slow', proof: new Uint8Array(60_000) } } as const
    void client.ask(slow)
    assert.equal(await client.refused(slow), 'RATE_LIMITED')
    await client.expect('pong', { case: 'ping', value: {} })
  })

  test('of rendezvous, for many that are opened at once as well', async () => {
    await using service = await open({ links: 2 })
    const client = await service.connect()
    const openLink = () => ({ case: 'openLink', value: { rendezvous: crypto.randomBytes(32) } }) as const
    const answers = await Promise.all(Array.from({ length: 6 }, () => client.ask(openLink())))
    assert.deepEqual(
      answers.map((each) => (each.case === 'error' ? ErrorCode[(each.value as { code: ErrorCode }).code] : each.case)),
      ['done', 'done', 'RATE_LIMITED', 'RATE_LIMITED', 'RATE_LIMITED', 'RATE_LIMITED'],
    )
  })

  test('a rendezvous whose payload has come takes no place any more', async () => {
    await using service = await open({ links: 1, unauthenticatedMs: 200 })
    const rendezvous = crypto.randomBytes(32)
    const client = await service.connect()
    const openLink = { case: 'openLink', value: { rendezvous } } as const
    await client.expect('done', openLink)
    await service.world.hub.completeLink(rendezvous, crypto.randomBytes(8))
    await client.event('linkCompleted')
    await client.expect('done', openLink)
    await client.event('linkCompleted')
    await client.expect('done', { case: 'openLink', value: { rendezvous: crypto.randomBytes(32) } })
  })

  test('are kept for those who use them, and for nobody else', () => {
    const clock = { now: 0 }
    const rates = openRates(1, 2, () => clock.now)
    for (let i = 0; i < 5000; i++) {
      assert.equal(rates.take(`${i}`), 0)
      clock.now += 10
    }
    assert.ok(rates.names < 3000, `${rates.names}`)
    assert.equal(rates.take('4999'), 0)
    assert.ok(rates.take('4999') > 0)
  })
})

test('a device that is unlinked while it authenticates does not stay', async () => {
  const hold = { answer: Promise.resolve() }
  await using service = await open({}, (world) => ({
    ...world,
    hub: {
      ...world.hub,
      async findDevice(device) {
        const found = await world.hub.findDevice(device)
        await hold.answer
        return found
      },
    },
  }))
  const device = await service.world.device()
  const tablet = await device.account.link()
  const client = await service.connect()
  const gate = Promise.withResolvers<void>()
  hold.answer = gate.promise
  const authenticated = client.authenticate(tablet)
  await sleep(50)
  await device.account.unlink(tablet)
  await sleep(50)
  gate.resolve()
  const channel = await authenticated
  await client.event('unlinked', channel)
  assert.equal(await client.refused({ case: 'ping', value: {} }, channel), 'UNAUTHENTICATED')
})
