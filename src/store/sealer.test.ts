import assert from 'node:assert/strict'
import { test } from 'node:test'
import { nodeCrypto } from '../crypto/node.ts'
import { createSealer, isStoreError } from './index.ts'

const key = (fill: number) => new Uint8Array(32).fill(fill)
const plaintext = new TextEncoder().encode('canary')
const refused = (error: unknown) => isStoreError(error, 'sealed') && !error.retry

test('what was sealed for a place opens there, and only there', () => {
  const sealer = createSealer(nodeCrypto, [key(1)])
  const sealed = sealer.seal(plaintext, 'group|ratchets|1')
  assert.deepEqual(sealer.open(sealed, 'group|ratchets|1'), plaintext)
  assert.throws(() => sealer.open(sealed, 'group|ratchets|2'), refused)
  assert.equal(Buffer.from(sealed).includes('canary'), false)
})

test('sealing the same twice gives different bytes', () => {
  const sealer = createSealer(nodeCrypto, [key(1)])
  assert.notDeepEqual(sealer.seal(plaintext, 'a'), sealer.seal(plaintext, 'a'))
})

test('an empty value can be sealed', () => {
  const sealer = createSealer(nodeCrypto, [key(1)])
  assert.deepEqual(sealer.open(sealer.seal(new Uint8Array(), 'a'), 'a'), new Uint8Array())
})

test('a changed byte anywhere, or a missing end, is refused', () => {
  const sealer = createSealer(nodeCrypto, [key(1)])
  const sealed = sealer.seal(plaintext, 'a')
  for (let i = 0; i < sealed.length; i++) {
    const changed = sealed.slice()
    changed[i]! ^= 1
    assert.throws(() => sealer.open(changed, 'a'), refused)
    assert.throws(() => sealer.open(sealed.subarray(0, i), 'a'), refused)
  }
})

test('after a rotation old values still open, and new ones need the new key', () => {
  const before = createSealer(nodeCrypto, [key(1)])
  const after = createSealer(nodeCrypto, [key(2), key(1)])
  const old = before.seal(plaintext, 'a')
  assert.deepEqual(after.open(old, 'a'), plaintext)
  const anew = after.seal(plaintext, 'a')
  assert.throws(() => before.open(anew, 'a'), refused)
})

test('without a key, or with one of a wrong length, there is no sealer', () => {
  assert.throws(() => createSealer(nodeCrypto, []), refused)
  assert.throws(() => createSealer(nodeCrypto, [new Uint8Array(16)]), refused)
})
