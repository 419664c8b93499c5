import assert from 'node:assert/strict'
import { test } from 'node:test'
import { onBothDialects } from '../store/testing.ts'
import type { TestDevice } from './testing/account.ts'
import { refusal } from './testing/values.ts'
import { openWorld, type World } from './testing/world.ts'

const prefer = (world: World, device: TestDevice, change: Parameters<World['hub']['putPreferences']>[1] | object) =>
  world.hub.putPreferences(device.asker, { reachable: [], unreachable: [], ...change })

onBothDialects('reaching somebody', (open) => {
  async function two(kinds: ['person' | 'edge', 'person' | 'edge'] = ['person', 'person']) {
    const database = await open()
    const world = openWorld(database, { requestMessages: 2, strangersPerHour: 4 })
    const [alice, bob] = [await world.device(kinds[0]), await world.device(kinds[1])]
    return {
      world,
      hub: world.hub,
      alice,
      bob,
      async [Symbol.asyncDispose]() {
        await world[Symbol.asyncDispose]()
        await database.close()
      },
    }
  }

  test('of two direct rooms made at once one stays, and the other maker is told of it', async () => {
    await using it = await two()
    const creations = [
      await it.alice.prepareRoom('direct', [it.bob.account]),
      await it.bob.prepareRoom('direct', [it.alice.account]),
    ] as const
    const results = await Promise.allSettled([
      it.hub.createRoom(it.alice.asker, creations[0]),
      it.hub.createRoom(it.bob.asker, creations[1]),
    ])
    const loser = results.findIndex((result) => result.status === 'rejected')
    const { reason } = results[loser] as PromiseRejectedResult
    const winner = creations[1 - loser]!
    assert.equal(reason.code, 'direct-room-exists')
    assert.equal(reason.room, winner.room)
    // Both wanted it, so neither is a stranger to the other.
    const [first, second] = loser === 0 ? [it.bob, it.alice] : [it.alice, it.bob]
    await second.receive()
    await second.send(winner.room, 'in yours, then')
    assert.deepEqual(await first.receive(), ['in yours, then'])
    for (const each of [first, second])
      assert.deepEqual(
        (await it.hub.listRooms(each.asker)).map(({ standing }) => standing),
        ['accepted'],
      )
    const again = await it.hub.createRoom(first.asker, winner)
    assert.equal(again.seq, 1)
  })

  test('an account has one self room, which none of its devices makes twice', async () => {
    await using it = await two()
    const room = await it.alice.create('self')
    await it.alice.receive()
    const tablet = await it.alice.account.link()
    await assert.rejects(tablet.create('self'), refusal('direct-room-exists', { room }))
    await tablet.join(room)
    await it.alice.receive()
    await it.alice.send(room, 'note')
    assert.deepEqual(await tablet.receive(), ['note'])
    await assert.rejects(it.hub.leaveRoom(it.alice.asker, room), refusal('not-allowed'))
  })

  test('a stranger’s messages are few until the room is accepted', async () => {
    await using it = await two()
    const room = await it.alice.create('direct', it.bob.account)
    await it.alice.receive()
    assert.equal((await it.hub.listRooms(it.bob.asker))[0]!.standing, 'requested')
    await it.alice.send(room, '1')
    await it.alice.send(room, '2')
    await assert.rejects(it.alice.send(room, '3'), refusal('request-limit'))
    await it.hub.answerRoom(it.bob.asker, room, true)
    await it.alice.send(room, '4')
    await it.hub.answerRoom(it.bob.asker, room, false)
    await assert.rejects(it.alice.send(room, '5'), refusal('not-allowed'))
    await it.hub.answerRoom(it.bob.asker, room, true)
    await it.alice.send(room, '6')
    assert.deepEqual(await it.bob.receive(), ['1', '2', '4', '6'])
  })

  test('who wants to be asked is asked, and who takes nobody is not there', async () => {
    await using it = await two()
    const nobody = refusal('not-reachable')
    await prefer(it.world, it.bob, { firstContact: 'consent', handle: 'bob' })
    await assert.rejects(it.alice.create('direct', it.bob.account), refusal('consent-required'))
    await it.hub.requestConsent(it.alice.asker, it.bob.account.address)
    const { requests } = await it.hub.readConsents(it.bob.asker, 0)
    assert.deepEqual(
      requests.map(({ account }) => account),
      [it.alice.account.address],
    )
    await it.hub.answerConsent(it.bob.asker, it.alice.account.address, true)
    const { answers } = await it.hub.readConsents(it.alice.asker, 0)
    assert.deepEqual(
      answers.map(({ account, granted }) => ({ account, granted })),
      [{ account: it.bob.account.address, granted: true }],
    )
    assert.equal((await it.hub.findByHandle(it.alice.asker, 'Bob')).account, it.bob.account.address)
    await it.hub.answerConsent(it.bob.asker, it.alice.account.address, false)
    await assert.rejects(it.alice.create('direct', it.bob.account), nobody)
    await prefer(it.world, it.bob, { firstContact: 'nobody' })
    const carol = await it.world.device()
    const absent = 'mimi://hub.example/u/AAAAAAAAAAAAAAAAAAAAAA'
    for (const account of [it.bob.account.address, absent]) {
      await assert.rejects(it.hub.claimKeyPackages(carol.asker, account), nobody)
      await assert.rejects(it.hub.requestConsent(carol.asker, account), nobody)
    }
    for (const handle of ['bob', 'nobody.here']) await assert.rejects(it.hub.findByHandle(carol.asker, handle), nobody)
  })

  test('a block holds at once, for finding and inside a room', async () => {
    await using it = await two()
    const room = await it.alice.create('direct', it.bob.account)
    await it.alice.receive()
    await it.hub.answerRoom(it.bob.asker, room, true)
    await prefer(it.world, it.bob, { handle: 'bob' })
    await it.hub.block(it.bob.asker, it.alice.account.address, true)
    await assert.rejects(it.alice.send(room, 'x'), refusal('blocked'))
    await assert.rejects(it.hub.findByHandle(it.alice.asker, 'bob'), refusal('not-reachable'))
    await assert.rejects(it.hub.claimKeyPackages(it.bob.asker, it.alice.account.address), refusal('blocked'))
    assert.deepEqual((await it.hub.getPreferences(it.bob.asker)).blocked, [it.alice.account.address])
    await it.hub.block(it.bob.asker, it.alice.account.address, false)
    await it.alice.send(room, 'y')
  })

  test('an account behind an edge reaches only who has opted in, and no longer than that', async () => {
    await using it = await two(['edge', 'person'])
    await prefer(it.world, it.bob, { handle: 'bob' })
    await assert.rejects(it.hub.findByHandle(it.alice.asker, 'bob'), refusal('not-reachable'))
    await assert.rejects(it.alice.create('direct', it.bob.account), refusal('not-reachable'))
    await prefer(it.world, it.bob, { reachable: ['matrix'] })
    assert.equal((await it.hub.findByHandle(it.alice.asker, 'bob')).account, it.bob.account.address)
    const room = await it.alice.create('direct', it.bob.account)
    await it.alice.receive()
    await it.bob.receive()
    await it.hub.answerRoom(it.bob.asker, room, true)
    await it.alice.send(room, 'from outside')
    const late = await it.alice.message(room, 'too late')
    await prefer(it.world, it.bob, { unreachable: ['matrix'] })
    await assert.rejects(it.hub.submitMessage(it.alice.asker, late), refusal('not-opted-in'))
    await assert.rejects(it.bob.send(room, 'to outside'), refusal('not-opted-in'))
    await assert.rejects(it.hub.findByHandle(it.alice.asker, 'bob'), refusal('not-reachable'))
    await assert.rejects(it.hub.claimKeyPackages(it.bob.asker, it.alice.account.address), refusal('not-opted-in'))
    await prefer(it.world, it.bob, { reachable: ['matrix'] })
    await it.hub.submitMessage(it.alice.asker, late)
    assert.deepEqual(await it.bob.receive(), ['from outside', 'too late'])
  })

  test('in a group nobody comes together with a network that they did not opt in to', async () => {
    await using it = await two(['person', 'edge'])
    const carol = await it.world.device()
    await prefer(it.world, it.alice, { reachable: ['matrix'] })
    for (const each of [it.bob, carol]) await it.hub.answerConsent(each.asker, it.alice.account.address, true)
    const room = await it.alice.create('group', it.bob.account)
    await it.alice.receive()
    const add = await it.alice.claim([carol.account])
    await assert.rejects(it.alice.submit(room, { add }), refusal('not-opted-in'))
    await prefer(it.world, carol, { reachable: ['matrix'] })
    await it.alice.submit(room, { add })
    for (const each of [it.alice, it.bob, carol]) await each.receive()
    await it.bob.send(room, 'hello all')
    const late = await it.bob.message(room, 'not to carol')
    await prefer(it.world, carol, { unreachable: ['matrix'] })
    await assert.rejects(it.hub.submitMessage(it.bob.asker, late), refusal('not-opted-in'))
    await assert.rejects(carol.send(room, 'x'), refusal('not-opted-in'))
    await it.alice.send(room, 'alice goes on')
    assert.deepEqual(await it.alice.receive(), ['hello all'])
  })

  test('approaching many strangers in an hour is refused with the time to wait', async () => {
    await using it = await two()
    await it.bob.publish(10)
    // A room is the second step towards somebody whose KeyPackages were asked for.
    await it.alice.create('direct', it.bob.account)
    for (let i = 0; i < 6; i++) await it.hub.claimKeyPackages(it.alice.asker, it.bob.account.address)
    const error = await it.hub.claimKeyPackages(it.alice.asker, it.bob.account.address).catch((refused) => refused)
    assert.equal(error.code, 'rate-limited')
    assert.ok(error.retryAfterMs > 0 && error.retryAfterMs <= 3_600_000)
    it.world.clock.now += 3_600_000
    await it.hub.claimKeyPackages(it.alice.asker, it.bob.account.address)
  })

  test('handles are one account’s, of one form, and can be given up', async () => {
    await using it = await two()
    await prefer(it.world, it.alice, { handle: 'some.name' })
    await assert.rejects(prefer(it.world, it.bob, { handle: 'some.name' }), refusal('handle-taken'))
    for (const handle of ['ab', 'Upper', 'a..b', '9lives', 'x'.repeat(40), 'пример'])
      await assert.rejects(prefer(it.world, it.bob, { handle }), refusal('malformed'))
    await prefer(it.world, it.alice, { handle: '' })
    const { handle } = await prefer(it.world, it.bob, { handle: 'some.name' })
    assert.equal(handle, 'some.name')
    await assert.rejects(prefer(it.world, it.bob, { reachable: ['not a network'] }), refusal('malformed'))
  })

  test('a stranger is brought into no group, where limits of a request could not hold', async () => {
    await using it = await two()
    await assert.rejects(it.alice.create('group', it.bob.account), refusal('consent-required'))
    const room = await it.alice.create('group')
    await it.alice.receive()
    const add = await it.alice.claim([it.bob.account])
    await assert.rejects(it.alice.submit(room, { add }), refusal('consent-required'))
    await it.hub.answerConsent(it.bob.asker, it.alice.account.address, true)
    await it.alice.submit(room, { add })
    assert.deepEqual(
      (await it.hub.listRooms(it.bob.asker)).map(({ standing }) => standing),
      ['accepted'],
    )
  })

  test('a stranger does not get more words by leaving the room and beginning anew', async () => {
    await using it = await two()
    const room = await it.alice.create('direct', it.bob.account)
    await it.alice.receive()
    await it.alice.send(room, '1')
    await it.hub.leaveRoom(it.alice.asker, room)
    await assert.rejects(it.alice.create('direct', it.bob.account), refusal('request-limit'))
    await it.hub.answerRoom(it.bob.asker, room, false)
    await it.hub.leaveRoom(it.bob.asker, room)
    await it.alice.create('direct', it.bob.account)
  })

  test('an answer that nobody asked for is told to nobody, nor one of somebody who is blocked', async () => {
    await using it = await two()
    const answers = async () => (await it.hub.readConsents(it.alice.asker, 0)).answers.map(({ granted }) => granted)
    for (const granted of [true, false, true]) {
      await it.hub.answerConsent(it.bob.asker, it.alice.account.address, granted)
      assert.deepEqual(await answers(), [])
    }
    const carol = await it.world.device()
    await prefer(it.world, carol, { firstContact: 'consent' })
    await it.hub.requestConsent(it.alice.asker, carol.account.address)
    await it.hub.answerConsent(carol.asker, it.alice.account.address, false)
    assert.deepEqual(await answers(), [false])
    await it.hub.block(it.alice.asker, carol.account.address, true)
    assert.deepEqual(await answers(), [])
  })

  test('a request that was not answered in time can be made again', async () => {
    await using it = await two()
    await prefer(it.world, it.bob, { firstContact: 'consent' })
    const waiting = async () => (await it.hub.readConsents(it.bob.asker, 0)).requests.length
    await it.hub.requestConsent(it.alice.asker, it.bob.account.address)
    assert.equal(await waiting(), 1)
    it.world.clock.now += 15 * 24 * 3_600_000
    assert.equal(await waiting(), 0)
    await it.hub.requestConsent(it.alice.asker, it.bob.account.address)
    assert.equal(await waiting(), 1)
  })

  test('a KeyPackage goes to nobody once the endorsement in its leaf has run out', async () => {
    await using it = await two()
    const days = 24 * 3_600_000
    it.world.clock.now += 70 * days
    await it.bob.publish(3)
    it.world.clock.now += 25 * days
    await it.bob.account.put(it.bob.account.devices)
    assert.equal(await it.hub.countKeyPackages(it.bob.deviceId), 0)
    const claim = it.hub.claimKeyPackages(it.alice.asker, it.bob.account.address)
    await assert.rejects(claim, refusal('no-key-packages'))
  })
})
