import assert from 'node:assert/strict'
import { test } from 'node:test'
import { encodeCbor } from '../../cbor/index.ts'
import { concatBytes, utf8 } from '../../crypto/index.ts'
import { nodeCrypto as crypto } from '../../crypto/node.ts'
import { parseRoomId } from '../../identity/index.ts'
import { createCommit, exportSecret, leavesOf } from '../../mls/index.ts'
import { nodeMlsProvider } from '../../mls/provider-node.ts'
import { offer, spreadCommit, testDevice, testRoom } from '../../mls/testing.ts'
import type { MemberLeaf } from '../state/records.ts'
import { openEphemeral, sealEphemeral } from './ephemeral.ts'

const room = parseRoomId(`mimi://provider.example/r/${'A'.repeat(22)}`)
const other = parseRoomId(`mimi://provider.example/r/${'B'.repeat(21)}A`)

/** Alice, Bob and Carol in one group. */
async function three() {
  const mls = await nodeMlsProvider()
  const [alice, bob, carol] = [testDevice('alice'), testDevice('bob'), testDevice('carol')]
  const group = await testRoom(mls, alice)
  const add = [await offer(group, bob), await offer(group, carol)]
  await spreadCommit(group, alice, await createCommit(mls, group.members.get(alice)!, { add }))
  const leaves = () =>
    leavesOf(group.members.get(alice)!).map(
      ({ index, signatureKey }) => ({ index, deviceKey: signatureKey }) as unknown as MemberLeaf,
    )
  const seal = (device = alice, order = 1, where = room) => {
    const by = { crypto, mls, signingKey: device.keyPair.privateKey }
    return sealEphemeral(by, where, group.members.get(device)!, { what: 'typing', on: true, order })
  }
  const open = (frame: Uint8Array, where = room) =>
    openEphemeral({ crypto, mls }, where, group.members.get(bob)!, leaves(), frame)
  return { mls, group, alice, bob, carol, seal, open }
}

test('a frame is opened by the members of its epoch and room, and by nobody later', async () => {
  const { mls, group, alice, seal, open } = await three()
  const frame = await seal()
  const opened = await open(frame)
  assert.deepEqual(opened?.said, { what: 'typing', on: true, order: 1 })
  assert.deepEqual(opened.sender.deviceKey, alice.keyPair.publicKey)
  assert.notDeepEqual(frame, await seal())
  assert.equal(await open(frame, other), undefined)
  assert.equal(await open(await seal(alice, 1, other)), undefined)
  await spreadCommit(group, alice, await createCommit(mls, group.members.get(alice)!, { forcePath: true }))
  assert.equal(await open(frame), undefined)
  assert.ok(await open(await seal()))
})

test('no member speaks in the name of another, though every member has every key', async () => {
  const { mls, group, alice, carol, open } = await three()
  const state = group.members.get(carol)!
  const place = leavesOf(state).find(({ identity }) => identity.join() === alice.identity.join())!.index
  const context = Uint8Array.of(0, 0, 0, place)
  const key = await exportSecret(mls, state, 'silta ephemeral v1', context, 32)
  const forge = (signer: typeof alice) => {
    const head = encodeCbor([room, 1, place])
    const sealed = crypto.seal(key, encodeCbor(['typing', true, 9]), head)
    const signature = crypto.sign(signer.keyPair.privateKey, concatBytes(utf8('silta ephemeral v1\0'), head, sealed))
    return encodeCbor([1, place, sealed, signature])
  }
  assert.equal(await open(forge(carol)), undefined)
  // As Alice herself makes it, so that it is the signature that was missing.
  assert.equal((await open(forge(alice)))?.said.order, 9)
})

test('bytes that are no frame, or were changed, are passed over', async () => {
  const { seal, open } = await three()
  const frame = await seal()
  for (let place = 0; place < frame.length; place++) {
    const bent = frame.slice()
    bent[place]! ^= 1
    assert.equal(await open(bent), undefined, `byte ${place}`)
    assert.equal(await open(frame.subarray(0, place)), undefined)
  }
  for (const value of [[], [1, 2], [1, 2, 3, 4], [2 ** 40, 0, new Uint8Array(1), new Uint8Array(64)], 'x', null])
    assert.equal(await open(encodeCbor(value)), undefined)
  assert.equal(await open(new Uint8Array(100_000).fill(0x81)), undefined)
})
