import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { leavesOf } from '../../mls/index.ts'
import { onBothDialects } from '../../store/testing.ts'
import { refusal } from '../testing/values.ts'
import { openWorld } from '../testing/world.ts'

onBothDialects('removals', (open) => {
  async function withTablet() {
    const database = await open()
    const world = openWorld(database)
    const [alice, bob] = [await world.device(), await world.device()]
    const room = await alice.create('direct', bob.account)
    const tablet = await bob.account.link()
    await tablet.join(room)
    await world.hub.answerRoom(bob.asker, room, true)
    for (const each of [alice, bob, tablet]) await each.receive()
    return {
      world,
      alice,
      bob,
      tablet,
      room,
      async [Symbol.asyncDispose]() {
        await world[Symbol.asyncDispose]()
        await database.close()
      },
    }
  }

  test('an unlinked device is known as such for as long as its certificate could hold', async () => {
    await using it = await withTablet()
    const { hub, clock } = it.world
    await it.bob.account.unlink(it.tablet)
    clock.now += hub.settings.unlinkedMs - 1
    await hub.clean()
    assert.equal((await hub.findDevice(it.tablet.deviceId))?.unlinked, true)
    clock.now += 2
    await hub.clean()
    assert.equal(await hub.findDevice(it.tablet.deviceId), undefined)
    assert.equal((await hub.findDevice(it.bob.deviceId))?.unlinked, false)
  })

  test('no manifest is taken that cuts a device off before any room could put it in force', async () => {
    await using it = await withTablet()
    const { hub } = it.world
    const { account } = it.bob
    const put = (devices: typeof account.devices, change = {}) =>
      hub.putManifest({ manifest: account.sign(devices, change), certificates: [] })
    const [primary] = account.devices
    const soon = { notBefore: account.seconds() + 120, notAfter: account.seconds() + 1000 }
    await assert.rejects(put([primary!], soon), refusal('wrong-clock'))
    // Leaves keep the kind that their certificates say.
    await assert.rejects(put([{ ...primary!, kind: 'companion' }]), refusal('bad-certificate'))
    await it.alice.submit(it.room)
    await it.tablet.receive()
    // One that cuts nobody off may begin a little later: clocks differ.
    await put(account.devices, soon)
  })

  test('an unlinked device is delivered nothing more, and nobody speaks before its leaf is gone', async () => {
    await using it = await withTablet()
    const { hub } = it.world
    const before = await it.alice.message(it.room, 'not to the tablet')
    await it.bob.account.unlink(it.tablet)
    assert.deepEqual(await hub.roomsWithNews(it.tablet.deviceId, 0, 10), [])
    const error = await hub.submitMessage(it.alice.asker, before).catch((refused) => refused)
    assert.equal(error.code, 'pending-proposal')
    assert.equal(error.retry, true)
    assert.equal(error.proposals.length, 1)
    await assert.rejects(it.alice.submit(it.room), refusal('pending-proposal'))
    await assert.rejects(hub.submitMessage(it.tablet.asker, before), refusal('unlinked'))
    await assert.rejects(hub.submitCommit(it.tablet.asker, await it.tablet.commit(it.room)), refusal('unlinked'))

    // The proposal comes with the log, and with it the manifest that has to come into force.
    const [roomNo] = await hub.roomsWithNews(it.alice.deviceId, 0, 10)
    const [proposal] = (await hub.readRoom(it.alice.deviceId, roomNo!, 0)).entries
    assert.equal(proposal!.kind, 'proposal')
    assert.equal(proposal!.own, false)
    assert.deepEqual(proposal!.manifests, [it.bob.account.manifest])
    await it.alice.receive()
    await assert.rejects(it.alice.submit(it.room), refusal('old-manifest'))
    await it.alice.submit(it.room, { manifests: proposal!.manifests })
    await it.alice.receive()
    await it.alice.send(it.room, 'among us')
    assert.deepEqual(await it.bob.receive(), ['among us'])
    assert.deepEqual(await hub.roomsWithNews(it.tablet.deviceId, 0, 10), [])
  })

  test('an unlinked device does not come back: not by an old manifest, not by a commit of its own', async () => {
    await using it = await withTablet()
    const { hub } = it.world
    const old = it.bob.account.manifest
    const join = await it.tablet.prepareJoin(it.room)
    await it.bob.account.unlink(it.tablet)
    await assert.rejects(hub.putManifest({ manifest: old, certificates: [] }), refusal('old-manifest'))
    await assert.rejects(hub.submitCommit(it.tablet.asker, join), refusal('unlinked'))
    const relisted = it.bob.account.sign([...it.bob.account.devices, it.tablet])
    await assert.rejects(
      hub.putManifest({ manifest: relisted, certificates: [it.tablet.certificate] }),
      refusal('not-allowed'),
    )
    await assert.rejects(
      hub.publishKeyPackages(it.tablet.asker, { keyPackages: [], lastResort: undefined }),
      refusal('unlinked'),
    )
  })

  test('a device that joins meanwhile causes the removal to be proposed again', async () => {
    await using it = await withTablet()
    const laptop = await it.alice.account.link()
    await it.bob.account.unlink(it.tablet)
    await laptop.join(it.room)
    await it.alice.receive()
    await assert.rejects(it.alice.message(it.room, 'x'), { code: 'pending-proposals' })
    await it.alice.submit(it.room, { manifests: [it.bob.account.manifest] })
    await it.alice.receive()
    await it.alice.send(it.room, 'x')
    assert.deepEqual(await it.bob.receive(), ['x'])
  })

  test('an account that leaves is out at once, and its leaves go with the next commit', async () => {
    await using it = await withTablet()
    const { hub } = it.world
    await hub.leaveRoom(it.bob.asker, it.room)
    assert.deepEqual(await hub.roomsWithNews(it.bob.deviceId, 0, 10), [])
    assert.deepEqual(await hub.roomsWithNews(it.tablet.deviceId, 0, 10), [])
    await assert.rejects(it.bob.prepareJoin(it.room), refusal('not-found'))
    await it.alice.receive()
    await it.alice.submit(it.room)
    await it.alice.receive()
    assert.equal((await hub.listRooms(it.bob.asker))[0]!.standing, 'left')
    await assert.rejects(
      hub.submitMessage(it.alice.asker, await it.alice.message(it.room, 'x')),
      refusal('not-allowed'),
    )
    // The two may begin anew.
    const again = await it.alice.create('direct', it.bob.account)
    assert.notEqual(again, it.room)
  })

  test('a room that everybody has left is gone', async () => {
    await using it = await withTablet()
    await it.world.hub.leaveRoom(it.bob.asker, it.room)
    await it.world.hub.leaveRoom(it.alice.asker, it.room)
    assert.deepEqual(await it.world.hub.listRooms(it.alice.asker), [])
  })

  test('the owner’s device that was unlinked does not stop the room', async () => {
    await using it = await withTablet()
    const laptop = await it.alice.account.link()
    await laptop.join(it.room)
    await it.alice.account.unlink(laptop)
    await it.world.hub.clean()
    await it.bob.receive()
    await it.bob.submit(it.room, { manifests: [it.alice.account.manifest] })
    await it.bob.receive()
    await it.bob.send(it.room, 'goes on')
    assert.deepEqual(await it.alice.receive(), ['goes on'])
  })

  test('a device that is unlinked while a commit takes it out stands in nobody’s way', async () => {
    await using database = await open()
    const hold = { next: Promise.resolve() }
    await using world = openWorld({
      ...database,
      transaction: (work) =>
        database.transaction(async (tx) => {
          const done = await work(tx)
          await hold.next
          return done
        }),
    })
    const [alice, bob, carol] = [await world.device(), await world.device(), await world.device()]
    for (const each of [bob, carol]) await world.hub.answerConsent(each.asker, alice.account.address, true)
    const room = await alice.create('group', bob.account)
    await alice.receive()
    const tablet = await bob.account.link()
    await tablet.join(room)
    for (const each of [alice, bob, tablet]) await each.receive()
    const place = leavesOf(alice.rooms.get(room)!.state).find(({ signatureKey }) =>
      Buffer.from(signatureKey).equals(tablet.keys.publicKey),
    )!.index
    const commit = await alice.commit(room, { remove: [place], add: await alice.claim([carol.account]) })

    // The commit has done all but commit when the manifest comes.
    const gate = Promise.withResolvers<void>()
    hold.next = gate.promise
    const accepted = world.hub.submitCommit(alice.asker, commit)
    await sleep(100)
    const unlinked = bob.account.unlink(tablet)
    await sleep(100)
    hold.next = Promise.resolve()
    gate.resolve()
    await Promise.all([accepted, unlinked])
    await world.hub.clean()

    // Carol stands where the tablet stood.
    for (const each of [alice, bob, carol]) await each.receive()
    assert.equal(leavesOf(alice.rooms.get(room)!.state).length, 3)
    await alice.send(room, 'to all three')
    assert.deepEqual(await carol.receive(), ['to all three'])
  })

  test('a removal is of a device, whoever stands in the place that was noted', async () => {
    await using it = await withTablet()
    const { hub, database } = it.world
    await database.query(
      `insert into hub.removal (room_no, device_id, account, leaf, manifest_number)
        select no, 'AAAAAAAAAAAAAAAAAAAAAA', $1, 0, 1 from hub.room where id = $2`,
      [it.bob.account.address, it.room],
    )
    const message = await it.bob.message(it.room, 'goes on')
    const error = await hub.submitMessage(it.bob.asker, message).catch((refused) => refused)
    assert.equal(error.code, 'pending-proposal')
    assert.deepEqual(error.proposals, [])
    await hub.submitMessage(it.bob.asker, message)
    assert.deepEqual(await it.alice.receive(), ['goes on'])
  })
})
