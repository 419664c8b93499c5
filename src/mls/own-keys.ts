import type { ClientState } from 'ts-mls'
import { getHpkePublicKey } from 'ts-mls/ratchetTree.js'
import { directPath, leafToNodeIndex, leafWidth, toLeafIndex } from 'ts-mls/treemath.js'
import { equalBytes } from '../crypto/index.ts'
import { MlsError } from './errors.ts'
import type { MlsProvider } from './suite.ts'

/**
 * That our private keys are those of the public ones on our way to the root, for each node but those that we are unmerged
 * at (RFC 9420 §7.5, §12.4.3.1). A committer who publishes other keys than those it handed out would cut us off later, at
 * somebody else's commit; found now, the log shows whose it was. Throws MlsError with `code`.
 */
export function checkOwnKeys(mls: MlsProvider, state: ClientState, code: 'invalid-commit' | 'invalid-tree'): void {
  const { ratchetTree, privatePath } = state
  const leaf = leafToNodeIndex(toLeafIndex(privatePath.leafIndex))
  for (const index of [leaf, ...directPath(leaf, leafWidth(ratchetTree.length))]) {
    const node = ratchetTree[index]
    if (node === undefined) continue
    if (node.nodeType === 'parent' && node.parent.unmergedLeaves.includes(toLeafIndex(privatePath.leafIndex))) continue
    const privateKey = privatePath.privateKeys[index]
    if (privateKey === undefined || !equalBytes(mls.hpkePublicKeyOf(privateKey), getHpkePublicKey(node)))
      throw new MlsError(code, 'a public key that is not that of the private key')
  }
}
