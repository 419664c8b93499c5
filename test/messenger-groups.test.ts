import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { ClientError, Device, GroupChange } from '../src/client/index.ts'
import { textMessage } from '../src/content/index.ts'
import type { AccountAddress, RoomId } from '../src/identity/index.ts'
import { expectTexts, listen, type TestDevice, testProvider, until } from './support/provider.ts'

let provider: Awaited<ReturnType<typeof testProvider>>
before(async () => {
  provider = await testProvider()
})
after(() => provider.close())

const text = (plain: string) => textMessage({ plain })
const refused = (code: ClientError['code']) => ({ name: 'ClientError', code })
let people = 0
const newcomer = (extra = {}) => provider.register(`member ${++people}`, extra)

/** Alice with two devices, Bob, and Carol, who may all bring each other into groups. */
async function three() {
  const [alice, bob, carol] = [await newcomer(), await newcomer(), await newcomer()]
  const tablet = await provider.link(alice.device)
  for (const { device } of [alice, bob, carol])
    for (const other of [alice, bob, carol])
      if (other.device !== device) await device.answerConsent(other.device.address, true)
  return { alice, tablet, bob, carol }
}

const joins = (room: RoomId, ...devices: TestDevice[]) =>
  until('the devices in the group', async () => {
    for (const { device } of devices) if (!(await device.room(room))?.joined) return false
    return true
  })

/** The group as a device sees it, in words that can be compared. */
async function seen(device: Device, room: RoomId): Promise<string> {
  const members = (await device.members(room)).map(
    ({ address, role, devices }) => `${address.slice(-6)} ${role} ${devices.length}`,
  )
  return `${(await device.room(room))?.name}: ${members.sort().join(', ')}`
}

async function agree(room: RoomId, devices: readonly TestDevice[]): Promise<void> {
  const views = async () => Promise.all(devices.map(({ device }) => seen(device, room)))
  await until('one view of the group', async () => new Set(await views()).size === 1)
}

function changesOf({ device }: TestDevice): GroupChange[] {
  const changes: GroupChange[] = []
  device.on('group', (change) => void changes.push(change))
  return changes
}

async function group(name = 'Friends') {
  const people = await three()
  const { alice, tablet, bob, carol } = people
  const members = [bob.device.address, carol.device.address]
  const room = await alice.device.createGroup({ name, members })
  await joins(room, alice, tablet, bob, carol)
  return { ...people, room, all: [alice, tablet, bob, carol] }
}

