import assert from 'node:assert/strict'
import { after, beforeEach, describe, test } from 'node:test'
import { toBase64Url } from '../../crypto/index.ts'
import { nodeCrypto as crypto } from '../../crypto/node.ts'
import { freshDatabase } from '../../store/testing.ts'
import type { InvitePut } from '../index.ts'
import { openGuest } from '../testing/guest.ts'
import { refusal } from '../testing/values.ts'
import { openWorld, type World } from '../testing/world.ts'

const day = 24 * 3_600_000
const none = new Uint8Array()
const database = await freshDatabase()
let world: World
after(async () => {
  await world[Symbol.asyncDispose]()
  await database.close()
})
beforeEach(async () => {
  await world?.[Symbol.asyncDispose]()
  world = openWorld(database)
})

async function invited(options: Partial<InvitePut> = {}) {
  const host = await world.device()
  const invite = toBase64Url(crypto.randomBytes(16))
  const put: InvitePut = {
    invite,
    pin: none,
    approval: false,
    singleUse: true,
    expiresInMs: 0,
    idleMs: 0,
    shown: Uint8Array.of(1, 2, 3),
    replaces: '',
    ...options,
  }
  await world.hub.putInvite(host.asker, put)
  return { host, invite, put }
}

async function enter(invite: string, keys = crypto.generateKeyPair(), pin: Uint8Array = none) {
  const introduction = Uint8Array.of(7)
  return { keys, entry: await world.hub.enterInvite({ invite, pin, accountKey: keys.publicKey, introduction }) }
}

async function comeIn(invite: string) {
  const { keys, entry } = await enter(invite)
  const guest = await openGuest(world, invite, entry, keys)
  await world.hub.createGuestRoom(guest.creation)
  await guest.device.receive()
  return guest
}

async function chatting(options: Partial<InvitePut> = {}) {
  const { host, invite, put } = await invited(options)
  return { host, invite, put, ...(await comeIn(invite)) }
}

describe('a link', () => {
  test('brings a guest and the host together, while the host is away', async () => {
    const { host, device, room } = await chatting()
    await device.send(room, 'good day')
    assert.deepEqual(await host.receive(), ['good day'])
    await host.send(room, 'and to you')
    assert.deepEqual(await device.receive(), ['and to you'])
    const [seen] = await world.hub.listInvites(host.asker)
    assert.deepEqual([seen?.open, seen?.chats.length], [false, 1])
  })

  test('is not used up by looking or asking, and then by one guest only', async () => {
    const { invite } = await invited()
    for (let i = 0; i < 3; i++) assert.deepEqual((await world.hub.openInvite(invite)).shown, Uint8Array.of(1, 2, 3))
    const other = await enter(invite)
    await comeIn(invite)
    await assert.rejects(world.hub.openInvite(invite), refusal('not-found'))
    await assert.rejects(enter(invite), refusal('not-found'))
    const late = await openGuest(world, invite, other.entry, other.keys)
    await assert.rejects(world.hub.createGuestRoom(late.creation), refusal('not-found'))
  })

  test('gives the same answer to the same creation', async () => {
    const { invite } = await invited()
    const { keys, entry } = await enter(invite)
    const guest = await openGuest(world, invite, entry, keys)
    const answers = [await world.hub.createGuestRoom(guest.creation), await world.hub.createGuestRoom(guest.creation)]
    assert.deepEqual(answers[0], answers[1])
  })

  test('says the same when it is unknown, expired, revoked or has no tries left', async () => {
    const unknown = toBase64Url(crypto.randomBytes(16))
    const pin = crypto.randomBytes(32)
    const { invite: expired } = await invited({ expiresInMs: day })
    const { invite: revoked, host } = await invited()
    const { invite: tried } = await invited({ pin })
    world.clock.now += day
    await world.hub.revokeInvite(host.asker, revoked, false)
    for (let left = 5; left > 0; left--) {
      assert.equal((await world.hub.openInvite(tried)).pinTries, left)
      await assert.rejects(enter(tried, undefined, crypto.randomBytes(32)), refusal('wrong-pin'))
    }
    for (const invite of [unknown, expired, revoked, tried, 'no link at all']) {
      await assert.rejects(world.hub.openInvite(invite), refusal('not-found'))
      await assert.rejects(enter(invite, undefined, pin), refusal('not-found'))
    }
  })

  test('waits for the host where the host wants to be asked', async () => {
    const { host, invite } = await invited({ approval: true, singleUse: false })
    const [one, two] = [crypto.generateKeyPair(), crypto.generateKeyPair()]
    assert.equal((await enter(invite, one)).entry.waiting, true)
    assert.equal((await enter(invite, two)).entry.keyPackages.length, 0)
    const [first, second] = await world.hub.waitingGuests(host.asker)
    assert.deepEqual(first?.introduction, Uint8Array.of(7))
    await world.hub.answerGuest(host.asker, { invite, account: first!.account, accept: true })
    await world.hub.answerGuest(host.asker, { invite, account: second!.account, accept: false })
    const { entry } = await enter(invite, one)
    await world.hub.createGuestRoom((await openGuest(world, invite, entry, one)).creation)
    await assert.rejects(enter(invite, two), refusal('not-found'))
    const other = await world.device()
    const answer = { invite, account: first!.account, accept: true }
    await assert.rejects(world.hub.answerGuest(other.asker, answer), refusal('not-found'))
  })

  test('lets somebody in for longer when its maker says so, as long as it is open', async () => {
    const { host, invite } = await invited({ expiresInMs: day })
    const other = await world.device()
    world.clock.now += day - 1
    await assert.rejects(world.hub.extendInvite(other.asker, invite, day), refusal('not-found'))
    await world.hub.extendInvite(host.asker, invite, day)
    await world.hub.extendInvite(host.asker, invite, 1)
    world.clock.now += day - 1
    await comeIn(invite)
    await assert.rejects(world.hub.extendInvite(host.asker, invite, day), refusal('not-found'))
  })

  test('is registered by people, within a number, and issued anew', async () => {
    const { host, invite, put } = await invited()
    await world.hub.putInvite(host.asker, put)
    const other = await world.device()
    await assert.rejects(world.hub.putInvite(other.asker, put), refusal('not-allowed'))
    await assert.rejects(world.hub.putInvite((await world.device('edge')).asker, put), refusal('not-allowed'))
    const again = { ...put, invite: toBase64Url(crypto.randomBytes(16)), replaces: invite }
    await world.hub.putInvite(host.asker, again)
    await assert.rejects(world.hub.openInvite(invite), refusal('not-found'))
    assert.equal((await world.hub.openInvite(again.invite)).singleUse, true)
  })

  test('is not made where the operator wants none', async () => {
    await world[Symbol.asyncDispose]()
    world = openWorld(database, { guests: false })
    await assert.rejects(invited(), refusal('unsupported'))
  })

  test('hands out KeyPackages of the host a few times to one who asks, and lets in only so many at once', async () => {
    const { invite } = await invited({ singleUse: false })
    const keys = crypto.generateKeyPair()
    for (let i = 0; i < 3; i++) await enter(invite, keys)
    await assert.rejects(enter(invite, keys), refusal('rate-limited'))
  })
})

