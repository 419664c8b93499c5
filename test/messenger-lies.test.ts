import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { create } from '@bufbuild/protobuf'
import type { ClientError } from '../src/client/index.ts'
import { groups, ownManifest, ratchets, selfRecord } from '../src/client/state/records.ts'
import { textMessage } from '../src/content/index.ts'
import { nodeCrypto } from '../src/crypto/node.ts'
import {
  encodeCredential,
  issueCertificate,
  issueEndorsement,
  issueManifest,
  manifestHash,
  type RoomId,
} from '../src/identity/index.ts'
import {
  createCommit,
  createGroup,
  decodeState,
  encodeRatchetsOf,
  encryptMessage,
  externalSenderExtension,
  generateKeyPackage,
  manifestsExtension,
  roomExtension,
} from '../src/mls/index.ts'
import { maxRatchetSteps } from '../src/mls/limits.ts'
import {
  type ClaimedKeyPackages,
  ErrorCode,
  ErrorSchema,
  type ServerFrame,
  WelcomeEventSchema,
} from '../src/protocol/index.ts'
import { expectTexts, listen, type Tap, type TestDevice, testProvider, until } from './support/provider.ts'

// The provider, or somebody who has taken it over, says what is not so. All of it is refused by the devices alone.

let provider: Awaited<ReturnType<typeof testProvider>>
before(async () => {
  provider = await testProvider()
})
after(() => provider.close())

const text = (plain: string) => textMessage({ plain })
const refused = (code: ClientError['code']) => ({ name: 'ClientError', code })
const now = () => Math.floor(Date.now() / 1000)
const validity = () => ({ notBefore: now() - 60, notAfter: now() + 86_400 })
let people = 0
const newcomer = (extra = {}) => provider.register(`person ${++people}`, extra)

/** Changes what a device is given when it claims KeyPackages. */
function claims(change: (claimed: ClaimedKeyPackages) => void): Required<Pick<Tap, 'down'>> {
  return {
    down(frame) {
      if (frame.body.case === 'claimedKeyPackages' && frame.body.value.keyPackages.length > 0) change(frame.body.value)
      return frame
    },
  }
}

/** An account that somebody makes up: keys, and documents signed by whatever key is given. */
async function impostor(address: TestDevice['device']['address'], providerPrivateKey: Uint8Array) {
  const account = nodeCrypto.generateKeyPair()
  const device = nodeCrypto.generateKeyPair()
  const endorsement = issueEndorsement(nodeCrypto, providerPrivateKey, {
    account: address,
    accountKey: account.publicKey,
    kind: 'person',
    ...validity(),
  })
  const certificate = issueCertificate(nodeCrypto, account.privateKey, {
    account: address,
    accountKey: account.publicKey,
    deviceKey: device.publicKey,
    kind: 'primary',
    ...validity(),
  })
  const manifest = issueManifest(nodeCrypto, account.privateKey, {
    account: address,
    number: 1,
    previous: new Uint8Array(),
    devices: [{ deviceKey: device.publicKey, kind: 'primary' }],
    ...validity(),
  })
  const identity = encodeCredential({ certificate, endorsement })
  const { publicPart } = await generateKeyPackage(provider.mls, { identity, keyPair: device, ...validity() })
  return { endorsement, manifest, keyPackages: [publicPart] }
}

async function met() {
  const [alice, bob] = [await newcomer(), await newcomer()]
  const room = await alice.device.createDirectRoom(bob.device.address)
  await until('the room', async () => (await bob.device.room(room))?.joined === true)
  await bob.device.accept(room)
  return { alice, bob, room, heardByBob: listen(bob.device), heardByAlice: listen(alice.device) }
}

/** Both have met, and need a new room. */
async function parted() {
  const { alice, bob, room } = await met()
  await bob.device.leave(room)
  await until('the leave', async () => (await alice.device.room(room))?.otherStanding === 'left')
  return { alice, bob }
}