describe('a group', () => {
  test('is made with all devices of its members, and everybody reads what each of them writes', async () => {
    const it = await group()
    const heard = it.all.map(({ device }) => listen(device))
    await (await it.alice.device.send(it.room, text('from the phone'))).accepted
    await (await it.tablet.device.send(it.room, text('from the tablet'))).accepted
    await (await it.carol.device.send(it.room, text('from Carol'))).accepted
    await expectTexts(heard[0]!, ['from the tablet', 'from Carol'])
    await expectTexts(heard[2]!, ['from the phone', 'from the tablet', 'from Carol'])
    const { name, role, kind, other } = (await it.bob.device.room(it.room))!
    assert.deepEqual({ name, role, kind, other }, { name: 'Friends', role: 'member', kind: 'group', other: undefined })
    assert.equal((await it.tablet.device.room(it.room))?.role, 'owner')
    await agree(it.room, it.all)
    assert.deepEqual(
      heard.flatMap(({ faults }) => faults),
      [],
    )
  })

  test('takes in a device that its member links later', async () => {
    const it = await group()
    const heard = listen(it.carol.device)
    const laptop = await provider.link(it.bob.device)
    await joins(it.room, laptop)
    await (await laptop.device.send(it.room, text('from the laptop'))).accepted
    await expectTexts(heard, ['from the laptop'])
    await agree(it.room, [...it.all, laptop])
  })

  test('is renamed and ruled by its owner and admins; the rest is told no, before anything is sent', async () => {
    const it = await group()
    const changes = changesOf(it.carol)
    await assert.rejects(it.bob.device.rename(it.room, 'Bob’s'), refused('not-allowed'))
    await assert.rejects(it.bob.device.removeMember(it.room, it.carol.device.address), refused('not-allowed'))
    await assert.rejects(it.bob.device.setRole(it.room, it.bob.device.address, 'admin'), refused('not-allowed'))
    await it.alice.device.setRole(it.room, it.bob.device.address, 'admin')
    await until('the role', async () => (await it.bob.device.room(it.room))?.role === 'admin')
    await it.bob.device.rename(it.room, 'Renamed')
    await assert.rejects(it.bob.device.removeMember(it.room, it.alice.device.address), refused('not-allowed'))
    await assert.rejects(it.bob.device.setRole(it.room, it.carol.device.address, 'admin'), refused('not-allowed'))
    await assert.rejects(it.alice.device.rename(it.room, 'x'.repeat(401)), refused('too-large'))
    await assert.rejects(it.alice.device.rename(it.room, 'a\nb'), refused('malformed'))
    await agree(it.room, it.all)
    await until('two changes', () => changes.length === 2)
    assert.deepEqual(
      changes.map(({ by, name, roles }) => ({ by, name, roles })),
      [
        { by: it.alice.device.address, name: undefined, roles: [{ account: it.bob.device.address, role: 'admin' }] },
        { by: it.bob.device.address, name: 'Renamed', roles: [] },
      ],
    )
  })

  test('goes on without a member who was removed, who reads nothing more; back again it reads from then on', async () => {
    const it = await group()
    const carol = it.carol.device.address
    const heard = listen(it.carol.device)
    const changes = changesOf(it.carol)
    await it.alice.device.setRole(it.room, carol, 'admin')
    await it.alice.device.removeMember(it.room, carol)
    await until('the removal', async () => (await it.carol.device.room(it.room))?.standing === 'left')
    assert.deepEqual(changes.at(-1)?.removed, [carol])
    await (await it.bob.device.send(it.room, text('without Carol'))).accepted
    await it.carol.device.send(it.room, text('still here?')).then(
      () => assert.fail('sent'),
      (error: ClientError) => assert.equal(error.code, 'not-allowed'),
    )
    await it.bob.device.addMembers(it.room, [carol])
    await joins(it.room, it.carol)
    await until('the standing', async () => (await it.carol.device.room(it.room))?.standing === 'accepted')
    assert.equal((await it.carol.device.room(it.room))?.role, 'member')
    await (await it.bob.device.send(it.room, text('with Carol'))).accepted
    await expectTexts(heard, ['with Carol'])
    await agree(it.room, it.all)
  })

  test('lets a member go who leaves; without its owner it belongs to its admins, without these to everybody', async () => {
    const it = await group()
    const changes = changesOf(it.bob)
    await it.alice.device.leave(it.room)
    await until('the leave', async () => (await it.bob.device.members(it.room)).length === 2)
    await until('the event', () => changes.length > 0)
    assert.deepEqual(changes[0]?.left, [it.alice.device.address])
    await agree(it.room, [it.bob, it.carol])
    await it.bob.device.setRole(it.room, it.bob.device.address, 'owner')
    await it.bob.device.addMembers(it.room, [it.alice.device.address])
    await joins(it.room, it.alice, it.tablet)
    await until('the role', async () => (await it.alice.device.room(it.room))?.role === 'member')
    await agree(it.room, it.all)
  })

  test('has a place for everything that is changed at the same time', async () => {
    const it = await group()
    const dave = await newcomer()
    for (const { device } of [it.alice, it.bob, it.carol]) await dave.device.answerConsent(device.address, true)
    await it.alice.device.setRole(it.room, it.bob.device.address, 'admin')
    await it.alice.device.setRole(it.room, it.carol.device.address, 'admin')
    await agree(it.room, it.all)
    await Promise.all([
      it.alice.device.rename(it.room, 'one'),
      it.tablet.device.setRole(it.room, it.bob.device.address, 'owner'),
      it.bob.device.rename(it.room, 'two'),
      it.carol.device.addMembers(it.room, [dave.device.address]),
      it.bob.device.addMembers(it.room, [dave.device.address]),
    ])
    await joins(it.room, dave)
    await agree(it.room, [...it.all, dave])
    const names = ['one', 'two']
    assert.ok(names.includes((await dave.device.room(it.room))!.name!))
    assert.equal((await it.bob.device.room(it.room))?.role, 'owner')
  })

  test('is found as it is by a device that was away, also one that was taken out and brought back meanwhile', async () => {
    const it = await group()
    const carol = it.carol.device.address
    await it.carol.crash()
    await it.bob.crash()
    await it.alice.device.rename(it.room, 'While you were away')
    await it.alice.device.removeMember(it.room, carol)
    await it.alice.device.addMembers(it.room, [carol])
    await (await it.tablet.device.send(it.room, text('welcome back'))).accepted
    let heard: ReturnType<typeof listen> | undefined
    const gaps: RoomId[] = []
    const before = (device: Device) => {
      heard = listen(device)
      device.on('gap', ({ room }) => void gaps.push(room))
    }
    const again = await provider.reopen(it.carol.storage, { before })
    await again.device.ready()
    await until('the message', () => heard!.texts.length === 1)
    assert.deepEqual([heard!.texts, heard!.faults, gaps], [['welcome back'], [], [it.room]])
    const bob = await provider.reopen(it.bob.storage)
    await bob.device.ready()
    await agree(it.room, [it.alice, it.tablet, bob, again])
  })

  test('is not for strangers who have not consented, nor for those who have blocked or been blocked', async () => {
    const it = await group()
    const stranger = await newcomer()
    const add = (account: AccountAddress) => it.bob.device.addMembers(it.room, [account])
    await assert.rejects(add(stranger.device.address), refused('consent-required'))
    await it.bob.device.requestConsent(stranger.device.address)
    await stranger.device.answerConsent(it.bob.device.address, true)
    await stranger.device.block(it.bob.device.address)
    await assert.rejects(add(stranger.device.address), refused('not-reachable'))
    await stranger.device.block(it.bob.device.address, false)
    await it.bob.device.block(stranger.device.address)
    await assert.rejects(add(stranger.device.address), refused('blocked'))
    await it.bob.device.block(stranger.device.address, false)
    await add(stranger.device.address)
    await joins(it.room, stranger)
    assert.equal((await stranger.device.room(it.room))?.inviter, it.bob.device.address)
    await agree(it.room, [...it.all, stranger])
  })
})
