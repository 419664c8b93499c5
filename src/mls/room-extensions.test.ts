import assert from 'node:assert/strict'
import { test } from 'node:test'
import { encodeCbor } from '../cbor/index.ts'
import { utf8 } from '../crypto/index.ts'
import {
  decodeCommitData,
  encodeCommitData,
  manifestsExtension,
  readManifests,
  readRoom,
  roomExtension,
} from './room-extensions.ts'

const hash = new Uint8Array(32).fill(7)

test('marks, room kind and commit data come back as they were', () => {
  const marks = new Map([
    ['mimi://a.example/u/1', { number: 3, hash }],
    ['mimi://b.example/u/2', { number: 1, hash }],
  ])
  assert.deepEqual(readManifests([roomExtension('self'), manifestsExtension(marks)]), marks)
  assert.deepEqual(readManifests([]), new Map())
  assert.deepEqual(readRoom([roomExtension('guest')]), { kind: 'guest' })
  assert.equal(readRoom([]), undefined)
  const manifests = [utf8('one'), utf8('two')]
  assert.deepEqual(decodeCommitData(encodeCommitData({ manifests })), { manifests })
  assert.equal(encodeCommitData({ manifests: [] }).length, 0)
  assert.deepEqual(decodeCommitData(new Uint8Array()), { manifests: [] })
})

test('what is not exactly of their shape is refused', () => {
  const marks = (value: unknown) => () => readManifests([{ type: 0xf001, data: encodeCbor(value) }])
  const malformed = { code: 'malformed' }
  assert.throws(marks(new Map([['a', [0, hash]]])), malformed)
  assert.throws(marks(new Map([['a', [1, hash.slice(1)]]])), malformed)
  assert.throws(marks(new Map([['a', [1, hash, 1]]])), malformed)
  assert.throws(marks(new Map([[1, [1, hash]]])), malformed)
  assert.throws(marks([]), malformed)
  assert.throws(marks(new Map([['a', [[[[1]]], hash]]])), malformed)
  assert.throws(() => readRoom([{ type: 0xf002, data: encodeCbor(new Map([['kind', 'secret']])) }]), malformed)
  assert.throws(() => decodeCommitData(encodeCbor(new Map([[1, ['text']]]))), malformed)
  assert.throws(() => decodeCommitData(encodeCbor(new Map())), malformed)
  assert.throws(() => decodeCommitData(new Uint8Array(300 * 1024)), { code: 'too-large' })
})