describe('KeyPackages of an account are refused', () => {
  test('when the endorsement is by another key than the provider’s', async () => {
    const bob = await newcomer()
    const forged = await impostor(bob.device.address, nodeCrypto.generateKeyPair().privateKey)
    const alice = await newcomer({ tap: claims((claimed) => Object.assign(claimed, forged)) })
    await assert.rejects(alice.device.createDirectRoom(bob.device.address), refused('bad-identity'))
  })

  test('when the provider itself endorses another account key at an address that is known', async () => {
    const { alice, bob } = await parted()
    const forged = await impostor(bob.device.address, provider.providerKeyPair.privateKey)
    alice.tap.down = claims((claimed) => Object.assign(claimed, forged)).down
    await assert.rejects(alice.device.createDirectRoom(bob.device.address), refused('key-changed'))
    await assert.rejects(alice.device.createDirectRoom(bob.device.address), refused('key-changed'))
  })

  test('when the certificate of a device is forged under the true account', async () => {
    const bob = await newcomer()
    const alice = await newcomer()
    const device = nodeCrypto.generateKeyPair()
    alice.tap.down = claims((claimed) => claimed.keyPackages.push(planted)).down
    const certificate = issueCertificate(nodeCrypto, nodeCrypto.generateKeyPair().privateKey, {
      account: bob.device.address,
      accountKey: bob.device.accountKey,
      deviceKey: device.publicKey,
      kind: 'companion',
      ...validity(),
    })
    const endorsement = issueEndorsement(nodeCrypto, provider.providerKeyPair.privateKey, {
      account: bob.device.address,
      accountKey: bob.device.accountKey,
      kind: 'person',
      ...validity(),
    })
    const identity = encodeCredential({ certificate, endorsement })
    const { publicPart: planted } = await generateKeyPackage(provider.mls, { identity, keyPair: device, ...validity() })
    await assert.rejects(alice.device.createDirectRoom(bob.device.address), refused('bad-identity'))
  })

  test('when one of them is somebody else’s', async () => {
    const [bob, mallory] = [await newcomer(), await newcomer()]
    const stolen = await impostor(mallory.device.address, provider.providerKeyPair.privateKey)
    const alice = await newcomer({ tap: claims((claimed) => claimed.keyPackages.push(stolen.keyPackages[0]!)) })
    await assert.rejects(alice.device.createDirectRoom(bob.device.address), refused('bad-identity'))
  })

  test('when the manifest does not list a device, or is an older one', async () => {
    const bob = await newcomer()
    const first = claimedBy(await newcomer(), bob)
    const one = await first
    await provider.link(bob.device)
    // The manifest of before, with the KeyPackages of now.
    const alice = await newcomer({ tap: claims((claimed) => Object.assign(claimed, { manifest: one.manifest })) })
    await assert.rejects(alice.device.createDirectRoom(bob.device.address), refused('not-in-manifest'))

    const carol = await newcomer()
    const room = await carol.device.createDirectRoom(bob.device.address)
    await until('the room', async () => (await bob.device.room(room))?.joined === true)
    await bob.device.leave(room)
    await until('the leave', async () => (await carol.device.room(room))?.otherStanding === 'left')
    // All as it was before the second device: consistent in itself, but older than what carol has seen.
    carol.tap.down = claims((claimed) => Object.assign(claimed, one)).down
    await assert.rejects(carol.device.createDirectRoom(bob.device.address), refused('old-manifest'))
  })

  test('when the manifest is signed by another key', async () => {
    const bob = await newcomer()
    const { manifest } = await impostor(bob.device.address, provider.providerKeyPair.privateKey)
    const alice = await newcomer({ tap: claims((claimed) => Object.assign(claimed, { manifest })) })
    await assert.rejects(alice.device.createDirectRoom(bob.device.address), refused('bad-identity'))
  })
})

/** What the provider hands out for an account now. */
async function claimedBy(asker: TestDevice, target: TestDevice): Promise<ClaimedKeyPackages> {
  let found: ClaimedKeyPackages | undefined
  asker.tap.down = (frame) => {
    if (frame.body.case === 'claimedKeyPackages' && !found) found = frame.body.value
    return frame
  }
  await asker.device.createDirectRoom(target.device.address)
  return found!
}

