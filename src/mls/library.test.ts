// What patches/ts-mls+1.6.4.patch mends, each by the section of RFC 9420 that unpatched ts-mls 1.6.4 breaks.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { decodeVarLenData } from 'ts-mls/codec/variableLength.js'
import { createCommit as libraryCreateCommit } from 'ts-mls/createCommit.js'
import { createProposal as libraryCreateProposal } from 'ts-mls/createMessage.js'
import { proposeExternal } from 'ts-mls/externalProposal.js'
import { encodeExternalSenders } from 'ts-mls/externalSender.js'
import { acceptAll } from 'ts-mls/incomingMessageAction.js'
import { generateKeyPackageWithKey } from 'ts-mls/keyPackage.js'
import { unprotectPrivateMessage } from 'ts-mls/messageProtection.js'
import { processMessage as libraryProcessMessage } from 'ts-mls/processMessages.js'
import { leafToNodeIndex, toLeafIndex } from 'ts-mls/treemath.js'
import { utf8 } from '../crypto/index.ts'
import { nodeCrypto } from '../crypto/node.ts'
import { pskIdsOf, pskIndexOf } from './commit.ts'
import { inside, wrap } from './group.ts'
import {
  createCommit,
  createProposal,
  encodeRatchetsOf,
  encryptMessage,
  epochAuthenticator,
  extensionsOf,
  extensionTypes,
  externalSenderExtension,
  groupInfoOf,
  joinExternally,
  leavesOf,
  processMessage,
  requiredExtensionsExtension,
  roomExtension,
} from './index.ts'
import { decodeMessage, encodeMessage } from './messages.ts'
import { encodePrivate } from './own-key-package.ts'
import { nodeMlsProvider } from './provider-node.ts'
import {
  everyone,
  offer,
  restored,
  say,
  spreadCommit,
  spreadProposal,
  type TestDevice,
  type TestRoom,
  testDevice,
  testRoom,
} from './testing.ts'

const mls = nodeMlsProvider()

/** A room of so many members, of which the first made it. */
async function roomOf(count: number) {
  const devices = Array.from({ length: count }, (_, i) => testDevice(`d${i}`))
  const room = await testRoom(mls, devices[0]!)
  const state = (device: TestDevice) => room.members.get(device)!
  const commit = async (author: TestDevice, options: Parameters<typeof createCommit>[2] = {}) => {
    const result = await createCommit(mls, state(author), options)
    await spreadCommit(room, author, result)
    return result
  }
  const add: Uint8Array[] = []
  for (const device of devices.slice(1)) add.push(await offer(room, device))
  if (add.length > 0) await commit(devices[0]!, { add })
  return { room, devices, state, commit }
}

function hasPath(commit: Uint8Array): boolean {
  const { content } = decodeMessage(commit, 'mls_public_message').publicMessage
  assert.ok(content.contentType === 'commit')
  return content.commit.path !== undefined
}

test('§12.4: only commits of additions, pre-shared keys and replacements go without a path', async () => {
  const { room, devices, commit } = await roomOf(2)
  const [a] = devices as [TestDevice]
  const psk = { id: utf8('p'), secret: utf8('s') }
  room.psks.push(psk)
  assert.equal(hasPath((await commit(a, { add: [await offer(room, testDevice('x'))], psks: [psk] })).commit), false)
  assert.equal(hasPath((await commit(a, { extensions: [] })).commit), true)
  assert.equal(hasPath((await commit(a)).commit), true)
  assert.equal(hasPath((await commit(a, { add: [await offer(room, testDevice('y'))], forcePath: true })).commit), true)
})

test('§12.4.2: a member notices its removal when another takes its place in the same commit', async () => {
  const { room, devices, state } = await roomOf(3)
  const [a, b] = devices as [TestDevice, TestDevice]
  const before = state(b)
  const result = await createCommit(mls, state(a), { remove: [1], add: [await offer(room, testDevice('new'))] })
  const told = await processMessage(mls, before, result.commit, { authenticate: everyone })
  assert.ok(told.kind === 'commit' && told.selfRemoved)
  assert.deepEqual([told.added[0]!.index, told.removed[0]!.index], [1, 1])
  await assert.rejects(encryptMessage(mls, told.state, utf8('no')), { code: 'not-active' })
  await spreadCommit(room, a, result)
})

test('§7.9.2: nodes between a parent and its unmerged leaf list that leaf, and may list fewer others', async () => {
  const { room, devices, commit } = await roomOf(8)
  await commit(devices[0]!, {})
  await commit(devices[4]!, { remove: [3, 7] })
  // leaves 3 and 7 are both unmerged at the root, only 7 at the right half's parent: joiners check this tree
  await commit(devices[4]!, { add: [await offer(room, testDevice('x')), await offer(room, testDevice('y'))] })
  assert.equal(room.members.size, 8)
})

