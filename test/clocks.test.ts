// Devices whose clocks are wrong: what goes on, what is refused and how it is said, and what comes right by itself.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { joinByInvite, memoryStorage, openInvite, registerPrimary } from '../src/client/index.ts'
import { nextManifest } from '../src/client/state/records.ts'
import { textMessage } from '../src/content/index.ts'
import { nodeCrypto } from '../src/crypto/node.ts'
import type { ServerFrame } from '../src/protocol/index.ts'
import { expectTexts, listen, testProvider, until } from './support/provider.ts'

const minute = 60_000
const hour = 60 * minute
const day = 24 * hour
const text = (plain: string) => textMessage({ plain })
const refused = (code: string) => ({ name: 'ClientError', code })
const wrongClock = refused('wrong-clock')

/** A clock of one device, which a test sets. */
function ownClock(wrong = 0) {
  const clock = () => Date.now() + clock.wrong
  clock.wrong = wrong
  return clock
}

describe('a clock that is wrong', () => {
  for (const [how, wrong] of [
    ['ahead', 2 * hour],
    ['behind', -2 * hour],
    ['days ahead', 20 * day],
    ['days behind', -20 * day],
  ] as const)
    test(`${how}: nothing is registered, linked, invited or joined, and the same works once it is set`, async () => {
      await using provider = await testProvider()
      const clock = ownClock(wrong)
      const device = () => ({ connection: provider.connection(), crypto: nodeCrypto, mls: provider.mls, clock })
      const storage = memoryStorage()
      const accessToken = JSON.stringify({ subject: 'alice', kind: 'person' })
      await assert.rejects(registerPrimary({ ...device(), storage, accessToken }), wrongClock)
      const [accounts] = await provider.database.query<{ count: number }>(
        'select count(*)::int4 as count from hub.account',
      )
      assert.equal(accounts?.count, 0)
      clock.wrong = 0
      const alice = await provider.register('alice', { clock, storage })
      const { link } = await alice.device.createInvite()

      clock.wrong = wrong
      await assert.rejects(alice.device.createInvite(), wrongClock)
      await assert.rejects(provider.link(alice.device), wrongClock)
      const guest = { ...device(), storage: memoryStorage(), link, name: 'Mia' }
      await assert.rejects(joinByInvite(guest), wrongClock)
      await openInvite(guest, link)
      clock.wrong = 0
      await alice.device.createInvite()
      await provider.link(alice.device)
      await using mia = await joinByInvite(guest)
      assert.equal((await mia.rooms()).length, 1)
    })

  for (const [how, wrong] of [
    ['ahead', 50 * minute],
    ['behind', -50 * minute],
  ] as const)
    test(`by less than an hour, ${how}, is no hindrance, also towards somebody who has just come`, async () => {
      await using provider = await testProvider()
      const wronged = { clock: ownClock(wrong) }
      const [alice, bob] = [await provider.register('alice', wronged), await provider.register('bob')]
      const heard = [listen(alice.device), listen(bob.device)] as const
      const room = await alice.device.createDirectRoom(bob.device.address)
      await alice.device.send(room, text('hello'))
      await expectTexts(heard[1], ['hello'])
      await bob.device.accept(room)
      await bob.device.send(room, text('hello yourself'))
      await expectTexts(heard[0], ['hello yourself'])
      const carol = await provider.register('carol')
      const group = await bob.device.createGroup({ name: 'three', members: [alice.device.address] })
      await until('the group', async () => (await alice.device.room(group))?.joined === true)
      await carol.device.requestConsent(alice.device.address).catch(() => {})
      const theirs = await carol.device.createDirectRoom(alice.device.address)
      await until('the other room', async () => (await alice.device.room(theirs))?.joined === true)
      await alice.device.accept(theirs)
      await alice.device.addMembers(group, [carol.device.address])
      await until('carol in the group', async () => (await carol.device.room(group))?.joined === true)
      assert.deepEqual(
        heard.flatMap(({ faults }) => faults),
        [],
      )
    })

  for (const [how, wrong] of [
    ['ahead', 20 * day],
    ['behind', -3 * day],
  ] as const)
    test(`${how}, of a device that was there before: conversations go on, it is told, and all is well once it is set`, async () => {
      await using provider = await testProvider()
      const clock = ownClock()
      const first = await provider.register('alice', { clock })
      const bob = await provider.register('bob')
      const heardByBob = listen(bob.device)
      const room = await first.device.createDirectRoom(bob.device.address)
      await first.device.send(room, text('one'))
      await expectTexts(heardByBob, ['one'])
      await bob.device.accept(room)
      await first.crash()
      clock.wrong = wrong
      const carol = await provider.register('carol')
      const faults: string[] = []
      let heard: ReturnType<typeof listen> | undefined
      const alice = await provider.reopen(first.storage, {
        clock,
        before(device) {
          heard = listen(device)
          device.on('fault', ({ code }) => void faults.push(code))
        },
      })
      await until('the word about the clock', () => faults.includes('wrong-clock'))
      await alice.device.send(room, text('two'))
      await bob.device.send(room, text('three'))
      await expectTexts(heardByBob, ['one', 'two'])
      await expectTexts(heard!, ['three'])
      await assert.rejects(alice.device.createDirectRoom(carol.device.address), wrongClock)
      assert.deepEqual([...new Set(faults)], ['wrong-clock'])

      clock.wrong = 0
      const another = await alice.device.createDirectRoom(carol.device.address)
      await alice.device.send(another, text('hello'))
      await until('the new room', async () => (await carol.device.room(another))?.joined === true)
    })

  test('is not said of a device whose clock was set right since, or whose provider was', async () => {
    let ahead = 0
    const clock = () => Date.now() + ahead
    await using provider = await testProvider({ clock })
    const alice = await provider.register('alice')
    const faults: string[] = []
    alice.device.on('fault', ({ code }) => void faults.push(code))
    // Both are days further, and the greeting was days ago.
    ahead = 5 * day
    await alice.device.createInvite()
    await provider.link(alice.device)
    assert.deepEqual(faults, [])
  })

  test('is found by the provider too, from a device that does not look', async () => {
    await using provider = await testProvider()
    const clock = ownClock(3 * hour)
    const down = (frame: ServerFrame): ServerFrame => {
      if (frame.body.case === 'hello' || frame.body.case === 'pong') frame.body.value.serverTimeMs = BigInt(clock())
      return frame
    }
    await assert.rejects(provider.register('alice', { clock, tap: { down } }), wrongClock)
  })
})

