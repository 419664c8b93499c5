// What comes from the network is chosen by someone who may mean harm.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { joinGroupExternal, createCommit as libraryCreateCommit } from 'ts-mls/createCommit.js'
import { verifyParentHashes } from 'ts-mls/parentHash.js'
import fc from '../../test/support/fast-check.ts'
import { equalBytes, utf8 } from '../crypto/index.ts'
import { clientConfig } from './config.ts'
import { farFuture, inside } from './group.ts'
import {
  createCommit,
  createProposal,
  encryptMessage,
  generateKeyPackage,
  groupInfoOf,
  joinByWelcome,
  joinExternally,
  type LeafClaim,
  MlsError,
  peekMessage,
  processMessage,
  readKeyPackage,
} from './index.ts'
import { maxKeyPackageBytes, maxMessageBytes, maxRatchetSteps, maxTreeMessageBytes } from './limits.ts'
import { decodeMessage, encodeMessage } from './messages.ts'
import { makeKeyPackage } from './own-key-package.ts'
import { checkParentHashes } from './parent-hash.ts'
import { nodeMlsProvider } from './provider-node.ts'
import { applyHandshake, checkGroupInfo, openPublicGroup } from './public.ts'
import { everyone, offer, spreadCommit, spreadProposal, type TestDevice, testDevice, testRoom } from './testing.ts'

const mls = nodeMlsProvider()

async function roomOf(count: number) {
  const devices = Array.from({ length: count }, (_, i) => testDevice(`d${i}`))
  const room = await testRoom(mls, devices[0]!)
  const add: Uint8Array[] = []
  for (const device of devices.slice(1)) add.push(await offer(room, device))
  const state = (device: TestDevice) => room.members.get(device)!
  if (count > 1) await spreadCommit(room, devices[0]!, await createCommit(mls, state(devices[0]!), { add }))
  return { room, devices, state, members: devices.map((device) => () => state(device)) }
}

const refusing = (name: string) => (leaf: LeafClaim) => {
  if (equalBytes(leaf.identity, utf8(name))) throw new Error('unknown provider')
}

test('every leaf of a joined tree, and every new or changed one, is asked about; a refusal stops everything', async () => {
  const { room, devices, members } = await roomOf(3)
  const x = testDevice('x')
  const added = await createCommit(mls, members[0]!(), { add: [await offer(room, x)] })
  const asked: string[] = []
  const authenticate = (leaf: LeafClaim) => void asked.push(Buffer.from(leaf.identity).toString())
  const keyPackages = [room.waiting.get(x)!]
  const { welcome = new Uint8Array(), groupInfo } = added
  await joinByWelcome(mls, { welcome, keyPackages, authenticate })
  assert.deepEqual(asked.splice(0), ['d0', 'd1', 'd2', 'x'])
  await joinExternally(mls, { groupInfo, ...testDevice('y'), authenticate })
  assert.deepEqual(asked.splice(0), ['d0', 'd1', 'd2', 'x'])
  await openPublicGroup(mls, groupInfo, authenticate)
  assert.deepEqual(asked.splice(0), ['d0', 'd1', 'd2', 'x'])
  await processMessage(mls, members[1]!(), added.commit, { authenticate })
  assert.deepEqual(asked.splice(0), ['x'])
  const renewed = await createCommit(mls, members[0]!(), { identity: utf8('d0 renewed') })
  const told = await processMessage(mls, members[1]!(), renewed.commit, { authenticate })
  assert.deepEqual(asked.splice(0), ['d0 renewed'])
  assert.ok(told.kind === 'commit' && equalBytes(told.updated[0]!.identity, utf8('d0 renewed')))

  const refused = { code: 'refused-leaf' }
  await assert.rejects(joinByWelcome(mls, { welcome, keyPackages, authenticate: refusing('d2') }), refused)
  await assert.rejects(joinExternally(mls, { groupInfo, ...devices[1]!, authenticate: refusing('x') }), refused)
  await assert.rejects(openPublicGroup(mls, groupInfo, refusing('d1')), refused)
  await assert.rejects(processMessage(mls, members[1]!(), added.commit, { authenticate: refusing('x') }), refused)
  await assert.rejects(applyHandshake(mls, room.hub, added.commit, refusing('x')), refused)
  await assert.rejects(applyHandshake(mls, room.hub, renewed.commit, refusing('d0 renewed')), refused)
})

