// What a tree costs that somebody else has made up: a Welcome is opened by whoever is invited, before anything is known of it.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { GroupInfo, RatchetTree } from 'ts-mls'
import { signGroupInfo } from 'ts-mls/groupInfo.js'
import { encodeRatchetTree } from 'ts-mls/ratchetTree.js'
import { treeHashRoot } from 'ts-mls/treeHash.js'
import { utf8 } from '../crypto/index.ts'
import { nodeCrypto as crypto } from '../crypto/node.ts'
import { inside } from './group.ts'
import { createGroup, type MlsProvider } from './index.ts'
import { encodeMessage } from './messages.ts'
import { makeKeyPackage } from './own-key-package.ts'
import { nodeMlsProvider } from './provider-node.ts'
import { openPublicGroup } from './public.ts'

const mls = nodeMlsProvider()

/** A GroupInfo with that many leaves, all parents blank but the ones given. */
async function groupInfoWith(count: number, parents: ReadonlyMap<number, number[]>): Promise<Uint8Array> {
  const keyPair = crypto.generateKeyPair()
  const options = { groupId: utf8('wide'), identity: utf8('somebody'), keyPair, extensions: [] }
  const group = inside(await createGroup(mls, options))
  const tree: RatchetTree = new Array(2 * count - 1).fill(undefined)
  tree[0] = group.ratchetTree[0]
  for (let leaf = 1; leaf < count; leaf++) {
    const made = { ...options, keyPair: crypto.generateKeyPair(), notBefore: 0, notAfter: 2e9 }
    tree[2 * leaf] = { nodeType: 'leaf', leaf: (await makeKeyPackage(mls, made)).keyPackage.leafNode }
  }
  for (const [node, unmergedLeaves] of parents) {
    const parent = { hpkePublicKey: crypto.randomBytes(32), parentHash: new Uint8Array(), unmergedLeaves }
    tree[node] = { nodeType: 'parent', parent }
  }
  const info: Omit<GroupInfo, 'signature'> = {
    groupContext: { ...group.groupContext, treeHash: await treeHashRoot(tree, mls.suite.hash) },
    extensions: [{ extensionType: 'ratchet_tree', extensionData: encodeRatchetTree(tree) }],
    confirmationTag: group.confirmationTag,
    signer: 0,
  }
  const groupInfo = await signGroupInfo(info, keyPair.privateKey, mls.suite.signature)
  return encodeMessage({ version: 'mls10', wireformat: 'mls_group_info', groupInfo })
}

test('validating a tree takes a few hashes for each of its nodes, whatever its shape', async () => {
  const leaves = 128
  const root = leaves - 1
  const bytes = await groupInfoWith(leaves, new Map([[root, []]]))
  let digests = 0
  const { hash } = mls.suite
  const digest: typeof hash.digest = (data) => {
    digests++
    return hash.digest(data)
  }
  const counting: MlsProvider = { ...mls, suite: { ...mls.suite, hash: { ...hash, digest } } }
  await assert.rejects(
    openPublicGroup(counting, bytes, () => undefined),
    { code: 'invalid-tree' },
  )
  assert.ok(digests < 4 * leaves, `${digests} hashes for ${leaves} leaves`)
})

test('a tree whose unmerged leaves are out of order, repeated or not there is refused before it is worked on', async () => {
  for (const unmerged of [[1, 0], [1, 1], [4]])
    await assert.rejects(
      groupInfoWith(4, new Map([[3, unmerged]])).then((bytes) => openPublicGroup(mls, bytes, () => undefined)),
      { code: 'invalid-tree', message: 'unmerged leaves out of order' },
    )
})