describe('a guest', () => {
  test('has no other room, finds nobody and is found by nobody', async () => {
    const { hub } = world
    const { host, device, room } = await chatting()
    const stranger = await world.device()
    const { asker } = device
    await assert.rejects(hub.claimKeyPackages(asker, stranger.account.address), refusal('not-allowed'))
    await assert.rejects(hub.findByHandle(asker, 'anybody'), refusal('not-allowed'))
    await assert.rejects(hub.requestConsent(asker, stranger.account.address), refusal('not-allowed'))
    await assert.rejects(hub.putPreferences(asker, { handle: 'me' } as never), refusal('not-allowed'))
    await assert.rejects(hub.putInvite(asker, { invite: '', pin: none } as never), refusal('not-allowed'))
    await assert.rejects(hub.claimKeyPackages(stranger.asker, asker.account), refusal('not-reachable'))
    const creation = await device.prepareRoom('self', [], { add: { keyPackages: [], manifests: [] } })
    await assert.rejects(hub.createRoom(asker, creation), refusal('not-allowed'))
    const added = await stranger.makeKeyPackage()
    const add = { keyPackages: [added], manifests: [stranger.account.manifest] }
    await host.receive()
    await assert.rejects(host.submit(room, { add }), refusal('not-allowed'))
  })

  test('writes short texts, and only so many until the host has accepted', async () => {
    const { host, device, room } = await chatting()
    await assert.rejects(device.send(room, 'x'.repeat(20_000)), refusal('too-large'))
    for (let i = 0; i < 20; i++) await device.send(room, 'hello')
    await assert.rejects(device.send(room, 'hello'), refusal('request-limit'))
    await world.hub.answerRoom(host.asker, room, true)
    await device.send(room, 'hello')
  })
})