describe('a Welcome is refused', () => {
  const welcome = (change: (frame: ServerFrame & { body: { case: 'welcome' } }) => void): Tap => ({
    down(frame) {
      if (frame.body.case === 'welcome') change(frame as ServerFrame & { body: { case: 'welcome' } })
      return frame
    },
  })
  const cases: [string, Parameters<typeof welcome>[0], ClientError['code']][] = [
    ['without the manifests that it names', ({ body }) => body.value.manifests.splice(0), 'bad-identity'],
    [
      'under the name of another room',
      ({ body }) => {
        body.value.room = `${body.value.room.slice(0, -22)}${'A'.repeat(22)}`
      },
      'bad-commit',
    ],
    [
      'as a room of another kind',
      ({ body }) => {
        body.value.kind = 4
      },
      'bad-commit',
    ],
    [
      'when it was changed',
      ({ body }) => {
        body.value.welcome[body.value.welcome.length - 9]! ^= 1
      },
      'bad-commit',
    ],
  ]
  for (const [name, change, code] of cases)
    test(name, async () => {
      const alice = await newcomer()
      const bob = await newcomer({ tap: welcome(change) })
      const refusals: string[] = []
      bob.device.on('refused', ({ error }) => void refusals.push(error.code))
      await alice.device.createDirectRoom(bob.device.address)
      await until('the refusal', () => refusals.length > 0)
      assert.deepEqual(refusals, [code])
      assert.equal((await bob.device.rooms()).filter(({ kind, joined }) => kind === 'direct' && joined).length, 0)
    })

  test('from a known address under a new account key, until that key is accepted', async () => {
    const { alice, bob } = await parted()
    // Bob's memory of alice is of another key: as if she had registered anew.
    const known = nodeCrypto.generateKeyPair().publicKey
    const { encodeCbor } = await import('../src/cbor/index.ts')
    await bob.storage.transaction((tx) => tx.put('account', alice.device.address, encodeCbor({ accountKey: known })))
    const refusals: string[] = []
    bob.device.on('refused', ({ error, account }) => void refusals.push(`${error.code} ${account}`))
    const room = await alice.device.createDirectRoom(bob.device.address)
    await until('the refusal', () => refusals.length > 0)
    assert.deepEqual(refusals, [`key-changed ${alice.device.address}`])
    assert.equal((await bob.device.room(room))?.joined, false)
    await bob.device.acceptNewKey(alice.device.address)
    await until('the room', async () => (await bob.device.room(room))?.joined === true)
    assert.equal(await alice.device.safetyNumber(room), await bob.device.safetyNumber(room))
  })
})

