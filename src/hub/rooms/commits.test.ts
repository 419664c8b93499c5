import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { nodeCrypto as crypto } from '../../crypto/node.ts'
import { issueCertificate } from '../../identity/index.ts'
import { manifestsExtension } from '../../mls/index.ts'
import { freshDatabase, onBothDialects } from '../../store/testing.ts'
import { makeDevice } from '../testing/device.ts'
import { newRoom, randomKey, refusal } from '../testing/values.ts'
import { openWorld } from '../testing/world.ts'

const day = 24 * 3600

onBothDialects('commits', (open) => {
  test('of two commits of one epoch exactly one is accepted, however close they come', async () => {
    await using database = await open()
    await using world = openWorld(database)
    const [alice, bob] = [await world.device(), await world.device()]
    const room = await alice.create('direct', bob.account)
    await alice.receive()
    await bob.receive()
    for (let round = 0; round < 3; round++) {
      const commits = [await alice.commit(room), await bob.commit(room)] as const
      const results = await Promise.allSettled([
        world.hub.submitCommit(alice.asker, commits[0]),
        world.hub.submitCommit(bob.asker, commits[1]),
      ])
      const refused = results.filter((result) => result.status === 'rejected')
      assert.equal(refused.length, 1)
      assert.equal(refused[0]!.reason.code, 'wrong-epoch')
      await alice.receive()
      await bob.receive()
    }
    await alice.send(room, 'still one group')
    assert.deepEqual(await bob.receive(), ['still one group'])
  })

  test('many messages and commits at once leave a log without gaps or repeats', async () => {
    await using database = await open()
    await using world = openWorld(database)
    const [alice, bob] = [await world.device(), await world.device()]
    const room = await alice.create('direct', bob.account)
    await world.hub.answerRoom(bob.asker, room, true)
    await alice.receive()
    await bob.receive()
    const messages = []
    for (let i = 0; i < 8; i++) messages.push(await alice.message(room, `${i}`))
    const submitted = await Promise.all(
      [...messages, ...messages].map((message) => world.hub.submitMessage(alice.asker, message)),
    )
    const seqs = [...new Set(submitted.map(({ seq }) => seq))].sort((a, b) => a - b)
    assert.deepEqual(seqs, [2, 3, 4, 5, 6, 7, 8, 9])
    assert.equal((await bob.receive()).length, 8)
  })

  test('a device joins the rooms of its account by external commit and takes part', async () => {
    await using database = await open()
    await using world = openWorld(database)
    const [alice, bob] = [await world.device(), await world.device()]
    const room = await alice.create('direct', bob.account)
    await alice.receive()
    await alice.send(room, 'before')
    const tablet = await alice.account.link()
    assert.equal((await world.hub.listRooms(tablet.asker))[0]!.joined, false)
    await tablet.join(room)
    assert.equal((await world.hub.listRooms(tablet.asker))[0]!.joined, true)
    await alice.receive()
    await alice.send(room, 'after')
    assert.deepEqual(await tablet.receive(), ['after'])
    assert.deepEqual(await bob.receive(), ['before', 'after'])
    await bob.send(room, 'to both')
    assert.deepEqual(await tablet.receive(), ['to both'])
    assert.deepEqual(await alice.receive(), ['to both'])
    // Having lost its state it joins again, in place of its old leaf.
    await tablet.join(room)
    await alice.receive()
    await alice.send(room, 'again')
    assert.deepEqual(await tablet.receive(), ['again'])
  })
})

