// One member with changed software must not bring a key or a leaf into the tree with which nobody can go on.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ClientState, KeyPackage } from 'ts-mls'
import { createCommit as libraryCreateCommit } from 'ts-mls/createCommit.js'
import { createProposal as libraryCreateProposal } from 'ts-mls/createMessage.js'
import { generateKeyPackageWithKey } from 'ts-mls/keyPackage.js'
import type { LeafNode } from 'ts-mls/leafNode.js'
import { farFuture, type GroupState, inside } from './group.ts'
import { createCommit, createProposal, processMessage, readKeyPackage } from './index.ts'
import { maxCapabilities, maxExtensions, maxLeafExtensionBytes } from './limits.ts'
import { encodeMessage } from './messages.ts'
import { makeKeyPackage } from './own-key-package.ts'
import { nodeMlsProvider } from './provider-node.ts'
import { applyHandshake } from './public.ts'
import { everyone, offer, spreadCommit, type TestRoom, testDevice, testRoom } from './testing.ts'

const mls = nodeMlsProvider()
type Hpke = typeof mls.suite.hpke

async function roomOfFour() {
  const devices = Array.from({ length: 4 }, (_, i) => testDevice(`d${i}`))
  const room = await testRoom(mls, devices[0]!)
  const add = await Promise.all(devices.slice(1).map((device) => offer(room, device)))
  await spreadCommit(room, devices[0]!, await createCommit(mls, room.members.get(devices[0]!)!, { add }))
  return { room, members: devices.map((device) => room.members.get(device)!) }
}

interface Forgery {
  /** What of the state the member has changed. */
  state?: Partial<ClientState>
  hpke?: Hpke
  add?: KeyPackage
}

/** A commit as the library makes it: signed by the member as any other, so that only the rules can stop it. */
async function forged(member: GroupState, { state, hpke = mls.suite.hpke, add }: Forgery): Promise<Uint8Array> {
  const { commit } = await libraryCreateCommit(
    { state: { ...inside(member), ...state }, cipherSuite: { ...mls.suite, hpke } },
    {
      wireAsPublicMessage: true,
      extraProposals: add === undefined ? [] : [{ proposalType: 'add', add: { keyPackage: add } }],
    },
  )
  return encodeMessage(commit)
}

/** Hub and members alike. */
async function assertRefused(room: TestRoom, member: GroupState, commit: Uint8Array, code: string): Promise<void> {
  await assert.rejects(applyHandshake(mls, room.hub, commit, everyone), { code })
  await assert.rejects(processMessage(mls, member, commit, { authenticate: everyone }), { code })
}

/** The cryptography of a member that publishes another key in place of the n-th that it exports. */
function publishing(n: number, publicKey: Uint8Array): Hpke {
  let exported = 0
  return {
    ...mls.suite.hpke,
    exportPublicKey: async (key) => (exported++ === n ? publicKey : mls.suite.hpke.exportPublicKey(key)),
  }
}

/** Of a wrong length or of small order, with and without the bit that X25519 ignores. */
const unusable = [
  '',
  '09'.repeat(31),
  '09'.repeat(33),
  '00'.repeat(32),
  `01${'00'.repeat(31)}`,
  'e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800',
  '5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157',
  ...['ec', 'ed', 'ee'].map((first) => `${first}${'ff'.repeat(30)}7f`),
  `${'00'.repeat(31)}80`,
  `ec${'ff'.repeat(31)}`,
].map((hex) => Uint8Array.from(Buffer.from(hex, 'hex')))

const newcomer = { notBefore: 0, notAfter: farFuture }
// In the order in which the library exports them
const keysOfPackage = ['encryption key', 'init key']
const keysOfPath = ['node above two', 'node above all', 'leaf']

test('a path with a key that nobody can encrypt to is refused: nobody could commit or join from outside any more', async () => {
  const { room, members } = await roomOfFour()
  for (const publicKey of unusable)
    for (const n of keysOfPath.keys())
      await assertRefused(
        room,
        members[1]!,
        await forged(members[0]!, { hpke: publishing(n, publicKey) }),
        'invalid-commit',
      )
})

test('a KeyPackage with a key that nobody can encrypt to is refused, by itself and in a commit', async () => {
  const { room, members } = await roomOfFour()
  for (const publicKey of unusable) {
    for (const [n, name] of keysOfPackage.entries()) {
      const suite = { ...mls.suite, hpke: publishing(n, publicKey) }
      const { keyPackage } = await makeKeyPackage({ ...mls, suite }, { ...testDevice('x'), ...newcomer })
      const bytes = encodeMessage({ version: 'mls10', wireformat: 'mls_key_package', keyPackage })
      await assert.rejects(readKeyPackage(mls, bytes), { code: 'malformed' }, name)
      await assert.rejects(createCommit(mls, members[0]!, { add: [bytes] }), { code: 'malformed' }, name)
      await assert.rejects(createProposal(mls, members[0]!, { add: bytes }), { code: 'malformed' }, name)
      // To an init key the committer itself encrypts, which fails
      const imported: Hpke = {
        ...mls.suite.hpke,
        importPublicKey: async () => (await mls.suite.hpke.generateKeyPair()).publicKey,
      }
      const commit = await forged(members[0]!, { add: keyPackage, hpke: imported })
      await assertRefused(room, members[1]!, commit, 'invalid-commit')
    }
  }
})