test('§12.1.8.1: external_senders is a vector, and a proposal may come from its second sender', async () => {
  const { room, devices, commit, state } = await roomOf(3)
  const second = nodeCrypto.generateKeyPair()
  const senders = [room.hubKeys, second].map(({ publicKey }, i) => ({
    signaturePublicKey: publicKey,
    credential: { credentialType: 'basic' as const, identity: utf8(`hub ${i}`) },
  }))
  await commit(devices[0]!, {
    extensions: [{ type: extensionTypes.externalSenders, data: encodeExternalSenders(senders) }],
  })
  const { groupInfo } = decodeMessage(await groupInfoOf(mls, state(devices[0]!)), 'mls_group_info')
  const removal = { proposalType: 'remove' as const, remove: { removed: 2 } }
  const proposal = await proposeExternal(groupInfo, removal, second.publicKey, second.privateKey, mls.suite)
  await spreadProposal(room, encodeMessage(proposal))
  await commit(devices[0]!)
  assert.equal(room.members.size, 2)
})

test('§12.4.3.2: external_pub holds an HPKEPublicKey, which has a length of its own', async () => {
  const { room } = await roomOf(1)
  const { groupInfo } = decodeMessage(room.groupInfo, 'mls_group_info')
  const data = groupInfo.extensions.find(({ extensionType }) => extensionType === 'external_pub')!.extensionData
  const [key, length] = decodeVarLenData(data, 0)!
  assert.deepEqual([data.length, length, key.length], [33, 33, 32])
})

test('§12.4.1 and §12.1.7: new extensions are those under which the path is encrypted, and none clears them', async () => {
  const { devices, commit, state } = await roomOf(3)
  await commit(devices[1]!, { extensions: [roomExtension({ kind: 'self' })] })
  await commit(devices[2]!, { extensions: [] })
  assert.deepEqual(extensionsOf(state(devices[0]!)), [])
})

/** A KeyPackage of a client that supports no private extension, which still waits for its Welcome. */
async function plainPackage(room: TestRoom, device: TestDevice): Promise<Uint8Array> {
  const { publicPackage: keyPackage, privatePackage } = await generateKeyPackageWithKey(
    { credentialType: 'basic', identity: device.identity },
    { versions: ['mls10'], ciphersuites: [mls.suite.name], extensions: [], proposals: [], credentials: ['basic'] },
    { notBefore: 0n, notAfter: 1n },
    [],
    { publicKey: device.keyPair.publicKey, signKey: device.keyPair.privateKey },
    mls.suite,
  )
  const publicPart = encodeMessage({ version: 'mls10', wireformat: 'mls_key_package', keyPackage })
  room.waiting.set(device, { publicPart, privatePart: encodePrivate(privatePackage) })
  return publicPart
}

test('§12.1.7: what members must support are the extensions after the commit, by those who stay', async () => {
  const { room, devices, commit, state } = await roomOf(2)
  const [a, b] = devices as [TestDevice, TestDevice]
  const required = requiredExtensionsExtension([extensionTypes.siltaRoom, extensionTypes.externalSenders])
  const hub = externalSenderExtension(room.hubKeys.publicKey, utf8('hub'))
  const ours = [required, roomExtension({ kind: 'self' }), hub]
  await commit(a, { extensions: ours })
  const plain = testDevice('plain')
  const add = [await plainPackage(room, plain)]
  await assert.rejects(createCommit(mls, state(b), { add }), { code: 'invalid-commit' })
  await commit(b, { add, extensions: [hub] })
  await assert.rejects(createCommit(mls, state(b), { extensions: ours }), { code: 'invalid-commit' })
  await commit(b, { remove: [2], extensions: ours })
  await assert.rejects(createCommit(mls, state(b), { extensions: [{ type: 0xf0aa, data: utf8('') }] }), {
    code: 'invalid-commit',
  })
})

test('§7.3: lifetimes are judged by who authenticates, at the time of the log, not by this machine’s clock', async () => {
  const { room, devices, commit } = await roomOf(1)
  await commit(devices[0]!, { add: [await plainPackage(room, testDevice('from 1970'))] })
  assert.equal(room.members.size, 2)
})

test('§12.2: proposals that exclude each other do not keep a member from committing', async () => {
  const { room, devices, commit, state } = await roomOf(4)
  const [a, b, c, d] = devices as [TestDevice, TestDevice, TestDevice, TestDevice]
  const propose = async (author: TestDevice, what: Parameters<typeof createProposal>[2]) => {
    const { state: next, proposal } = await createProposal(mls, state(author), what)
    room.members.set(author, next)
    await spreadProposal(room, proposal, author)
  }
  const add = await offer(room, testDevice('x'))
  await propose(b, { remove: 3 })
  await propose(c, { remove: 3 })
  await propose(b, { remove: 0 }) // the committer: left for others
  await propose(b, { add })
  await propose(c, { add })
  await propose(b, { extensions: [] })
  await propose(c, { extensions: [roomExtension({ kind: 'self' })] })
  await propose(c, { psk: { id: utf8('nobody knows it') } })
  await commit(a)
  assert.deepEqual(
    leavesOf(state(a)).map(({ index }) => index),
    [0, 1, 2, 3],
  )
  assert.ok(!room.members.has(d) && room.members.size === 4)
  assert.deepEqual(extensionsOf(state(a)), [])
})