describe('a device that was away for longer than its manifest holds', () => {
  test('makes the next one anew when it had not got through', async () => {
    let ahead = 0
    const clock = () => Date.now() + ahead
    await using provider = await testProvider({ clock })
    let lost = false
    const alice = await provider.register('alice', {
      tap: { up: (frame) => (lost && frame.request.case === 'putManifest' ? undefined : frame) },
    })
    const tablet = await provider.link(alice.device)
    lost = true
    void alice.device.unlink(tablet.device.deviceId).catch(() => {})
    await until('a manifest that waits', async () =>
      alice.storage.transaction(async (tx) => (await nextManifest.get(tx)) !== undefined),
    )
    await alice.crash()
    await tablet.crash()
    ahead = 31 * day
    const faults: string[] = []
    const back = await provider.reopen(alice.storage, {
      before: (device) => void device.on('fault', ({ code }) => void faults.push(code)),
    })
    await back.device.ready()
    await until('nothing that waits', async () =>
      alice.storage.transaction(async (tx) => (await nextManifest.get(tx)) === undefined),
    )
    assert.deepEqual(faults, [])
    const bob = await provider.register('bob')
    const room = await bob.device.createDirectRoom(back.device.address)
    await until('the room', async () => (await back.device.room(room))?.joined === true)
    // What the manifest that got lost was to say holds.
    const [linked] = await provider.database.query<{ count: number }>(
      'select count(*)::int4 as count from hub.device where account = $1 and unlinked_at is null',
      [back.device.address],
    )
    assert.equal(linked?.count, 1)
  })
})