test('from outside nobody can be thrown out but one’s own former leaf', async () => {
  const { room, members } = await roomOf(3)
  const x = testDevice('x')
  const { groupInfo } = decodeMessage(room.groupInfo, 'mls_group_info')
  const { keyPackage, privateKeys } = await makeKeyPackage(mls, { ...x, notBefore: 0, notAfter: farFuture })
  const { publicMessage } = await joinGroupExternal(
    groupInfo,
    keyPackage,
    privateKeys,
    false,
    mls.suite,
    undefined,
    clientConfig,
    new Uint8Array(),
    { removeLeaf: 1 },
  )
  const commit = encodeMessage({ version: 'mls10', wireformat: 'mls_public_message', publicMessage })
  await assert.rejects(processMessage(mls, members[0]!(), commit, { authenticate: everyone }), {
    code: 'invalid-commit',
  })
  await assert.rejects(applyHandshake(mls, room.hub, commit, everyone), { code: 'invalid-commit' })
  const own = joinExternally(mls, { groupInfo: room.groupInfo, ...x, authenticate: everyone, removeLeaf: 1 })
  await assert.rejects(own, { code: 'invalid-commit' })
})

test('a member cannot commit an external_init, its own removal, an unknown proposal or what was not seen', async () => {
  const { room, members } = await roomOf(3)
  const inner = inside(members[1]!())
  const forged = async (change: (content: Record<string, unknown>) => void, sender = inner) => {
    // signed by the member as any commit: only the rules can stop it
    const proposals = { unappliedProposals: {} }
    change(proposals)
    const { commit } = await libraryCreateCommit(
      { state: { ...sender, ...proposals }, cipherSuite: mls.suite },
      { wireAsPublicMessage: true },
    )
    return encodeMessage(commit)
  }
  const reference = 'AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA='
  const removal = { proposal: { proposalType: 'remove', remove: { removed: 0 } }, senderLeafIndex: 2 }
  const unseen = await forged((content) => {
    content.unappliedProposals = { [reference]: removal }
  })
  const custom = await forged((content) => {
    content.unappliedProposals = {
      [reference]: { proposal: { proposalType: 0xf777, proposalData: new Uint8Array() }, senderLeafIndex: 2 },
    }
  })
  for (const commit of [unseen, custom]) {
    await assert.rejects(processMessage(mls, members[0]!(), commit, { authenticate: everyone }), {
      code: 'invalid-commit',
    })
    await assert.rejects(applyHandshake(mls, room.hub, commit, everyone), { code: 'invalid-commit' })
  }
  await assert.rejects(createCommit(mls, members[1]!(), { remove: [1] }), { code: 'invalid-commit' })
  await assert.rejects(createCommit(mls, members[1]!(), { remove: [7] }), { code: 'invalid-commit' })
  await assert.rejects(createCommit(mls, members[1]!(), { remove: [2, 2] }), { code: 'invalid-commit' })
  const same = await offer(room, testDevice('x'))
  await assert.rejects(createCommit(mls, members[1]!(), { add: [same, same] }), { code: 'invalid-commit' })
})

test('a key of the tree does not get into it a second time, which would stop every later commit', async () => {
  const { room, members } = await roomOf(4)
  await spreadCommit(room, [...room.members.keys()][0]!, await createCommit(mls, members[0]!()))
  const parent = inside(members[0]!()).ratchetTree.find((node) => node?.nodeType === 'parent')
  assert.ok(parent?.nodeType === 'parent')
  const stolen = parent.parent.hpkePublicKey
  const hpke = {
    ...mls.suite.hpke,
    exportPublicKey: async (key: Parameters<typeof mls.suite.hpke.exportPublicKey>[0]) =>
      used++ === 0 ? stolen : mls.suite.hpke.exportPublicKey(key),
  }
  let used = 0
  const thief = testDevice('thief')
  const { publicPart } = await generateKeyPackage({ ...mls, suite: { ...mls.suite, hpke } }, thief)
  const view = decodeMessage(publicPart, 'mls_key_package').keyPackage
  assert.deepEqual(view.leafNode.hpkePublicKey, stolen)
  await assert.rejects(createCommit(mls, members[1]!(), { add: [publicPart] }), { code: 'invalid-commit' })
  // proposed by someone, it is left out, and the group goes on
  const proposed = await createProposal(mls, members[2]!(), { add: publicPart })
  const devices = [...room.members.keys()]
  room.members.set(devices[2]!, proposed.state)
  await spreadProposal(room, proposed.proposal, devices[2]!)
  await spreadCommit(room, devices[1]!, await createCommit(mls, members[1]!()))
  assert.equal(room.members.size, 4)
})