describe('the log', () => {
  test('delivered twice, and again from the beginning, has its effect once', async () => {
    const { alice, bob, room, heardByBob } = await met()
    const kept: ServerFrame[] = []
    bob.tap.down = (frame) => {
      if (frame.body.case !== 'deliver') return frame
      kept.push(frame)
      return [frame, ...kept]
    }
    const words = ['one', 'two', 'three', 'four']
    for (const each of words) await (await alice.device.send(room, text(each))).accepted
    await expectTexts(heardByBob, words)
    assert.deepEqual(heardByBob.faults, [])
  })

  test('without one of its entries goes on, and shows the gap', async () => {
    const { alice, bob, room, heardByBob } = await met()
    const gaps: number[] = []
    bob.device.on('gap', ({ seq }) => void gaps.push(seq))
    await (await alice.device.send(room, text('first'))).accepted
    await expectTexts(heardByBob, ['first'])
    let lost: bigint | undefined
    bob.tap.down = (frame) => {
      if (frame.body.case !== 'deliver' || lost !== undefined) return frame
      lost = frame.body.value.seq
      return undefined
    }
    for (const each of ['lost', 'kept', 'kept too']) await (await alice.device.send(room, text(each))).accepted
    await expectTexts(heardByBob, ['first', 'kept', 'kept too'])
    assert.deepEqual(gaps, [Number(lost) + 1])
  })

  /** As if so many more of a device's messages stood in the log: its ratchet is that much further. */
  async function runAhead({ storage }: TestDevice, room: RoomId, messages: number) {
    await storage.transaction(async (tx) => {
      let state = decodeState({ group: (await groups.get(tx, room))!, ratchets: (await ratchets.get(tx, room))! })
      for (let i = 0; i < messages; i++) ({ state } = await encryptMessage(provider.mls, state, new Uint8Array(1)))
      await ratchets.put(tx, room, encodeRatchetsOf(state))
    })
  }

  test('without more messages of somebody than can be skipped: the device enters anew, once', async () => {
    const { alice, bob, room, heardByBob } = await met()
    const tablet = await provider.link(alice.device)
    await until('the tablet', async () => (await tablet.device.room(room))?.joined === true)
    let gaps = 0
    bob.device.on('gap', () => void gaps++)
    await (await alice.device.send(room, text('first'))).accepted
    await expectTexts(heardByBob, ['first'])
    let lost = false
    bob.tap.down = (frame) => {
      if (frame.body.case !== 'deliver' || lost) return frame
      lost = true
      return undefined
    }
    await (await alice.device.send(room, text('lost'))).accepted
    await alice.crash()
    await runAhead(alice, room, maxRatchetSteps)
    const again = await provider.reopen(alice.storage)
    // The gap shows at somebody else's message; the one who is too far ahead writes later.
    await (await tablet.device.send(room, text('from the tablet'))).accepted
    await expectTexts(heardByBob, ['first', 'from the tablet'])
    await until('Bob to be back in the room', async () => {
      await (await again.device.send(room, text('after so long'))).accepted
      return heardByBob.texts.includes('after so long')
    })
    assert.equal(gaps, 2)
    assert.deepEqual(heardByBob.faults, ['bad-commit: too-far-ahead'])
  })

  test('in which somebody pretends to be far ahead, though nothing is missing, goes on', async () => {
    const { alice, bob, room, heardByBob } = await met()
    let commits = 0
    bob.tap.up = (frame) => {
      if (frame.request.case === 'submitCommit') commits++
      return frame
    }
    await (await alice.device.send(room, text('first'))).accepted
    await expectTexts(heardByBob, ['first'])
    await alice.crash()
    await runAhead(alice, room, maxRatchetSteps + 1)
    const again = await provider.reopen(alice.storage)
    await (await again.device.send(room, text('far ahead'))).accepted
    await until('the fault', () => heardByBob.faults.length > 0)
    assert.deepEqual(heardByBob.faults, ['undecryptable: too-far-ahead'])
    assert.equal(commits, 0)
  })

  test('with a message that cannot be opened goes on, and says so', async () => {
    const { alice, bob, room, heardByBob } = await met()
    let spoilt = false
    bob.tap.down = (frame) => {
      if (frame.body.case === 'deliver' && frame.body.value.kind === 1 && !frame.body.value.own && !spoilt) {
        spoilt = true
        frame.body.value.message[frame.body.value.message.length - 1]! ^= 1
      }
      return frame
    }
    for (const each of ['spoilt', 'sound']) await (await alice.device.send(room, text(each))).accepted
    await expectTexts(heardByBob, ['sound'])
    assert.equal(heardByBob.faults.length, 1)
    assert.match(heardByBob.faults[0]!, /^undecryptable/)
  })

  test('with a commit that cannot be followed: the device enters anew, shows a gap, and goes on', async () => {
    const { alice, bob, room, heardByBob, heardByAlice } = await met()
    const gaps: number[] = []
    bob.device.on('gap', ({ seq }) => void gaps.push(seq))
    let spoilt = false
    bob.tap.down = (frame) => {
      if (frame.body.case === 'deliver' && frame.body.value.kind === 2 && !spoilt) {
        spoilt = true
        frame.body.value.message[frame.body.value.message.length - 1]! ^= 1
      }
      return frame
    }
    const tablet = await provider.link(alice.device)
    await until('the tablet', async () => (await tablet.device.room(room))?.joined === true)
    await until('the gap', () => gaps.length > 0)
    await (await alice.device.send(room, text('after the gap'))).accepted
    await expectTexts(heardByBob, ['after the gap'])
    await (await bob.device.send(room, text('me too'))).accepted
    await expectTexts(heardByAlice, ['me too'])
    assert.equal((await bob.device.members(room)).flatMap(({ devices }) => devices).length, 3)
  })
})

