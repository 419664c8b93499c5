/** What the primary hands to the account's other devices: names and keys of everybody, certificates before they end. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { accounts } from '../src/client/state/records.ts'
import { textMessage } from '../src/content/index.ts'
import { toBase64Url } from '../src/crypto/index.ts'
import { nodeCrypto } from '../src/crypto/node.ts'
import { type AccountAddress, decodeCredential, type RoomId, readCertificate } from '../src/identity/index.ts'
import { decodeState, leavesOf } from '../src/mls/index.ts'
import { expectTexts, listen, type TestDevice, testProvider, until } from './support/provider.ts'

const text = (plain: string) => textMessage({ plain })
const day = 24 * 60 * 60

const nameOf = async ({ device }: TestDevice, room: RoomId, address: string) =>
  (await device.members(room)).find((member) => member.address === address)?.profile?.name

describe('a newly linked device', () => {
  test('knows the names that were told before it came, its own account among them', async () => {
    await using provider = await testProvider()
    const [alice, bob] = [await provider.register('alice'), await provider.register('bob')]
    await alice.device.setProfile({ name: 'Alice' })
    await bob.device.setProfile({ name: 'Bob' })
    const room = await alice.device.createDirectRoom(bob.device.address)
    await until('the room at bob', async () => (await bob.device.room(room))?.joined === true)
    await bob.device.accept(room)
    await until('both names', async () => {
      const seen = [await nameOf(alice, room, bob.device.address), await nameOf(bob, room, alice.device.address)]
      return seen.join() === 'Bob,Alice'
    })

    const heard: string[] = []
    const tablet = await provider.link(alice.device, {
      before: (device) => void device.on('profile', ({ profile }) => void heard.push(profile.name ?? '')),
    })
    await until('the conversation on the tablet', async () => (await tablet.device.room(room))?.joined === true)
    await until('the names on the tablet', async () => {
      const seen = [await nameOf(tablet, room, bob.device.address), await nameOf(tablet, room, alice.device.address)]
      return seen.join() === 'Bob,Alice'
    })
    assert.deepEqual(heard.toSorted(), ['Alice', 'Bob'])
    // Nothing of it was shown as a message, and a name that changes on one device changes on the other.
    await tablet.device.setProfile({ name: 'Alice the second' })
    await until('the new name on the phone', async () => {
      return (await nameOf(alice, room, alice.device.address)) === 'Alice the second'
    })
  })

  test('knows everybody, also where that takes several messages', async () => {
    await using provider = await testProvider()
    const alice = await provider.register('alice')
    const known = Array.from({ length: 400 }, (_, index) => ({
      address: `mimi://provider.example/u/${toBase64Url(nodeCrypto.randomBytes(16))}` as AccountAddress,
      record: {
        accountKey: nodeCrypto.generateKeyPair().publicKey,
        profile: { name: `Person ${index}`, foreignAddress: `@${'x'.repeat(200)}:example.org` },
      },
    }))
    await alice.storage.transaction(async (tx) => {
      for (const { address, record } of known) await accounts.put(tx, address, record)
    })
    const heard = listen(alice.device)
    const tablet = await provider.link(alice.device)
    await until('everybody on the tablet', async () => {
      const there = await tablet.storage.transaction((tx) => accounts.list(tx))
      return there.filter(({ value }) => value.profile).length === known.length
    })
    assert.deepEqual(heard.faults, [])
  })
})

describe('certificates', () => {
  const settings = {
    certificateLifetime: 10 * day,
    certificateRenewal: 3 * day,
    keyPackageLifetime: 3 * day,
  }

  /** When the certificate in each device's leaf of a room ends, as another member sees it. */
  async function ends(of: TestDevice, room: RoomId, address: string): Promise<number[]> {
    const [group, ratchets] = await of.storage.transaction(async (tx) => [
      await tx.get('group', room),
      await tx.get('ratchets', room),
    ])
    return leavesOf(decodeState({ group: group!, ratchets: ratchets! }))
      .map(({ identity }) => readCertificate(nodeCrypto, decodeCredential(identity).certificate))
      .filter(({ account }) => account === address)
      .map(({ notAfter }) => notAfter)
  }

  test('are renewed before their end, by the primary for every device of the account', async () => {
    let ahead = 0
    const clock = () => Date.now() + ahead * 1000
    await using provider = await testProvider({ clock })
    const alice = await provider.register('alice', { settings })
    const tablet = await provider.link(alice.device, { settings })
    const bob = await provider.register('bob')
    const heard = listen(bob.device)
    const room = await bob.device.createDirectRoom(alice.device.address)
    await until('the room on both devices', async () => {
      return (await alice.device.room(room))?.joined === true && (await tablet.device.room(room))?.joined === true
    })
    await alice.device.accept(room)
    await until('both leaves', async () => (await ends(bob, room, alice.device.address)).length === 2)
    const first = await ends(bob, room, alice.device.address)

    ahead = 8 * day
    for (const each of [alice, tablet, bob]) each.cut()
    const end = clock() / 1000 + 9 * day
    await until('new certificates in both leaves', async () =>
      (await ends(bob, room, alice.device.address)).every((each) => each > end),
    )
    assert.ok(first.every((each) => each < end))

    // The first certificates are over now.
    ahead = 12 * day
    for (const each of [alice, tablet, bob]) each.cut()
    await Promise.all([alice, tablet, bob].map(({ device }) => device.ready()))
    await (await tablet.device.send(room, text('still here'))).accepted
    await expectTexts(heard, ['still here'])
    const carl = await provider.register('carl')
    const [heardByAlice, heardByTablet] = [listen(alice.device), listen(tablet.device)]
    const other = await carl.device.createDirectRoom(alice.device.address)
    await (await carl.device.send(other, text('hello both'))).accepted
    await expectTexts(heardByAlice, ['hello both'])
    await expectTexts(heardByTablet, ['hello both'])
    assert.deepEqual([heardByAlice.faults, heardByTablet.faults, heard.faults], [[], [], []])
  })
})