describe('a commit is refused', () => {
  async function room() {
    const database = await freshDatabase()
    const world = openWorld(database)
    const [alice, bob] = [await world.device(), await world.device()]
    await world.hub.answerConsent(bob.asker, alice.account.address, true)
    const id = await alice.create('group', bob.account)
    await alice.receive()
    await bob.receive()
    return {
      world,
      alice,
      bob,
      id,
      async [Symbol.asyncDispose]() {
        await world[Symbol.asyncDispose]()
        await database.close()
      },
    }
  }

  test('that adds a device with a certificate by another key than the account’s', async () => {
    await using it = await room()
    const carol = await it.world.account()
    const forger = crypto.generateKeyPair()
    const posing = makeDevice(carol, 'companion', (deviceKey) =>
      issueCertificate(crypto, forger.privateKey, {
        account: carol.address,
        accountKey: forger.publicKey,
        deviceKey,
        kind: 'companion',
        notBefore: carol.seconds() - day,
        notAfter: carol.seconds() + day,
      }),
    )
    const add = { keyPackages: [await posing.makeKeyPackage()], manifests: [carol.manifest] }
    await assert.rejects(it.alice.submit(it.id, { add }), refusal('bad-certificate', { retry: false }))
  })

  test('that adds a device whose certificate has expired by the log’s time', async () => {
    await using it = await room()
    const carol = await it.world.account()
    const ended = { notAfter: carol.seconds() - 1 }
    const late = makeDevice(carol, 'companion', (deviceKey) => carol.certify(deviceKey, 'companion', ended))
    const add = { keyPackages: [await late.makeKeyPackage()], manifests: [carol.manifest] }
    await assert.rejects(it.alice.submit(it.id, { add }), refusal('bad-certificate'))
    const dave = await it.world.account()
    const claimed = await it.alice.claim([dave])
    const commit = await it.alice.commit(it.id, { add: claimed })
    it.world.clock.now += 400 * day * 1000
    await assert.rejects(it.world.hub.submitCommit(it.alice.asker, commit), refusal('bad-certificate'))
  })

  test('that adds an edge which calls itself a phone', async () => {
    await using it = await room()
    const ghost = await it.world.account('edge')
    const posing = makeDevice(ghost, 'primary')
    const add = { keyPackages: [await posing.makeKeyPackage()], manifests: [ghost.manifest] }
    await assert.rejects(it.alice.submit(it.id, { add }), refusal('bad-certificate'))
  })

  test('that adds a device which its account’s manifest does not list', async () => {
    await using it = await room()
    const carol = await it.world.account()
    const unlisted = makeDevice(carol, 'companion')
    const add = { keyPackages: [await unlisted.makeKeyPackage()], manifests: [carol.manifest] }
    await assert.rejects(it.alice.submit(it.id, { add }), refusal('not-in-manifest'))
    const without = { keyPackages: [await carol.devices[0]!.makeKeyPackage()], manifests: [] }
    await assert.rejects(it.alice.submit(it.id, { add: without }), refusal('not-in-manifest'))
  })

  test('that puts an older manifest in force, or another one under the same number', async () => {
    await using it = await room()
    const old = it.bob.account.manifest
    const tablet = await it.bob.account.link()
    await tablet.join(it.id)
    await it.alice.receive()
    await assert.rejects(it.alice.submit(it.id, { manifests: [old] }), refusal('old-manifest'))
    const twin = it.bob.account.sign(it.bob.account.devices, {
      number: it.bob.account.number,
      notAfter: it.bob.account.seconds() + 5 * day,
    })
    await assert.rejects(it.alice.submit(it.id, { manifests: [twin] }), refusal('old-manifest'))
  })

  test('that brings in an account by a manifest which has been overtaken', async () => {
    await using it = await room()
    const carol = await it.world.account()
    const claimed = await it.alice.claim([carol])
    await carol.link()
    await assert.rejects(it.alice.submit(it.id, { add: claimed }), refusal('old-manifest'))
  })

  test('that is malformed, too large, of another room, or no commit at all', async () => {
    await using it = await room()
    const { hub } = it.world
    const commit = await it.alice.commit(it.id)
    const message = await it.alice.message(it.id, 'x')
    const submit = (change: Partial<typeof commit>) => hub.submitCommit(it.alice.asker, { ...commit, ...change })
    const cut = commit.commit.slice(0, -10)
    await assert.rejects(submit({ commit: new Uint8Array() }), refusal('malformed'))
    await assert.rejects(submit({ commit: crypto.randomBytes(300) }), refusal('malformed'))
    await assert.rejects(submit({ commit: cut }), refusal('malformed'))
    await assert.rejects(submit({ commit: message.message }), refusal('malformed'))
    await assert.rejects(submit({ groupInfo: commit.commit }), refusal('malformed'))
    await assert.rejects(submit({ key: new Uint8Array(15) }), refusal('malformed'))
    await assert.rejects(submit({ commit: new Uint8Array(3 * 1024 * 1024) }), refusal('too-large'))
    await assert.rejects(submit({ room: newRoom() }), refusal('malformed'))
    const flipped = commit.commit.slice()
    flipped[flipped.length - 40]! ^= 1
    await assert.rejects(submit({ commit: flipped }), (error: { code: string }) =>
      ['bad-commit', 'malformed'].includes(error.code),
    )
  })

  test('whose GroupInfo is of another epoch or states other manifests', async () => {
    await using it = await room()
    const commit = await it.alice.commit(it.id)
    const stale = (await it.world.hub.getGroupInfo(it.alice.asker, it.id)).groupInfo
    const { hub } = it.world
    await assert.rejects(hub.submitCommit(it.alice.asker, { ...commit, groupInfo: stale }), refusal('bad-commit'))
    const lying = await it.alice.commit(it.id, { groupInfoExtensions: [manifestsExtension(new Map())] })
    await assert.rejects(hub.submitCommit(it.alice.asker, lying), refusal('bad-commit'))
  })

  test('that is submitted by another device than the one that made it', async () => {
    await using it = await room()
    const commit = await it.alice.commit(it.id)
    await assert.rejects(it.world.hub.submitCommit(it.bob.asker, commit), refusal('not-allowed'))
    const stranger = await it.world.device()
    await assert.rejects(it.world.hub.submitCommit(stranger.asker, commit), refusal('not-found'))
  })

  test('that joins from outside the accounts of the room', async () => {
    await using it = await room()
    const stranger = await it.world.device()
    await assert.rejects(stranger.prepareJoin(it.id), refusal('not-found'))
    const documents = await it.world.hub.getGroupInfo(it.alice.asker, it.id)
    // With a GroupInfo from somebody inside it gets no further.
    const original = it.world.hub.getGroupInfo
    it.world.hub.getGroupInfo = async () => documents
    const commit = await stranger.prepareJoin(it.id, [stranger.account.manifest], false)
    it.world.hub.getGroupInfo = original
    await assert.rejects(it.world.hub.submitCommit(stranger.asker, commit), refusal('not-found'))
  })

  test('that removes somebody whom the committer has no say over', async () => {
    await using it = await room()
    const index = 0 // Alice made the group.
    await assert.rejects(it.bob.submit(it.id, { remove: [index] }), refusal('not-allowed'))
    await it.alice.submit(it.id, { remove: [1] })
    assert.equal((await it.world.hub.listRooms(it.bob.asker))[0]!.standing, 'left')
    await assert.rejects(it.world.hub.getGroupInfo(it.bob.asker, it.id), refusal('not-found'))
    await it.bob.receive()
    assert.deepEqual(await it.world.hub.roomsWithNews(it.bob.deviceId, 0, 10), [])
  })

  test('that changes what a room is, or lets somebody else propose from outside', async () => {
    await using it = await room()
    await assert.rejects(it.bob.submit(it.id, { extensions: [] }), refusal('not-allowed'))
    await assert.rejects(it.alice.submit(it.id, { extensions: [] }), refusal('not-allowed'))
  })

  test('that makes a room under another kind, another id, or without the hub’s key', async () => {
    await using it = await room()
    const { hub } = it.world
    await it.bob.publish(10)
    const create = async (change: Parameters<typeof it.alice.prepareRoom>[2], kind: 'group' | 'direct' = 'group') => {
      const creation = await it.alice.prepareRoom(kind, [it.bob.account], change)
      return hub.createRoom(it.alice.asker, creation)
    }
    await assert.rejects(create({ stated: 'direct' }), refusal('bad-commit'))
    await assert.rejects(create({ senders: crypto.generateKeyPair().publicKey }), refusal('bad-commit'))
    await assert.rejects(create({ room: 'mimi://other.example/r/AAAAAAAAAAAAAAAAAAAAAA' }), refusal('malformed'))
    await assert.rejects(create({ manifests: [] }), refusal('not-in-manifest'))
    const creation = await it.alice.prepareRoom('group', [it.bob.account])
    const groupInfo = Buffer.concat([creation.groupInfo, new Uint8Array(20_000)])
    await assert.rejects(hub.createRoom(it.alice.asker, { ...creation, groupInfo }), refusal('too-large'))
    const moved = { ...creation, room: newRoom() }
    await assert.rejects(
      hub.createRoom(it.alice.asker, { ...moved, commit: { ...moved.commit, room: moved.room } }),
      refusal('malformed'),
    )
    await assert.rejects(hub.createRoom(it.alice.asker, { ...creation, kind: 'guest' }), refusal('not-allowed'))
    const alone = await it.alice.prepareRoom('direct', [])
    await assert.rejects(hub.createRoom(it.alice.asker, alone), refusal('not-allowed'))
    assert.equal((await hub.listRooms(it.alice.asker)).length, 1)
  })

  test('and a message too, when it is no application message of the room', async () => {
    await using it = await room()
    const { hub } = it.world
    const { commit } = await it.alice.commit(it.id)
    const good = await it.alice.message(it.id, 'x')
    const submit = (message: Uint8Array, room = it.id) =>
      hub.submitMessage(it.alice.asker, { room, key: randomKey(), message })
    await assert.rejects(submit(commit), refusal('malformed'))
    await assert.rejects(submit(crypto.randomBytes(100)), refusal('malformed'))
    await assert.rejects(submit(new Uint8Array(70_000)), refusal('too-large'))
    await assert.rejects(submit(good.message, newRoom()), refusal('malformed'))
    const stranger = await it.world.device()
    await assert.rejects(hub.submitMessage(stranger.asker, good), refusal('not-found'))
    const tablet = await it.alice.account.link()
    await assert.rejects(hub.submitMessage(tablet.asker, good), refusal('not-allowed'))
  })
})
