import assert from 'node:assert/strict'
import { test } from 'node:test'
import { encodeCbor } from '../cbor/index.ts'
import { utf8 } from '../crypto/index.ts'
import { type AccountAddress, mostRosterAccounts, type RoomState } from '../identity/index.ts'
import {
  decodeCommitData,
  encodeCommitData,
  manifestsExtension,
  mostCommitManifests,
  readManifests,
  readRoom,
  roomExtension,
  sameButRoom,
  withRoom,
} from './room-extensions.ts'

const hash = new Uint8Array(32).fill(7)

test('marks, room kind and commit data come back as they were', () => {
  const marks = new Map([
    ['mimi://a.example/u/1', { number: 3, hash }],
    ['mimi://b.example/u/2', { number: 1, hash }],
  ])
  assert.deepEqual(readManifests([roomExtension({ kind: 'self' }), manifestsExtension(marks)]), marks)
  assert.deepEqual(readManifests([]), new Map())
  assert.deepEqual(readRoom([roomExtension({ kind: 'guest' })]), { kind: 'guest' })
  assert.equal(readRoom([]), undefined)
  const manifests = [utf8('one'), utf8('two')]
  assert.deepEqual(decodeCommitData(encodeCommitData({ manifests })), { manifests })
  assert.equal(encodeCommitData({ manifests: [] }).length, 0)
  assert.deepEqual(decodeCommitData(new Uint8Array()), { manifests: [] })
})

test('marks have room for all who ever were in a group, and an end', () => {
  const marksOf = (count: number, prefix: string) =>
    new Map(Array.from({ length: count }, (_, i) => [prefix + String(i).padStart(5, 'A'), { number: 1, hash }]))
  // As many as the hub takes in a GroupInfo of 2 MiB with nothing else in it
  const usual = manifestsExtension(marksOf(22_000, `mimi://a.example/u/${'A'.repeat(17)}`))
  assert.ok(usual.data.length < 2 * 2 ** 20)
  assert.equal(readManifests([usual]).size, 22_000)
  assert.equal(readManifests([manifestsExtension(marksOf(mostRosterAccounts, ''))]).size, mostRosterAccounts)
  const tooMany = manifestsExtension(marksOf(mostRosterAccounts + 1, ''))
  assert.throws(() => readManifests([tooMany]), { code: 'malformed' })
  const tooLong = manifestsExtension(marksOf(40_000, `mimi://a.example/u/${'A'.repeat(64)}`))
  assert.throws(() => readManifests([tooLong]), { code: 'too-large' })
})

const address = 'mimi://a.example/u/AAAAAAAAAAAAAAAAAAAAAA' as AccountAddress

test('a group has a name and roles, in one form only', () => {
  const group: RoomState = { kind: 'group', name: 'Fünf Freunde', roles: new Map([[address, 'owner']]) }
  assert.deepEqual(readRoom([roomExtension(group)]), group)
  const before = [{ type: 3, data: utf8('x') }, roomExtension(group)]
  const renamed = withRoom(before, { ...group, name: 'Sechs' })
  assert.deepEqual(readRoom(renamed), { ...group, name: 'Sechs' })
  assert.ok(sameButRoom(before, renamed))
  assert.ok(!sameButRoom(before, renamed.slice(1)))
  assert.throws(() => roomExtension({ ...group, name: 'ü'.repeat(201) }), { code: 'too-large' })
  assert.throws(() => roomExtension({ ...group, name: 'two\nlines' }), { code: 'malformed' })
  const many = Array.from(
    { length: 101 },
    (_, i) => `mimi://a.example/u/${String(i).padStart(22, 'A')}` as AccountAddress,
  )
  assert.throws(() => roomExtension({ ...group, roles: new Map(many.map((each) => [each, 'admin'])) }), {
    code: 'too-large',
  })
  const written = (change: [string, unknown][]) => () => {
    const fields = new Map<string, unknown>([
      ['kind', 'group'],
      ['v', 1],
      ['name', ''],
      ['roles', new Map()],
      ...change,
    ])
    return readRoom([{ type: 0xf002, data: encodeCbor(fields) }])
  }
  assert.deepEqual(written([])(), { kind: 'group', name: '', roles: new Map() })
  for (const change of [
    [['v', 2]],
    [['more', 1]],
    [['kind', 'direct']],
    [['name', 1]],
    [['roles', []]],
    [['roles', new Map([[address, 'member']])]],
    [['roles', new Map([['somebody', 'owner']])]],
  ] as [string, unknown][][])
    assert.throws(written(change), { code: 'malformed' })
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
  const many = (count: number) => encodeCommitData({ manifests: Array.from({ length: count }, () => hash) })
  assert.equal(decodeCommitData(many(mostCommitManifests)).manifests.length, 64)
  assert.throws(() => decodeCommitData(many(mostCommitManifests + 1)), malformed)
  assert.throws(() => decodeCommitData(new Uint8Array(300 * 1024)), { code: 'too-large' })
})
