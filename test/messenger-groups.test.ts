import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { ClientError, Device, GroupChange } from '../src/client/index.ts'
import { rosters } from '../src/client/state/records.ts'
import { textMessage } from '../src/content/index.ts'
import { nodeCrypto } from '../src/crypto/node.ts'
import {
  type AccountAddress,
  decodeRoster,
  type GroupRoom,
  newAccountAddress,
  type RoomId,
  readVerifiedLeaf,
  rolesIn,
  statedManifests,
} from '../src/identity/index.ts'
import {
  createCommit,
  decodeState,
  extensionsOf,
  extensionTypes,
  type GroupState,
  leavesOf,
  manifestsExtension,
  readRoom,
  withRoom,
} from '../src/mls/index.ts'
import { decodePublicGroup, publicExtensionsOf, publicLeaves } from '../src/mls/public.ts'
import { EntryKind } from '../src/protocol/index.ts'
import { beginIncarnation } from '../src/store/index.ts'
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

  test('takes as many accounts at once as a commit holds; of more nobody is asked', async () => {
    const it = await group()
    let claims = 0
    it.alice.tap.up = (frame) => {
      if (frame.request.case === 'claimKeyPackages') claims++
      return frame
    }
    const strangers = (count: number) =>
      Array.from({ length: count }, () => newAccountAddress(nodeCrypto, 'provider.example'))
    const { device } = it.alice
    await assert.rejects(device.createGroup({ name: 'All', members: strangers(64) }), refused('too-large'))
    await assert.rejects(device.addMembers(it.room, strangers(65)), refused('too-large'))
    assert.equal(claims, 0)
    const most = [...strangers(63), device.address]
    await assert.rejects(device.createGroup({ name: 'All', members: most }), refused('not-reachable'))
    await assert.rejects(device.addMembers(it.room, [...most, ...strangers(1)]), refused('not-reachable'))
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

  test('does not keep what a removed member had not sent yet', async () => {
    const it = await group()
    it.bob.tap.up = (frame) => (frame.request.case === 'submitMessage' ? undefined : frame)
    const { accepted } = await it.bob.device.send(it.room, text('too late'))
    await it.alice.device.removeMember(it.room, it.bob.device.address)
    await assert.rejects(accepted, refused('not-joined'))
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

  test('is entered anew where the provider has another epoch and nothing under way explains it', async () => {
    const it = await group()
    await it.bob.crash()
    await it.alice.device.rename(it.room, 'Renamed')
    // The provider takes it that Bob has everything.
    await provider.database.query(
      'update hub.mailbox m set acked = r.next_seq - 1 from hub.room r where r.no = m.room_no and r.id = $1 and m.device_id = $2',
      [it.room, it.bob.device.deviceId],
    )
    const gaps: RoomId[] = []
    const before = (device: Device) => void device.on('gap', ({ room }) => void gaps.push(room))
    const bob = await provider.reopen(it.bob.storage, { before })
    await until('the name', async () => (await bob.device.room(it.room))?.name === 'Renamed')
    await agree(it.room, [it.alice, it.tablet, bob, it.carol])
    assert.deepEqual(gaps, [it.room])

    // The provider was put back to an older state of the group, and says so.
    const { database } = provider
    const [{ no, epoch }] = (await database.query('select no, epoch from hub.room where id = $1', [it.room])) as [
      { no: number; epoch: number },
    ]
    await database.query('create table saved_group as select * from hub.room_group where room_no = $1', [no])
    await it.alice.device.rename(it.room, 'Lost')
    await until('the name everywhere', async () => (await it.carol.device.room(it.room))?.name === 'Lost')
    await database.query('delete from hub.room_group where room_no = $1', [no])
    await database.query('insert into hub.room_group select * from saved_group')
    await database.query('update hub.room set epoch = $2 where no = $1', [no, epoch])
    await database.transaction((tx) => beginIncarnation(tx))
    for (const each of [it.alice, it.tablet, bob, it.carol]) each.cut()
    const heard = listen(bob.device)
    await until(
      'the group as the provider has it',
      async () => (await it.alice.device.room(it.room))?.name === 'Renamed',
    )
    await agree(it.room, [it.alice, it.tablet, bob, it.carol])
    await (await it.alice.device.send(it.room, text('together again'))).accepted
    await expectTexts(heard, ['together again'])
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

describe('what the rule of a group forbids', () => {
  type Plan = (it: Awaited<ReturnType<typeof group>>, state: GroupState) => Parameters<typeof createCommit>[2]
  const stated = (state: GroupState, change: Partial<GroupRoom>) => ({
    extensions: withRoom(extensionsOf(state), { ...(readRoom(extensionsOf(state)) as GroupRoom), ...change }),
  })
  const plans: Record<string, Plan> = {
    'that makes its committer an owner': (it, state) =>
      stated(state, { roles: new Map([[it.bob.device.address, 'owner']]) }),
    'that renames it, by a plain member': (_, state) => stated(state, { name: 'Bob’s' }),
    'that removes somebody, by a plain member': (it, state) => ({
      remove: leavesOf(state)
        .filter(({ identity }) => readVerifiedLeaf(nodeCrypto, identity).address === it.alice.device.address)
        .map(({ index }) => index),
    }),
    'that takes the hub’s say away': (_, state) => ({
      extensions: extensionsOf(state).filter(({ type }) => type !== extensionTypes.externalSenders),
    }),
    'that makes something else of it': (_, state) => ({
      extensions: withRoom(extensionsOf(state), { kind: 'direct' }),
    }),
    'with a state that nobody can read': (_, state) => ({
      extensions: extensionsOf(state).map((each) =>
        each.type === extensionTypes.siltaRoom ? { ...each, data: new Uint8Array([0xa0]) } : each,
      ),
    }),
  }

  /** A commit as a device makes it whose program has no rule. */
  async function unruly(
    maker: TestDevice,
    room: RoomId,
    plan: (state: GroupState) => Parameters<typeof createCommit>[2],
  ) {
    const [state, roster] = await maker.storage.transaction(async (tx) => [
      decodeState({ group: (await tx.get('group', room))!, ratchets: (await tx.get('ratchets', room))! }),
      decodeRoster((await rosters.get(tx, room))!.manifests),
    ])
    const groupInfoExtensions = [manifestsExtension(statedManifests(roster))]
    return createCommit(provider.mls, state, { ...plan(state), groupInfoExtensions, forcePath: true })
  }

  for (const [what, plan] of Object.entries(plans))
    test(`a commit ${what} is refused by the hub, and by members when the hub lets it pass`, async () => {
      const it = await group()
      await agree(it.room, it.all)
      const { commit, groupInfo } = await unruly(it.bob, it.room, (state) => plan(it, state))
      const { address: account, deviceId: device } = it.bob.device
      const asker = { device, account, deviceKind: 'primary', accountKind: 'person' } as const
      const submission = {
        room: it.room,
        key: nodeCrypto.randomBytes(16),
        commit,
        groupInfo,
        welcome: new Uint8Array(),
      }
      await assert.rejects(provider.hub.submitCommit(asker, submission), { code: 'not-allowed' })

      const refusals: string[] = []
      it.carol.device.on('refused', ({ error, account }) => void refusals.push(`${error.code} ${account}`))
      it.carol.tap.down = (frame) => {
        if (frame.body.case === 'deliver' && frame.body.value.room === it.room)
          Object.assign(frame.body.value, { kind: EntryKind.COMMIT, message: commit })
        return frame
      }
      await it.alice.device.send(it.room, text('in its place Carol is given the commit'))
      await until('the refusal', () => refusals.length > 0)
      assert.deepEqual(refusals, [`policy-broken ${account}`])
      assert.equal((await it.carol.device.room(it.room))?.joined, false)
      await assert.rejects(it.carol.device.rename(it.room, 'x'), refused('not-joined'))
      it.carol.tap.down = (frame) => frame
      it.carol.cut()
      await it.carol.device.ready()
      assert.equal((await it.carol.device.room(it.room))?.joined, false, 'it does not come back by itself')
    })
})

test('after any sequence of changes all devices and the hub have one view', async () => {
  const it = await group()
  const people = [it.alice, it.tablet, it.bob, it.carol]
  const accounts = [it.alice, it.bob, it.carol].map(({ device }) => device.address)
  let seed = 20261122
  const pick = <T>(list: readonly T[]): T => {
    seed = (seed * 1103515245 + 12345) % 2 ** 31
    return list[Math.floor((seed / 2 ** 31) * list.length)]!
  }
  const outcomes = new Set<string>()
  for (let round = 0; round < 8; round++) {
    const tries = Array.from({ length: 3 }, (_, i) => {
      const [{ device }, account] = [pick(people), pick(accounts)]
      return pick([
        () => device.rename(it.room, `name ${round} ${i}`),
        () => device.setRole(it.room, account, pick(['owner', 'admin', 'member'] as const)),
        () => device.setRole(it.room, account, 'admin'),
        () => device.removeMember(it.room, account),
        () => device.addMembers(it.room, [account]),
        () => device.addMembers(it.room, accounts),
      ])
    })
    const results = await Promise.allSettled(tries.map((each) => each()))
    for (const result of results)
      outcomes.add(result.status === 'fulfilled' ? 'done' : (result.reason as ClientError).code)
  }
  const members = await Promise.all(
    people.map(async (each) => ({ each, joined: (await each.device.room(it.room))?.joined === true })),
  )
  const inside = members.filter(({ joined }) => joined).map(({ each }) => each)
  assert.ok(inside.length > 0)
  await agree(it.room, inside)
  const expected = new Set(['done', 'not-allowed', 'not-joined', 'not-found', 'no-key-packages'])
  assert.deepEqual(
    [...outcomes].filter((outcome) => !expected.has(outcome)),
    [],
  )
  const [row] = await provider.database.query<{ public_group: Uint8Array }>(
    'select public_group from hub.room_group g join hub.room r on r.no = g.room_no where r.id = $1',
    [it.room],
  )
  const followed = decodePublicGroup(row!.public_group)
  const state = readRoom(publicExtensionsOf(followed)) as GroupRoom
  const there = publicLeaves(followed).map(({ identity }) => readVerifiedLeaf(nodeCrypto, identity).address)
  const roles = rolesIn(state, new Set(there))
  const hub = [...roles].map(
    ([address, role]) => `${address.slice(-6)} ${role} ${there.filter((each) => each === address).length}`,
  )
  assert.equal(await seen(inside[0]!.device, it.room), `${state.name}: ${hub.sort().join(', ')}`)
})