type Extent = Pick<LeafNode, 'capabilities' | 'extensions'>

/** How a leaf may be, and by how little it must not be more. */
function extents(usual: LeafNode): { fits: Extent; tooLarge: Record<string, Extent> } {
  const { capabilities } = usual
  // Private types, so that every extension that a leaf has is among what it supports
  const types = Array.from({ length: maxCapabilities }, (_, i) => 0xf100 + i)
  const known = capabilities.extensions
  const supported = { ...capabilities, extensions: [...known, ...types.slice(known.length)] }
  const extension = (i: number, length: number) => ({
    extensionType: supported.extensions.at(-1 - i)!,
    extensionData: new Uint8Array(length),
  })
  const full = [extension(0, maxLeafExtensionBytes - 1), extension(1, 1)]
  const many = (length: number) => Array.from({ length }, (_, i) => extension(i, 0))
  const usualExtent = { capabilities, extensions: [] }
  return {
    fits: { capabilities: { ...supported, proposals: types }, extensions: full },
    tooLarge: {
      'extensions supported': {
        ...usualExtent,
        capabilities: { ...supported, extensions: [...supported.extensions, 0xf001] },
      },
      'proposals supported': { ...usualExtent, capabilities: { ...capabilities, proposals: [...types, 0xf001] } },
      'credentials supported': {
        ...usualExtent,
        capabilities: { ...capabilities, credentials: ['basic', ...types.map(() => 'x509' as const)] },
      },
      'extensions in all': { capabilities: supported, extensions: [...full, extension(2, 1)] },
      'number of extensions': { capabilities: supported, extensions: many(maxExtensions + 1) },
    },
  }
}

async function packageWith({ capabilities, extensions }: Extent): Promise<KeyPackage> {
  const { keyPair, identity } = testDevice('x')
  const made = await generateKeyPackageWithKey(
    { credentialType: 'basic', identity },
    capabilities,
    { notBefore: 0n, notAfter: BigInt(farFuture) },
    [],
    { publicKey: keyPair.publicKey, signKey: keyPair.privateKey },
    mls.suite,
    extensions,
  )
  return made.publicPackage
}

const ownLeaf = (member: GroupState): LeafNode => {
  const node = inside(member).ratchetTree[0]
  assert.ok(node?.nodeType === 'leaf')
  return node.leaf
}

/** The member's tree with another leaf of its own: the library makes the leaf of a path after it. */
function treeWith(member: GroupState, extent: Extent): ClientState['ratchetTree'] {
  const leaf: LeafNode = { ...ownLeaf(member), ...extent }
  return inside(member).ratchetTree.with(0, { nodeType: 'leaf', leaf })
}

test('a leaf is bounded in what it lists and brings, whichever way it comes: it would stay in the tree for all', async () => {
  const { room, members } = await roomOfFour()
  const [first, second] = members as [GroupState, GroupState]
  const { fits, tooLarge } = extents(ownLeaf(first))
  for (const [name, extent] of Object.entries(tooLarge)) {
    const add = await packageWith(extent)
    const bytes = encodeMessage({ version: 'mls10', wireformat: 'mls_key_package', keyPackage: add })
    await assert.rejects(readKeyPackage(mls, bytes), { code: 'too-large' }, name)
    await assertRefused(room, second, await forged(first, { add }), 'too-large')
    await assertRefused(
      room,
      second,
      await forged(first, { state: { ratchetTree: treeWith(first, extent) } }),
      'too-large',
    )
    const proposal = { proposalType: 'add', add: { keyPackage: add } } as const
    const { message } = await libraryCreateProposal(inside(first), true, proposal, mls.suite)
    await assertRefused(room, second, encodeMessage(message), 'too-large')
  }
  const largest = await packageWith(fits)
  await readKeyPackage(mls, encodeMessage({ version: 'mls10', wireformat: 'mls_key_package', keyPackage: largest }))
  const ratchetTree = treeWith(first, fits)
  for (const forgery of [{ add: largest }, { state: { ratchetTree } }]) {
    const commit = await forged(first, forgery)
    await applyHandshake(mls, room.hub, commit, everyone)
    await processMessage(mls, second, commit, { authenticate: everyone })
  }
})
