import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { onBothDialects } from '../store/testing.ts'
import { refusal } from './testing/values.ts'
import { openWorld } from './testing/world.ts'

const day = 24 * 3_600_000

onBothDialects('mailboxes', (open) => {
  async function conversation(settings = {}) {
    const database = await open()
    const world = openWorld(database, settings)
    const [alice, bob] = [await world.device(), await world.device()]
    const room = await alice.create('direct', bob.account)
    await world.hub.answerRoom(bob.asker, room, true)
    await alice.receive()
    await bob.receive()
    const count = async (table: string) =>
      (await database.query<{ count: number }>(`select count(*)::int4 as count from hub.${table}`))[0]!.count
    const [number] = await database.query<{ no: number }>('select no from hub.room')
    return {
      world,
      hub: world.hub,
      alice,
      bob,
      room,
      roomNo: number!.no,
      count,
      async [Symbol.asyncDispose]() {
        await world[Symbol.asyncDispose]()
        await database.close()
      },
    }
  }

  test('entries come in order, in parts bounded in number and bytes, and again until they are acknowledged', async () => {
    await using it = await conversation({ readEntries: 3, readBytes: 800 })
    for (let i = 0; i < 5; i++) await it.alice.send(it.room, `${i}`)
    const { deviceId } = it.bob
    assert.deepEqual(await it.hub.roomsWithNews(deviceId, 0, 10), [it.roomNo])
    const first = (await it.hub.readRoom(deviceId, it.roomNo, 0)).entries
    assert.ok(first.length >= 1 && first.length < 3)
    assert.equal(first[0]!.seq, 2)
    assert.deepEqual((await it.hub.readRoom(deviceId, it.roomNo, 0)).entries, first)
    const rest = (await it.hub.readRoom(deviceId, it.roomNo, first.at(-1)!.seq)).entries
    assert.equal(rest[0]!.seq, first.at(-1)!.seq + 1)
    await it.hub.acknowledge(deviceId, [{ room: it.room, seq: 4 }], [])
    assert.equal((await it.hub.readRoom(deviceId, it.roomNo, 0)).entries[0]!.seq, 5)
    // Neither back, nor beyond the end, nor in a room one is not in.
    await it.hub.acknowledge(deviceId, [{ room: it.room, seq: 3 }], [])
    assert.equal((await it.hub.readRoom(deviceId, it.roomNo, 0)).entries[0]!.seq, 5)
    await it.hub.acknowledge(deviceId, [{ room: it.room, seq: 1_000_000 }], [99])
    await it.alice.send(it.room, 'new')
    assert.equal((await it.hub.readRoom(deviceId, it.roomNo, 0)).entries[0]!.seq, 7)
  })

  test('one’s own submissions come back, marked as such', async () => {
    await using it = await conversation()
    await it.alice.send(it.room, 'x')
    const [own] = (await it.hub.readRoom(it.alice.deviceId, it.roomNo, 0)).entries
    const [other] = (await it.hub.readRoom(it.bob.deviceId, it.roomNo, 0)).entries
    assert.deepEqual([own!.own, other!.own], [true, false])
    assert.deepEqual(own!.message, other!.message)
  })

  test('what all have acknowledged is deleted, and nothing else', async () => {
    await using it = await conversation()
    await it.hub.clean()
    for (let i = 0; i < 4; i++) await it.alice.send(it.room, `${i}`)
    await it.bob.receive()
    await it.hub.clean()
    assert.equal(await it.count('log'), 4)
    await it.alice.receive()
    await it.hub.clean()
    assert.equal(await it.count('log'), 0)
    assert.equal(await it.count('welcome_body'), 0)
    await it.alice.send(it.room, 'later')
    assert.deepEqual(await it.bob.receive(), ['later'])
  })

  test('what nobody fetches is deleted after its time, and a device that was away joins anew', async () => {
    await using it = await conversation({ retentionMs: 30 * day, cleanRows: 2 })
    for (let i = 0; i < 5; i++) await it.alice.send(it.room, `${i}`)
    await it.alice.submit(it.room)
    it.world.clock.now += 31 * day
    await it.hub.clean()
    assert.equal(await it.count('log'), 0)
    assert.deepEqual((await it.hub.readRoom(it.bob.deviceId, it.roomNo, 0)).entries, [])
    assert.equal((await it.hub.listRooms(it.bob.asker))[0]!.seq, 7)
    await it.bob.account.put(it.bob.account.devices)
    await it.bob.join(it.room)
    assert.deepEqual(await it.bob.receive(), [])
  })

  test('what is submitted again wakes again: nobody was told when the database broke off in its commit', async () => {
    await using it = await conversation()
    const news: string[] = []
    const message = await it.alice.message(it.room, 'hello')
    const commit = await it.alice.commit(it.room)
    await it.hub.submitMessage(it.alice.asker, message)
    await it.hub.submitCommit(it.alice.asker, commit)
    await turn()
    it.hub.listen(it.bob.deviceId, (all) => news.push(...all.map(({ kind }) => kind)))
    await it.hub.submitMessage(it.alice.asker, message)
    await turn()
    assert.deepEqual(news.splice(0), ['room', 'welcome'])
    await it.hub.submitCommit(it.alice.asker, commit)
    await turn()
    assert.deepEqual(news, ['room', 'welcome'])
  })

  test('a Welcome waits until it is acknowledged', async () => {
    await using it = await conversation()
    const carol = await it.world.device()
    const room = await it.alice.create('direct', carol.account)
    const [first] = await it.hub.readWelcomes(carol.deviceId, [])
    assert.equal(first!.room, room)
    assert.equal(first!.seq, 1)
    assert.equal(first!.standing, 'requested')
    assert.equal(first!.inviter, it.alice.account.address)
    assert.deepEqual(await it.hub.readWelcomes(carol.deviceId, [first!.no]), [])
    assert.equal((await it.hub.readWelcomes(carol.deviceId, [])).length, 1)
    await it.hub.acknowledge(carol.deviceId, [], [first!.no])
    assert.deepEqual(await it.hub.readWelcomes(carol.deviceId, []), [])
  })

  test('times never run backwards in a log', async () => {
    await using it = await conversation()
    const { at } = await it.alice.send(it.room, '1')
    it.world.clock.now -= 10_000
    assert.equal((await it.alice.send(it.room, '2')).at, at)
    await it.bob.receive()
    assert.equal((await it.bob.submit(it.room)).at, at)
  })

  test('KeyPackages are handed out once, the last resort stays, and the device hears that they run low', async () => {
    await using it = await conversation({ keyPackagesLow: 2 })
    const news: string[] = []
    it.hub.listen(it.bob.deviceId, (all) => news.push(...all.map(({ kind }) => kind)))
    const claim = async () => (await it.hub.claimKeyPackages(it.alice.asker, it.bob.account.address)).keyPackages[0]!
    assert.equal(await it.bob.publish(0, true), 4)
    const claimed = new Set<string>()
    for (let i = 0; i < 4; i++) claimed.add(Buffer.from(await claim()).toString('hex'))
    assert.equal(claimed.size, 4)
    const last = await claim()
    assert.deepEqual(await claim(), last)
    assert.ok(!claimed.has(Buffer.from(last).toString('hex')))
    // Wake-ups come in the next turn of the event loop.
    await turn()
    await turn()
    assert.ok(news.includes('key-packages'))
    const carol = await it.world.device()
    const bytes = await carol.makeKeyPackage()
    const publish = (keyPackages: Uint8Array[], lastResort?: Uint8Array) =>
      it.hub.publishKeyPackages(it.bob.asker, { keyPackages, lastResort })
    await assert.rejects(publish([bytes]), refusal('bad-key-package'))
    await assert.rejects(publish([], await it.bob.makeKeyPackage()), refusal('bad-key-package'))
    await assert.rejects(publish([await it.bob.makeKeyPackage(true)]), refusal('bad-key-package'))
    await assert.rejects(publish([Uint8Array.of(1, 2, 3)]), refusal('bad-key-package'))
    const own = await it.bob.makeKeyPackage()
    assert.equal(await publish([own, own]), 1)
    assert.equal((await it.hub.claimKeyPackages(it.bob.asker, it.bob.account.address)).keyPackages.length, 0)
  })
})
