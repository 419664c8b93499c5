import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from '../../../test/support/fast-check.ts'
import { toHex } from '../../crypto/index.ts'
import { nodeCrypto as crypto } from '../../crypto/node.ts'
import { keyAt, leafOf, newKeyTree, treeDepth, withoutLeaves } from './key-tree.ts'

const leaf = fc.uint8Array({ minLength: treeDepth / 8, maxLength: treeDepth / 8 }).map(leafOf)
const whole = newKeyTree(crypto.sha256())

test('keys that were destroyed follow from nothing that is left, all others are as before', () => {
  fc.assert(
    fc.property(fc.uniqueArray(leaf, { minLength: 1, maxLength: 8 }), fc.array(leaf), (gone, others) => {
      const tree = withoutLeaves(crypto, whole, gone)
      for (const each of gone) {
        assert.equal(keyAt(crypto, tree, each), undefined)
        // Neither the leaf's key nor any seed above it is left.
        for (let depth = 0; depth <= treeDepth; depth++) assert.equal(tree.seeds.has(each.slice(0, depth)), false)
      }
      for (const other of others.filter((each) => !gone.includes(each)))
        assert.deepEqual(keyAt(crypto, tree, other), keyAt(crypto, whole, other))
    }),
    { numRuns: 30 },
  )
})

test('each leaf has a key of its own, and neighbours of a destroyed one keep theirs', () => {
  const beside = leafOf(new Uint8Array(7))
  const last = `${beside.slice(0, -1)}1`
  const tree = withoutLeaves(crypto, whole, [beside])
  assert.deepEqual(keyAt(crypto, tree, last), keyAt(crypto, whole, last))
  assert.notEqual(toHex(keyAt(crypto, whole, last)!), toHex(keyAt(crypto, whole, beside)!))
  // Destroying again changes nothing.
  assert.deepEqual(withoutLeaves(crypto, tree, [beside]).seeds, tree.seeds)
  assert.equal(tree.seeds.size, treeDepth)
})
