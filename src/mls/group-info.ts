import type { GroupInfo, RatchetTree } from 'ts-mls'
import { ratchetTreeFromExtension } from 'ts-mls/groupInfo.js'
import { MlsError } from './errors.ts'
import { checkExtensions } from './extensions.ts'
import { maxTreeNodes } from './limits.ts'

/** The tree of a GroupInfo, within bounds. Throws MlsError 'invalid-tree' when there is none. */
export function checkGroupInfoShape(info: GroupInfo): RatchetTree {
  checkExtensions(info.extensions)
  checkExtensions(info.groupContext.extensions)
  const tree = ratchetTreeFromExtension(info)
  if (tree === undefined) throw new MlsError('invalid-tree', 'no ratchet tree')
  if (tree.length > maxTreeNodes) throw new MlsError('too-large', 'ratchet tree too large')
  return tree
}
