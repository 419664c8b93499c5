import assert from 'node:assert/strict'
import { test } from 'node:test'
import { memoryStorage } from '../storage/memory.ts'
import { groupCache } from './group-cache.ts'
import { createKeyedMutex, createMutex } from './mutex.ts'
import { rooms, submissionKey, submissionPrefix, submissions } from './records.ts'

test('a group cache drops what was used longest ago, and never grows past its size', () => {
  const cache = groupCache(2)
  cache.set('a', 1)
  cache.set('b', 2)
  assert.equal(cache.get('a'), 1)
  cache.set('c', 3)
  assert.deepEqual([cache.get('a'), cache.get('b'), cache.get('c')], [1, undefined, 3])
  cache.delete('a')
  assert.equal(cache.get('a'), undefined)
})

test('a mutex goes on after a failure; with keys, only the same key waits', async () => {
  const order: string[] = []
  const alone = createMutex()
  const failing = alone(async () => {
    order.push('one')
    throw new Error('on purpose')
  })
  const next = alone(async () => void order.push('two'))
  await assert.rejects(failing, /on purpose/)
  await next
  const keyed = createKeyedMutex()
  const gate = Promise.withResolvers<void>()
  const held = keyed('a', () => gate.promise)
  const waiting = keyed('a', async () => void order.push('a'))
  await keyed('b', async () => void order.push('b'))
  gate.resolve()
  await Promise.all([held, waiting])
  assert.deepEqual(order, ['one', 'two', 'b', 'a'])
})

test('submissions of one room come in the order of sending, whatever its number of digits', async () => {
  const storage = memoryStorage()
  const room = 'mimi://p.example/r/AAAAAAAAAAAAAAAAAAAAAA' as Parameters<typeof submissionKey>[0]
  const value = { messageId: new Uint8Array(32), key: new Uint8Array(16), keyGiven: false, content: new Uint8Array() }
  const found = await storage.transaction(async (tx) => {
    for (const order of [10, 9, 100, 1]) await submissions.put(tx, submissionKey(room, order), value)
    await submissions.put(tx, submissionKey(`${room}B` as typeof room, 0), value)
    return (await submissions.list(tx, submissionPrefix(room))).map(({ key }) => Number(key.slice(-16)))
  })
  assert.deepEqual(found, [1, 9, 10, 100])
})

test('a record that was damaged is an error of storage, not a surprise later', async () => {
  const storage = memoryStorage()
  const room = 'mimi://p.example/r/AAAAAAAAAAAAAAAAAAAAAA' as Parameters<typeof rooms.get>[1]
  await storage.transaction((tx) => tx.put('room', room, Uint8Array.of(0xff, 1)))
  await assert.rejects(
    storage.transaction((tx) => rooms.get(tx, room)),
    { name: 'ClientError', code: 'storage' },
  )
})