describe('a chat ends', () => {
  /** Nothing is left of it but the reason. */
  async function ended(reason: string, { device, host, room }: Awaited<ReturnType<typeof chatting>>) {
    assert.equal((await world.hub.findDevice(device.deviceId))?.ended, reason)
    const left = await database.query('select 1 from hub.log l join hub.room r on r.no = l.room_no where r.id = $1', [
      room,
    ])
    assert.equal(left.length, 0)
    const seen = (await world.hub.listRooms(host.asker)).find((each) => each.room === room)
    assert.deepEqual([seen?.standing, seen?.joined], ['left', false])
    await assert.rejects(host.send(room, 'anybody there?'), refusal('not-allowed'))
  }
  async function talked(options: Partial<InvitePut> = {}) {
    const chat = await chatting(options)
    await chat.device.send(chat.room, 'words')
    await chat.host.receive()
    return chat
  }

  test('when the host revokes the link, and not when the chats are kept', async () => {
    const chat = await talked()
    await world.hub.revokeInvite(chat.host.asker, chat.invite, true)
    await chat.device.send(chat.room, 'still here')
    await world.hub.revokeInvite(chat.host.asker, chat.invite, false)
    await ended('revoked', chat)
  })

  test('when one of the two blocks the other', async () => {
    const [one, two] = [await talked(), await talked()]
    await world.hub.block(one.host.asker, one.device.asker.account, true)
    await ended('blocked', one)
    await world.hub.block(two.device.asker, two.host.asker.account, true)
    await ended('blocked', two)
  })

  test('when one of the two leaves', async () => {
    const [one, two] = [await talked(), await talked()]
    await world.hub.leaveRoom(one.device.asker, one.room)
    await ended('left', one)
    await world.hub.answerRoom(two.host.asker, two.room, false)
    await ended('left', two)
  })

  test('when nothing was said for as long as the host has set; writing begins the time anew', async () => {
    const chat = await talked({ idleMs: day })
    world.clock.now += day - 1
    await chat.device.send(chat.room, 'still here')
    world.clock.now += day - 1
    await world.hub.clean()
    assert.equal((await world.hub.findDevice(chat.device.deviceId))?.ended, undefined)
    world.clock.now += 1
    // A restart at this moment changes nothing.
    const { now } = world.clock
    await world[Symbol.asyncDispose]()
    const before = world
    world = openWorld(database)
    world.clock.now = now
    before.clock.now = now
    await world.hub.clean()
    assert.equal((await world.hub.findDevice(chat.device.deviceId))?.ended, 'idle')
  })

  test('both sides are told of it a day and an hour before, also when the service was down then; and it can be kept open', async () => {
    const chat = await talked({ idleMs: 3 * day })
    const told: string[] = []
    const listenFor = (who: string, device: typeof chat.device) =>
      world.hub.listen(device.deviceId, (all) => {
        for (const news of all) if (news.kind === 'ending') told.push(who)
      })
    const look = async (at: number) => {
      world.clock.now = at
      told.length = 0
      await world.hub.clean()
      await new Promise((resolve) => setImmediate(resolve))
      return told.toSorted()
    }
    listenFor('guest', chat.device)
    listenFor('host', chat.host)
    const { endsAt } = (await world.hub.readEndings(chat.device.asker))[0]!
    const hostSees = async () => (await world.hub.readEndings(chat.host.asker)).map((each) => each.room)
    assert.deepEqual(await look(endsAt - day - 1), [])
    assert.deepEqual(await hostSees(), [])
    assert.deepEqual(await look(endsAt - day), ['guest', 'host'])
    assert.deepEqual(await look(endsAt - day / 2), [])
    assert.deepEqual(await hostSees(), [chat.room])
    // The service comes back after the moment.
    assert.deepEqual(await look(endsAt - 1000), ['guest', 'host'])

    const stranger = await world.device()
    await assert.rejects(world.hub.extendChat(stranger.asker, chat.room), refusal('not-found'))
    const ending = await world.hub.extendChat(chat.device.asker, chat.room)
    assert.equal(ending.endsAt, endsAt - 1000 + 3 * day)
    assert.deepEqual(await hostSees(), [])
    assert.deepEqual(await look(endsAt + 1), ['guest', 'host'])
    assert.equal((await world.hub.findDevice(chat.device.deviceId))?.ended, undefined)
    await world.hub.extendChat(chat.host.asker, chat.room)
    await look(endsAt + 1 + 3 * day)
    await ended('idle', chat)
    await assert.rejects(world.hub.extendChat(chat.host.asker, chat.room), refusal('not-found'))
  })

  test('for good: the guest does not come back with another device', async () => {
    const chat = await talked()
    await world.hub.leaveRoom(chat.device.asker, chat.room)
    await assert.rejects(world.hub.putManifest(chat.anotherDevice()), refusal('not-allowed'))
    const other = await talked()
    await world.hub.putManifest(other.anotherDevice())
  })

  test('and is forgotten whole after a while', async () => {
    const chat = await talked()
    await world.hub.leaveRoom(chat.device.asker, chat.room)
    world.clock.now += 31 * day
    await world.hub.clean()
    assert.equal(await world.hub.findDevice(chat.device.deviceId), undefined)
    assert.equal((await world.hub.listRooms(chat.host.asker)).length, 0)
  })
})
