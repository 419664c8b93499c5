import assert from 'node:assert/strict'
import { test } from 'node:test'
import { equalBytes, utf8 } from '../crypto/index.ts'
import {
  createCommit,
  decodeState,
  encodeRatchetsOf,
  encodeState,
  encryptMessage,
  epochAuthenticator,
  exportSecret,
  groupIdOf,
  isActive,
  largestPlaintext,
  peekMessage,
  pendingProposals,
  processMessage,
} from './index.ts'
import { paddingBuckets } from './limits.ts'
import { nodeMlsProvider } from './provider-node.ts'
import { decodePublicGroup, encodePublicGroup, proposeRemoval, publicPendingProposals } from './public.ts'
import { everyone, offer, restored, spreadCommit, spreadProposal, testDevice, testRoom } from './testing.ts'

const mls = nodeMlsProvider()

async function pair() {
  const [a, b] = [testDevice('a'), testDevice('b')]
  const room = await testRoom(mls, a)
  const committed = await createCommit(mls, room.members.get(a)!, { add: [await offer(room, b)] })
  await spreadCommit(room, a, committed)
  return { room, a, b, stateOf: (device: typeof a) => room.members.get(device)! }
}

test('a message changes the ratchets only, a commit both parts', async () => {
  const { a, b, stateOf } = await pair()
  const before = encodeState(stateOf(a))
  const sent = await encryptMessage(mls, stateOf(a), utf8('hello'))
  const after = encodeState(sent.state)
  assert.ok(equalBytes(before.group, after.group) && !equalBytes(before.ratchets, after.ratchets))
  assert.deepEqual(encodeRatchetsOf(sent.state), after.ratchets)
  const received = await processMessage(mls, stateOf(b), sent.message, { authenticate: everyone })
  assert.deepEqual(encodeState(received.state).group, encodeState(stateOf(b)).group)
  const committed = encodeState((await createCommit(mls, stateOf(a))).state)
  assert.ok(!equalBytes(before.group, committed.group) && !equalBytes(before.ratchets, committed.ratchets))
})

test('parts of different epochs, another layout and cut bytes are refused', async () => {
  const { a, stateOf } = await pair()
  const old = encodeState(stateOf(a))
  const next = encodeState((await createCommit(mls, stateOf(a))).state)
  const malformed = { code: 'malformed' }
  assert.throws(() => decodeState({ group: old.group, ratchets: next.ratchets }), malformed)
  assert.throws(
    () => decodeState({ group: Uint8Array.of(9, ...old.group.slice(1)), ratchets: old.ratchets }),
    malformed,
  )
  assert.throws(() => decodeState({ group: old.group.slice(0, -1), ratchets: old.ratchets }), malformed)
  assert.throws(() => decodePublicGroup(Uint8Array.of(1, 2, 3)), malformed)
})

test('pending proposals survive storage, at members and at the hub', async () => {
  const { room, a, stateOf } = await pair()
  await spreadProposal(room, await proposeRemoval(mls, room.hub, 1, 0, room.hubKeys))
  assert.deepEqual(pendingProposals(restored(stateOf(a))), [{ type: 'remove', index: 1 }])
  const stored = decodePublicGroup(encodePublicGroup(room.hub))
  assert.deepEqual(publicPendingProposals(stored), [{ type: 'remove', index: 1 }])
})

test('lengths reach the network as buckets', async () => {
  const { a, stateOf } = await pair()
  const lengths = new Set<number>()
  for (const length of [0, 1, 60, 100, 180]) {
    const { message } = await encryptMessage(mls, stateOf(a), new Uint8Array(length), utf8('aad'))
    lengths.add(message.length)
  }
  assert.equal(lengths.size, 1)
})

test('the largest that fits into a message does, and all of the last bucket look alike', async () => {
  const { a, stateOf } = await pair()
  const lengthOf = async (length: number, most: number) =>
    (await encryptMessage(mls, stateOf(a), new Uint8Array(length), undefined, most)).message.length
  for (const most of [64 * 1024, 16 * 1024]) {
    const largest = largestPlaintext(most)
    const sent = await lengthOf(largest, most)
    assert.ok(sent <= most && sent > most - 1024, `${sent} of ${most}`)
    const bucketBefore = paddingBuckets.findLast((bucket) => bucket < most - 1024)!
    assert.equal(await lengthOf(bucketBefore, most), sent)
    // Not for the hub any more: it is one byte longer than the bucket.
    assert.equal(await lengthOf(largest + 1, most), sent + 1)
  }
})

test('exported secrets, group id and the peek agree for members; the peek needs no keys', async () => {
  const { a, b, stateOf } = await pair()
  const secrets = [a, b].map((each) => exportSecret(mls, stateOf(each), 'label', utf8('context'), 48))
  const [one, two] = await Promise.all(secrets)
  assert.ok(one!.length === 48 && equalBytes(one!, two!))
  assert.deepEqual(epochAuthenticator(stateOf(a)), epochAuthenticator(stateOf(b)))
  const { message } = await encryptMessage(mls, stateOf(a), utf8('hello'), utf8('aad'))
  assert.deepEqual(peekMessage(message), {
    wireFormat: 'private-message',
    groupId: groupIdOf(stateOf(b)),
    epoch: 1n,
    contentType: 'application',
  })
  const { commit, groupInfo } = await createCommit(mls, stateOf(a), { aad: utf8('aad') })
  const head = { groupId: groupIdOf(stateOf(b)) }
  assert.deepEqual(peekMessage(commit), { wireFormat: 'public-message', ...head, epoch: 1n, contentType: 'commit' })
  assert.deepEqual(peekMessage(groupInfo), { wireFormat: 'group-info', ...head, epoch: 2n })
  assert.ok(isActive(stateOf(a)))
})