describe('the provider', () => {
  test('that presents another key than before is not believed', async () => {
    const alice = await newcomer()
    await alice.crash()
    const key = nodeCrypto.generateKeyPair().publicKey
    const again = await provider.reopen(alice.storage, {
      tap: {
        down(frame) {
          if (frame.body.case === 'hello') frame.body.value.providerKey = key
          return frame
        },
      },
    })
    await assert.rejects(again.device.ready(), refused('provider-changed'))
    await assert.rejects(again.device.settings(), refused('provider-changed'))
  })

  /** A group that an account makes under any name, with the other's device in it. All of it is signed and listed. */
  async function madeUp(maker: TestDevice, other: TestDevice, room: string, kind: 'direct' | 'self') {
    const [self, manifest] = await maker.storage.transaction(async (tx) => [
      (await selfRecord.get(tx))!,
      (await ownManifest.get(tx))!.bytes,
    ])
    const { address: account, deviceId } = maker.device
    const asker = { device: deviceId, account, deviceKind: 'primary', accountKind: 'person' } as const
    const claimed = await provider.hub.claimKeyPackages(asker, other.device.address)
    const group = await createGroup(provider.mls, {
      groupId: new TextEncoder().encode(room),
      identity: encodeCredential(self),
      keyPair: { publicKey: self.deviceKey, privateKey: self.devicePrivateKey },
      extensions: [
        externalSenderExtension(provider.providerKeyPair.publicKey, new TextEncoder().encode(provider.provider)),
        roomExtension({ kind }),
      ],
    })
    const marks = new Map([
      [account as string, { number: 1, hash: manifestHash(nodeCrypto, manifest) }],
      [other.device.address, { number: 1, hash: manifestHash(nodeCrypto, claimed.manifest) }],
    ])
    const { groupInfo, welcome } = await createCommit(provider.mls, group, {
      add: claimed.keyPackages,
      groupInfoExtensions: [manifestsExtension(marks)],
      forcePath: true,
    })
    return { groupInfo, welcome: welcome!, manifests: [manifest, claimed.manifest] }
  }

  const refusalsOf = ({ device }: TestDevice) => {
    const refusals: string[] = []
    device.on('refused', ({ error, account }) => void refusals.push(`${error.code} ${account}`))
    return refusals
  }

  test('cannot put somebody else into the place of the other of a direct room', async () => {
    const { alice, bob, room, heardByAlice } = await met()
    const mallory = await newcomer()
    const { groupInfo, manifests } = await madeUp(mallory, alice, room, 'direct')
    const refusals = refusalsOf(alice)
    alice.tap.down = (frame) => {
      if (frame.body.case === 'rooms')
        for (const each of frame.body.value.rooms) if (each.room === room) each.joined = false
      if (frame.body.case === 'groupInfo') Object.assign(frame.body.value, { groupInfo, manifests })
      return frame
    }
    alice.cut()
    await until('the refusal', () => refusals.length > 0)
    assert.deepEqual(refusals, [`bad-identity ${mallory.device.address}`])
    assert.equal((await alice.device.room(room))?.other, bob.device.address)
    alice.tap.down = (frame) => frame
    await (await bob.device.send(room, text('still me'))).accepted
    await expectTexts(heardByAlice, ['still me'])
  })

  test('cannot pass one room off as the one with somebody else', async () => {
    const { alice, room } = await met()
    const carol = await newcomer()
    const created = new Set<bigint>()
    alice.tap.up = (frame) => {
      if (frame.request.case === 'createRoom') created.add(frame.id)
      return frame
    }
    alice.tap.down = (frame) => {
      if (frame.body.case !== 'accepted' || !created.has(frame.id)) return frame
      const value = create(ErrorSchema, { code: ErrorCode.DIRECT_ROOM_EXISTS, room })
      return { ...frame, body: { case: 'error', value } }
    }
    await assert.rejects(alice.device.createDirectRoom(carol.device.address), refused('bad-identity'))
  })

  test('cannot bring anybody among the devices of an account', async () => {
    const [alice, mallory] = [await newcomer(), await newcomer()]
    const room = `mimi://${provider.provider}/r/AAAAAAAAAAAAAAAAAAAAAA`
    const made = await madeUp(mallory, alice, room, 'self')
    const refusals = refusalsOf(alice)
    alice.tap.down = (frame) => {
      if (frame.body.case !== 'caughtUp') return frame
      const value = create(WelcomeEventSchema, {
        ...made,
        ...{ welcomeId: 1n, room, kind: 4, seq: 1n, standing: 2, inviter: alice.device.address },
        timestampMs: BigInt(Date.now()),
      })
      return [{ ...frame, body: { case: 'welcome', value } }, frame]
    }
    alice.cut()
    await until('the refusal', () => refusals.length > 0)
    assert.deepEqual(refusals, [`bad-identity ${mallory.device.address}`])
    assert.equal((await alice.device.rooms()).filter(({ kind, joined }) => kind === 'self' && joined).length, 1)
  })

  test('cannot take a device back to a group of before, in which somebody reads who was removed since', async () => {
    const [alice, bob, mallory] = [await newcomer(), await newcomer(), await newcomer()]
    for (const { device } of [bob, mallory]) await device.answerConsent(alice.device.address, true)
    const members = [bob.device.address, mallory.device.address]
    const room = await alice.device.createGroup({ name: 'Friends', members })
    await until('the group', async () => (await bob.device.room(room))?.joined === true)
    const { address: account, deviceId: device } = bob.device
    const asker = { device, account, deviceKind: 'primary', accountKind: 'person' } as const
    const { groupInfo, manifests } = await provider.hub.getGroupInfo(asker, room)
    await alice.device.removeMember(room, mallory.device.address)
    await until('the removal', async () => (await bob.device.members(room)).length === 2)

    const heardByBob = listen(bob.device)
    let commits = 0
    bob.tap.up = (frame) => {
      if (frame.request.case === 'submitCommit') commits++
      return frame
    }
    bob.tap.down = (frame) => {
      if (frame.body.case === 'deliver' && frame.body.value.kind === 2)
        frame.body.value.message[frame.body.value.message.length - 1]! ^= 1
      if (frame.body.case === 'groupInfo') Object.assign(frame.body.value, { groupInfo, manifests })
      return frame
    }
    await alice.device.rename(room, 'Good friends')
    await until('the refusal', () => heardByBob.faults.includes('protocol: a group of an epoch that is past'))
    assert.equal(commits, 0)
    bob.tap.down = (frame) => frame
    await until('Bob to be back in the group', async () => {
      await (await alice.device.send(room, text('among us'))).accepted
      return heardByBob.texts.includes('among us')
    })
    assert.equal((await bob.device.room(room))?.name, 'Good friends')
  })

  test('cannot take a device back to keys that it has used, by a Welcome that comes again', async () => {
    const alice = await newcomer()
    // One-time KeyPackages are gone when they were used. The last-resort one is not.
    const bob = await newcomer({ settings: { keyPackages: 0, keyPackagesLow: 0 } })
    let welcome: ServerFrame | undefined
    bob.tap.down = (frame) => {
      if (frame.body.case === 'welcome') welcome = frame
      return frame
    }
    const room = await alice.device.createDirectRoom(bob.device.address)
    await until('the room', async () => (await bob.device.room(room))?.joined === true)
    await bob.device.accept(room)
    const [heardByAlice, heardByBob] = [listen(alice.device), listen(bob.device)]
    await (await bob.device.send(room, text('under the first key'))).accepted
    await (await alice.device.send(room, text('one'))).accepted
    await expectTexts(heardByBob, ['one'])
    let gaps = 0
    bob.device.on('gap', () => void gaps++)
    bob.tap.down = (frame) => {
      if (frame.body.case !== 'deliver' || welcome?.body.case !== 'welcome') return frame
      welcome.body.value.seq = frame.body.value.seq
      return [welcome, frame]
    }
    await (await alice.device.send(room, text('two'))).accepted
    await expectTexts(heardByBob, ['one', 'two'])
    await (await bob.device.send(room, text('under the second key'))).accepted
    await expectTexts(heardByAlice, ['under the first key', 'under the second key'])
    assert.deepEqual(new Set(heardByBob.faults), new Set(['protocol: a Welcome of an epoch that is past']))
    assert.equal(gaps, 0)
  })

  test('cannot make a new device believe in an account that is not the primary’s', async () => {
    const alice = await newcomer()
    let seen: Uint8Array | undefined
    // It has the meeting place and the payload, and neither opens the other.
    alice.tap.up = (frame) => {
      if (frame.request.case === 'completeLink') {
        seen = frame.request.value.payload
        frame.request.value.payload = frame.request.value.payload.map((byte, i) => (i === 40 ? byte ^ 1 : byte))
      }
      return frame
    }
    const linking = provider.link(alice.device)
    const first = await Promise.race([linking, new Promise((resolve) => setTimeout(() => resolve('waits'), 300))])
    assert.equal(first, 'waits')
    assert.ok(seen)
    assert.equal(Buffer.from(seen).includes(Buffer.from(alice.device.accountKey)), false)
    assert.equal(manifestHash(nodeCrypto, seen).length, 32)
  })
})
