import type { GroupContext, RatchetTree } from 'ts-mls'
import { extensionsSupportedByCapabilities } from 'ts-mls/extension.js'
import type { LeafNode } from 'ts-mls/leafNode.js'
import { getHpkePublicKey } from 'ts-mls/ratchetTree.js'
import { decodeRequiredCapabilities } from 'ts-mls/requiredCapabilities.js'
import { leafToNodeIndex, toLeafIndex } from 'ts-mls/treemath.js'
import { toHex } from '../crypto/index.ts'
import { decodeAll } from './decode.ts'
import { MlsError, type MlsErrorCode } from './errors.ts'
import { checkExtensions } from './extensions.ts'
import { isUsableHpkeKey } from './hpke-key.ts'
import { maxCapabilities, maxIdentityBytes, maxLeafExtensionBytes, maxTreeNodes } from './limits.ts'
import type { LeafClaim, LeafView } from './types.ts'

type Extensions = GroupContext['extensions']
/** What a tree is judged by. */
type Context = Pick<GroupContext, 'cipherSuite' | 'extensions'>

export function claimOf(leaf: LeafNode): LeafClaim {
  return {
    identity: leaf.credential.credentialType === 'basic' ? leaf.credential.identity : new Uint8Array(),
    signatureKey: leaf.signaturePublicKey,
  }
}

export function leafAt(tree: RatchetTree, index: number): LeafNode | undefined {
  const node = tree[leafToNodeIndex(toLeafIndex(index))]
  return node?.nodeType === 'leaf' ? node.leaf : undefined
}

/** The leaf in its place. Throws MlsError 'invalid-commit' when the place is empty. */
export function viewAt(tree: RatchetTree, index: number): LeafView {
  const leaf = leafAt(tree, index)
  if (leaf === undefined) throw new MlsError('invalid-commit', 'no leaf at this index')
  return { index, ...claimOf(leaf) }
}

export function leaves(tree: RatchetTree): LeafView[] {
  const found: LeafView[] = []
  for (let node = 0; node < tree.length; node += 2) {
    const leaf = leafAt(tree, node / 2)
    if (leaf !== undefined) found.push({ index: node / 2, ...claimOf(leaf) })
  }
  return found
}

function leafNodes(tree: RatchetTree): LeafNode[] {
  return tree.flatMap((node) => (node?.nodeType === 'leaf' ? [node.leaf] : []))
}

/** The index of the leaf with this signature key: unique in a valid tree (RFC 9420 §7.3). */
export function indexOfKey(tree: RatchetTree, signatureKey: Uint8Array): number | undefined {
  const wanted = toHex(signatureKey)
  return leaves(tree).find((leaf) => toHex(leaf.signatureKey) === wanted)?.index
}

/**
 * RFC 9420 §7.3 over all members together: signature and encryption keys unique, every credential type in use and every
 * extension of the group supported by all, required capabilities met, each leaf good by itself. ts-mls builds the sets of keys and never looks
 * whether the new leaf is in them; two leaves with one encryption key would let one member read for the other.
 */
export function checkMembers(members: readonly LeafNode[], context: Context, code: MlsErrorCode): void {
  const { extensions } = context
  const signatureKeys = new Set(members.map((leaf) => toHex(leaf.signaturePublicKey)))
  const encryptionKeys = new Set(members.map((leaf) => toHex(leaf.hpkePublicKey)))
  if (signatureKeys.size !== members.length || encryptionKeys.size !== members.length)
    throw new MlsError(code, 'a key in two leaves')
  const credentialTypes = new Set(members.map((leaf) => leaf.credential.credentialType))
  const required = requiredCapabilities(extensions)
  for (const leaf of members) {
    checkLeaf(leaf, context.cipherSuite, code)
    const { capabilities, extensions: own } = leaf
    if (![...credentialTypes].every((type) => capabilities.credentials.includes(type)))
      throw new MlsError(code, 'a credential type that a member does not support')
    if (!extensionsSupportedByCapabilities([...extensions, ...own], capabilities))
      throw new MlsError(code, 'an extension that a member does not support')
    if (required === undefined) continue
    const met =
      required.extensionTypes.every((type) => type <= 5 || capabilities.extensions.includes(type)) &&
      required.proposalTypes.every((type) => type <= 7 || capabilities.proposals.includes(type)) &&
      required.credentialTypes.every((type) => capabilities.credentials.includes(type))
    if (!met) throw new MlsError(code, 'a member lacks a required capability')
  }
}

/**
 * What a leaf has to be whatever the others are, however it came: by a KeyPackage, an update, a path or a tree. It is to
 * be looked at before it is encoded.
 */
export function checkLeaf(leaf: LeafNode, suite: Context['cipherSuite'], code: MlsErrorCode): void {
  if (!isUsableHpkeKey(suite, leaf.hpkePublicKey)) throw new MlsError(code, 'a leaf that nobody can encrypt to')
  const { credential } = leaf
  if (credential.credentialType === 'basic' && credential.identity.length > maxIdentityBytes)
    throw new MlsError('too-large', 'identity too large')
  if (Object.values(leaf.capabilities).some((list) => list.length > maxCapabilities))
    throw new MlsError('too-large', 'too many capabilities')
  checkExtensions(leaf.extensions)
  if (leaf.extensions.reduce((sum, each) => sum + each.extensionData.length, 0) > maxLeafExtensionBytes)
    throw new MlsError('too-large', 'extensions of a leaf too large')
}

/** The public keys of all nodes, leaves and parents, as text. */
export function encryptionKeys(tree: RatchetTree): string[] {
  return tree.flatMap((node) => (node === undefined ? [] : [toHex(getHpkePublicKey(node))]))
}

/**
 * `checkMembers` for a whole tree, its size, and no encryption key in two of its nodes, parents too (RFC 9420 §12.4.2). A
 * committer who puts another's leaf key above itself harms nobody at once, but ts-mls refuses every later commit on such a
 * tree: the group could never change again. The same with a key above others that nobody can encrypt to: nobody could
 * commit any more, nor join from outside.
 */
export function checkTree(tree: RatchetTree, context: Context, code: MlsErrorCode): void {
  if (tree.length > maxTreeNodes) throw new MlsError('too-large', 'ratchet tree too large')
  const keys = encryptionKeys(tree)
  if (new Set(keys).size !== keys.length) throw new MlsError(code, 'a key in two nodes')
  for (const node of tree)
    if (node?.nodeType === 'parent' && !isUsableHpkeKey(context.cipherSuite, node.parent.hpkePublicKey))
      throw new MlsError(code, 'a node that nobody can encrypt to')
  checkMembers(leafNodes(tree), context, code)
}

function requiredCapabilities(extensions: Extensions) {
  const extension = extensions.find((each) => each.extensionType === 'required_capabilities')
  if (extension === undefined) return undefined
  return decodeAll(decodeRequiredCapabilities, extension.extensionData, 'required_capabilities')
}