test('a committer that publishes other keys than it hands out is refused at once', async () => {
  const { room, members } = await roomOf(4)
  let derived = 0
  const hpke = {
    ...mls.suite.hpke,
    // the first is the committer's leaf, the second the node above it and another member
    deriveKeyPair: async (ikm: Uint8Array) =>
      derived++ === 1 ? mls.suite.hpke.generateKeyPair() : mls.suite.hpke.deriveKeyPair(ikm),
  }
  const { commit } = await libraryCreateCommit(
    { state: inside(members[0]!()), cipherSuite: { ...mls.suite, hpke } },
    { wireAsPublicMessage: true },
  )
  const bytes = encodeMessage(commit)
  await applyHandshake(mls, room.hub, bytes, everyone)
  const refused = processMessage(mls, members[1]!(), bytes, { authenticate: everyone })
  await assert.rejects(refused, { code: 'invalid-commit' })
})

test('§7.9.2: a parent node that leaves out a member below it is refused', async () => {
  const { room, devices, members } = await roomOf(3)
  await spreadCommit(room, devices[2]!, await createCommit(mls, members[2]!()))
  const added = await createCommit(mls, members[0]!(), { add: [await offer(room, testDevice('x'))] })
  await spreadCommit(room, devices[0]!, added)
  const tree = inside(members[0]!()).ratchetTree.slice()
  const root = tree[3]
  assert.ok(root?.nodeType === 'parent')
  assert.deepEqual(root.parent.unmergedLeaves, [3])
  await checkParentHashes(mls.suite, tree)
  tree[3] = { nodeType: 'parent', parent: { ...root.parent, unmergedLeaves: [] } }
  assert.equal(await verifyParentHashes(tree, mls.suite.hash), true)
  await assert.rejects(checkParentHashes(mls.suite, tree), { code: 'invalid-tree' })
})

test('what is old, repeated, of another group or changed on the way has its own error', async () => {
  const { room, devices, members } = await roomOf(2)
  const other = await roomOf(2)
  const sent = await encryptMessage(mls, members[1]!(), utf8('hello'))
  const take = (bytes: Uint8Array, state = members[0]!()) =>
    processMessage(mls, state, bytes, { authenticate: everyone })
  const first = await take(sent.message)
  await assert.rejects(take(sent.message, first.state), { code: 'undecryptable' })
  await assert.rejects(take(sent.message, other.members[0]!()), { code: 'undecryptable' })
  const changed = Uint8Array.from(sent.message)
  changed[changed.length - 1]! ^= 1
  await assert.rejects(take(changed), { code: 'undecryptable' })
  let ahead = sent
  for (let i = 0; i <= maxRatchetSteps; i++) ahead = await encryptMessage(mls, ahead.state, utf8('hello again'))
  await assert.rejects(take(ahead.message), { code: 'too-far-ahead' })
  const commit = await createCommit(mls, members[0]!())
  await spreadCommit(room, devices[0]!, commit)
  await assert.rejects(take(commit.commit), { code: 'wrong-epoch' })
  await assert.rejects(applyHandshake(mls, room.hub, commit.commit, everyone), { code: 'wrong-epoch' })
  // a message that was under way when the epoch changed can still be read
  assert.equal((await take(sent.message)).kind, 'application')
  const next = await createCommit(mls, members[1]!())
  const forged = Uint8Array.from(next.commit)
  forged[next.commit.length - 40]! ^= 1
  await assert.rejects(take(forged), { code: 'bad-signature' })
})