test('§12.4.3.2: who came anew by an external commit notices at its former self', async () => {
  const { room, devices, state } = await roomOf(3)
  const b = devices[1]!
  const former = state(b)
  const result = await joinExternally(mls, { groupInfo: room.groupInfo, ...b, authenticate: everyone })
  const told = await processMessage(mls, former, result.commit, { authenticate: everyone })
  assert.ok(told.kind === 'commit' && told.selfRemoved && told.external)
  await spreadCommit(room, b, result)
})

test('§12.4.3.2: an external commit may bind a pre-shared key', async () => {
  const { room, devices, state } = await roomOf(2)
  const psk = { id: utf8('p'), secret: utf8('s') }
  const joiner = testDevice('x')
  const result = await joinExternally(mls, {
    groupInfo: room.groupInfo,
    ...joiner,
    authenticate: everyone,
    psks: [psk],
  })
  const process = (secret: Uint8Array) => {
    const psks = [{ ...psk, secret }]
    return processMessage(mls, state(devices[0]!), result.commit, { authenticate: everyone, psks })
  }
  await assert.rejects(process(utf8('another')), { code: 'bad-signature' })
  const without = processMessage(mls, state(devices[0]!), result.commit, { authenticate: everyone })
  await assert.rejects(without, { code: 'missing-psk' })
  room.psks.push(psk)
  await spreadCommit(room, joiner, result)
})

test('§12.4: a commit in a PrivateMessage with a pre-shared key is processed', async () => {
  const { devices, state } = await roomOf(2)
  const psks = [{ id: utf8('p'), secret: utf8('s') }]
  const [preSharedKeyId] = pskIdsOf(mls, psks)
  const a = inside(state(devices[0]!))
  const b = inside(state(devices[1]!))
  const pskIndex = pskIndexOf(a, psks)
  const { commit, newState } = await libraryCreateCommit(
    { state: a, cipherSuite: mls.suite, pskIndex },
    { extraProposals: [{ proposalType: 'psk', psk: { preSharedKeyId: preSharedKeyId! } }] },
  )
  assert.ok(commit.wireformat === 'mls_private_message')
  const processed = await libraryProcessMessage(commit, b, pskIndex, acceptAll, mls.suite)
  assert.deepEqual(processed.newState.keySchedule.epochAuthenticator, newState.keySchedule.epochAuthenticator)
  const told = await processMessage(mls, wrap(b), encodeMessage(commit), { authenticate: everyone, psks })
  assert.deepEqual(epochAuthenticator(told.state), newState.keySchedule.epochAuthenticator)
})

test('§6.3.2: a sender that is an empty leaf is refused as such', async () => {
  const { devices, state } = await roomOf(2)
  const { message } = await encryptMessage(mls, state(devices[1]!), utf8('hello'))
  const { privateMessage } = decodeMessage(message, 'mls_private_message')
  const a = inside(state(devices[0]!))
  const tree = a.ratchetTree.slice()
  tree[leafToNodeIndex(toLeafIndex(1))] = undefined
  const opening = unprotectPrivateMessage(
    a.keySchedule.senderDataSecret,
    privateMessage,
    a.secretTree,
    tree,
    a.groupContext,
    a.clientConfig.keyRetentionConfig,
    mls.suite,
  )
  await assert.rejects(opening, /non-blank leaf/)
})

test('§2.1.1: a pending update of leaf 0 is still of leaf 0 after storage', async () => {
  const { devices, state } = await roomOf(2)
  const { newState } = await libraryCreateProposal(
    inside(state(devices[0]!)),
    true,
    { proposalType: 'remove', remove: { removed: 1 } },
    mls.suite,
  )
  const [pending] = Object.values(inside(restored(wrap(newState))).unappliedProposals)
  assert.equal(pending!.senderLeafIndex, 0)
})

test('§7.4: path secrets end with the filtered direct path, below a blank root', async () => {
  // the tree's left half leaves; that the secret is the right one says test/vectors/mls/blank-root.json
  const { devices, commit, state } = await roomOf(4)
  await commit(devices[3]!, { remove: [0, 1] })
  const { ratchetTree, privatePath } = inside(state(devices[2]!))
  assert.equal(ratchetTree[3], undefined)
  assert.equal(privatePath.privateKeys[3], undefined)
})

test('§9.2: the secret tree is derived where it is used, so a message changes little and what was used is gone', async () => {
  const { room, devices, state } = await roomOf(8)
  const size = (device: TestDevice) => encodeRatchetsOf(state(device)).length
  const before = size(devices[0]!)
  await say(room, devices[5]!, 'hello')
  assert.ok(before < 150 && size(devices[0]!) < 400)
  const tree = Object.keys(inside(restored(state(devices[0]!))).secretTree)
  // leaf 5 (node 10), and beside its way down: nodes 8, 13 and 3; the secrets above are deleted
  assert.deepEqual(tree, ['3', '8', '10', '13'])
  for (const device of devices) await say(room, device, 'all of us')
  assert.ok(size(devices[0]!) < 100 * 8)
})
