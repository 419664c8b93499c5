import type { GroupInfo, RatchetTree } from 'ts-mls'
import { decodeRatchetTree } from 'ts-mls/ratchetTree.js'
import { decodeAll } from './decode.ts'
import { MlsError } from './errors.ts'
import { checkExtensions } from './extensions.ts'
import { maxTreeMessageBytes, maxTreeNodes } from './limits.ts'

/** The tree of a GroupInfo or one that came apart, within bounds. Throws MlsError 'invalid-tree' when there is none. */
export function checkGroupInfoShape(info: GroupInfo, apart?: RatchetTree): RatchetTree {
  checkExtensions(info.extensions)
  checkExtensions(info.groupContext.extensions)
  const extension = info.extensions.find((each) => each.extensionType === 'ratchet_tree')
  const tree = extension === undefined ? apart : decodeTree(extension.extensionData)
  if (tree === undefined) throw new MlsError('invalid-tree', 'no ratchet tree')
  if (tree.length > maxTreeNodes) throw new MlsError('too-large', 'ratchet tree too large')
  checkUnmergedLeaves(tree)
  return tree
}

/**
 * Unmerged leaves are leaves of the tree, each once, and in increasing order, since the leftmost empty leaf is filled first.
 * With a list that repeats one leaf a hundred thousand times, validating the tree would take hours.
 */
function checkUnmergedLeaves(tree: RatchetTree): void {
  for (const node of tree) {
    if (node?.nodeType !== 'parent') continue
    let last = -1
    for (const leaf of node.parent.unmergedLeaves) {
      if (leaf <= last || 2 * leaf >= tree.length) throw new MlsError('invalid-tree', 'unmerged leaves out of order')
      last = leaf
    }
  }
}

/** A ratchet tree by itself. Throws MlsError 'malformed' or 'too-large'. */
export function decodeTree(bytes: Uint8Array): RatchetTree {
  if (bytes.length > maxTreeMessageBytes) throw new MlsError('too-large', 'ratchet tree too large')
  return decodeAll(decodeRatchetTree, bytes, 'ratchet tree')
}