test('a GroupInfo that is not exactly of this epoch is refused', async () => {
  const { room, members } = await roomOf(2)
  await checkGroupInfo(mls, room.hub, await groupInfoOf(mls, members[1]!()))
  const fork = await createCommit(mls, members[0]!())
  const twin = await createCommit(mls, members[0]!())
  const applied = await applyHandshake(mls, room.hub, fork.commit, everyone)
  await checkGroupInfo(mls, applied.group, fork.groupInfo)
  await assert.rejects(checkGroupInfo(mls, applied.group, twin.groupInfo), { code: 'invalid-tree' })
  await assert.rejects(checkGroupInfo(mls, room.hub, fork.groupInfo), { code: 'wrong-epoch' })
  const changed = Uint8Array.from(fork.groupInfo)
  changed[changed.length - 1]! ^= 1
  await assert.rejects(checkGroupInfo(mls, applied.group, changed), { code: 'bad-signature' })
})

test('sizes are limited before anything is decoded', async () => {
  const kinds = [
    [1, maxMessageBytes],
    [2, maxMessageBytes],
    [3, maxTreeMessageBytes],
    [4, maxTreeMessageBytes],
    [5, maxKeyPackageBytes],
  ] as const
  for (const [format, limit] of kinds) {
    const bytes = new Uint8Array(limit + 1)
    bytes.set([0, 1, 0, format])
    assert.throws(() => peekMessage(bytes), { code: 'too-large' })
  }
  await assert.rejects(readKeyPackage(mls, Uint8Array.of(0, 1, 0, 9, 0, 0)), { code: 'malformed' })
})

test('any bytes at all are taken or refused with an error of this room, by every door', {
  timeout: 120_000,
}, async () => {
  const { room, members } = await roomOf(3)
  const x = testDevice('x')
  const added = await createCommit(mls, members[0]!(), { add: [await offer(room, x)], aad: utf8('aad') })
  const keyPackages = [room.waiting.get(x)!]
  const valid = [
    added.commit,
    added.welcome!,
    added.groupInfo,
    (await encryptMessage(mls, members[1]!(), utf8('hello'))).message,
    (await generateKeyPackage(mls, testDevice('y'))).publicPart,
    (await joinExternally(mls, { groupInfo: room.groupInfo, ...testDevice('z'), authenticate: everyone })).commit,
  ]
  const doors: ((bytes: Uint8Array) => unknown)[] = [
    (bytes) => peekMessage(bytes),
    (bytes) => readKeyPackage(mls, bytes),
    (bytes) => processMessage(mls, members[2]!(), bytes, { authenticate: everyone }),
    (bytes) => joinByWelcome(mls, { welcome: bytes, keyPackages, authenticate: everyone }),
    (bytes) => joinExternally(mls, { groupInfo: bytes, ...x, authenticate: everyone }),
    (bytes) => openPublicGroup(mls, bytes, everyone),
    (bytes) => applyHandshake(mls, room.hub, bytes, everyone),
    (bytes) => checkGroupInfo(mls, room.hub, bytes),
  ]
  const mutated = fc
    .record({
      message: fc.nat(valid.length - 1),
      changes: fc.array(fc.record({ at: fc.nat(), value: fc.nat(255) }), { maxLength: 4 }),
      cut: fc.option(fc.nat(), { nil: undefined }),
      tail: fc.uint8Array({ maxLength: 3 }),
    })
    .map(({ message, changes, cut, tail }) => {
      const whole = valid[message]!
      const bytes = whole.slice(0, cut === undefined ? whole.length : cut % whole.length)
      for (const { at, value } of changes) if (bytes.length > 0) bytes[at % bytes.length] = value
      return Uint8Array.from([...bytes, ...tail])
    })
  await fc.assert(
    fc.asyncProperty(fc.oneof(mutated, fc.uint8Array({ maxLength: 64 })), async (bytes) => {
      for (const door of doors) {
        try {
          await door(bytes)
        } catch (error) {
          assert.ok(error instanceof MlsError, `not our error: ${String((error as Error).stack)}`)
          assert.ok(!(error.cause instanceof ReferenceError))
        }
      }
    }),
    { numRuns: Number(process.env.FUZZ_RUNS ?? 400) },
  )
})
