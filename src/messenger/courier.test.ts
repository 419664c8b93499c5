// What a device is told, and in which order, whatever is committed when.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Asker, Entry, WelcomeEntry } from '../hub/index.ts'
import { openWorld } from '../hub/testing/world.ts'
import type { Transaction } from '../store/index.ts'
import { freshDatabase, postgresMissing, type TestDatabase } from '../store/testing.ts'
import { type CourierOptions, openCourier } from './courier.ts'
import { defaultGatewaySettings } from './index.ts'
import { openTestGateway } from './testing/client.ts'

/** A database that keeps a transaction from its commit until it is let go. */
function withHeldCommits(database: TestDatabase) {
  let hold: { table: string; reached(): void; released: Promise<void> } | undefined
  return {
    database: {
      ...database,
      transaction: (<T>(work: (tx: Transaction) => Promise<T>) =>
        database.transaction(async (tx) => {
          const statements: string[] = []
          const query = ((text: string, parameters?: readonly unknown[]) => {
            statements.push(text)
            return tx.query(text, parameters)
          }) as Transaction['query']
          const result = await work({ ...tx, query })
          const held = hold
          if (held && statements.some((text) => text.includes(`insert into ${held.table} `))) {
            hold = undefined
            held.reached()
            await held.released
          }
          return result
        })) as TestDatabase['transaction'],
    },
    /** Waits until the first transaction that writes into the table is done but for its commit, which the result causes. */
    async holdCommit(table: string, work: () => Promise<unknown>): Promise<() => Promise<unknown>> {
      const [reached, released] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
      hold = { table, reached: reached.resolve, released: released.promise }
      const done = work()
      await Promise.race([reached.promise, done])
      return () => {
        released.resolve()
        return done
      }
    },
  }
}

async function onPostgres() {
  const database = await freshDatabase('postgres')
  const held = withHeldCommits(database)
  const world = openWorld(held.database)
  const { gateway, ...rest } = openTestGateway(world)
  return {
    world,
    holdCommit: held.holdCommit,
    ...rest,
    async [Symbol.asyncDispose]() {
      gateway.drain()
      await world[Symbol.asyncDispose]()
      await database.close()
    },
  }
}

const overlapping = { skip: postgresMissing() }

test(
  'a Welcome that is committed after one with a greater number comes all the same, before its entries',
  overlapping,
  async () => {
    await using service = await onPostgres()
    const { world } = service
    const [alice, bob, dora] = [await world.device(), await world.device(), await world.device()]
    const client = await service.connect()
    const channel = await client.resume(dora)
    await client.event('caughtUp', channel)
    const first = await alice.prepareRoom('direct', [dora.account])
    const second = await bob.prepareRoom('direct', [dora.account])
    const commitFirst = await service.holdCommit('hub.welcome', () => world.hub.createRoom(alice.asker, first))
    await world.hub.createRoom(bob.asker, second)
    const earlier = await client.event('welcome', channel)
    assert.equal(earlier.room, second.room)
    await commitFirst()
    alice.adopt(first.room)
    await alice.send(first.room, 'hello')
    await client.until(() => client.events.some(({ body }) => body.case === 'deliver') || undefined)
    const late = await client.event('welcome', channel)
    assert.equal(late.room, first.room)
    assert.ok(late.welcomeId < earlier.welcomeId)
    assert.equal((await client.event('deliver', channel)).room, first.room)
  },
)

test('entries wait for the Welcome of their room, also when only they were told of', overlapping, async () => {
  await using service = await onPostgres()
  const { world } = service
  const [alice, dora] = [await world.device(), await world.device()]
  // As when the process that took the commit has not got to telling of it.
  const listen = world.hub.listen
  const deaf = {
    ...world.hub,
    listen: ((device, onNews) =>
      listen(device, (all) => onNews(all.filter(({ kind }) => kind !== 'welcome')))) as typeof listen,
  }
  const { connect, gateway } = openTestGateway({ ...world, hub: deaf })
  const client = await connect()
  const channel = await client.resume(dora)
  await client.event('caughtUp', channel)
  const room = await alice.create('direct', dora.account)
  alice.adopt(room)
  await alice.send(room, 'hello')
  await client.until(() => client.events.some(({ body }) => body.case === 'deliver') || undefined)
  assert.deepEqual(
    client.events.map(({ body }) => body.case).filter((each) => each === 'welcome' || each === 'deliver'),
    ['welcome', 'deliver'],
  )
  gateway.drain()
})

test(
  'a request for consent that is committed after a later one is told of all the same, and each once',
  overlapping,
  async () => {
    await using service = await onPostgres()
    const { world } = service
    const [alice, bob, dora] = [await world.device(), await world.device(), await world.device()]
    await world.hub.putPreferences(dora.asker, { firstContact: 'consent', reachable: [], unreachable: [] })
    const client = await service.connect()
    const channel = await client.resume(dora)
    await client.event('caughtUp', channel)
    const commitFirst = await service.holdCommit('hub.consent', () =>
      world.hub.requestConsent(alice.asker, dora.account.address),
    )
    world.clock.now += 1_000
    await world.hub.requestConsent(bob.asker, dora.account.address)
    assert.equal((await client.event('consentRequested', channel)).account, bob.account.address)
    await commitFirst()
    assert.equal((await client.event('consentRequested', channel)).account, alice.account.address)
    await world.hub.putPreferences(dora.asker, { firstContact: 'anyone', reachable: [], unreachable: [] })
    await alice.create('direct', dora.account)
    await client.event('welcome', channel)
    assert.ok(!client.events.some(({ body }) => body.case === 'consentRequested'))
  },
)

test('a Welcome goes before the first entry of its room, also when it came while the rooms were looked through', async () => {
  const room = 'mimi://hub.example/r/AAAAAAAAAAAAAAAAAAAAAA'
  const entry = { room, seq: 2, kind: 'message', message: new Uint8Array(), at: 0, manifests: [], own: false } as const
  const welcome = { ...entry, no: 7, kind: 'direct', welcome: new Uint8Array(), seq: 1 } as const
  let committed = false
  const hub = {
    settings: { keyPackagesLow: 0 },
    readConsents: async () => ({ requests: [], answers: [] }),
    readWelcomes: async (_: unknown, underWay: readonly number[]) =>
      committed && !underWay.includes(7)
        ? [{ ...welcome, standing: 'accepted', inviter: '' } as unknown as WelcomeEntry]
        : [],
    // The commit that adds the device comes between the two.
    async roomsWithNews() {
      committed = true
      return [1]
    },
    readEndings: async () => [],
    readRoom: async (_device: unknown, _room: unknown, after: number) => {
      const entries = after < 2 ? [entry as unknown as Entry] : []
      return { entries, more: entries.length > 0 }
    },
  }
  const told: string[] = []
  const done = Promise.withResolvers<void>()
  const courier = openCourier({
    hub: hub as unknown as CourierOptions['hub'],
    asker: { device: 'd', account: 'a' } as unknown as Asker,
    settings: defaultGatewaySettings,
    window: 8,
    onDelivered: () => undefined,
    buffered: () => 0,
    clock: Date.now,
    onFault: () => done.reject(new Error('fault')),
    send(event) {
      told.push(event.case)
      if (event.case === 'caughtUp') done.resolve()
    },
  })
  await done.promise
  courier.stop()
  assert.deepEqual(told, ['welcome', 'deliver', 'caughtUp'])
})
