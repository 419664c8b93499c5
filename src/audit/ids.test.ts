import assert from 'node:assert/strict'
import { test } from 'node:test'
import { randomId } from './ids.ts'

test('an id begins with no dash', () => {
  const drawn = [Uint8Array.of(0xf8, 0, 0), Uint8Array.of(0xfb, 1, 2), Uint8Array.of(0, 0xfb, 0xef)]
  assert.equal(randomId({ randomBytes: () => drawn.shift()! }, 3), 'APvv')
  assert.equal(drawn.length, 0)
})
