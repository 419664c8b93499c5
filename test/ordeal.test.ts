import assert from 'node:assert/strict'
import { test } from 'node:test'
import { runOrdeal } from './support/ordeal/index.ts'

// The long one is `npm run test:long`.
test('killed at random moments, with a homeserver that comes and goes: all arrives once, in order, decrypted', async () => {
  const seed = Math.floor(Math.random() * 2 ** 31)
  const { messages } = await runOrdeal({
    kills: 3,
    conversations: 1,
    groups: 1,
    messagesEach: 10,
    database: 'pglite',
    homeserver: 'stub',
    seed,
    print: (line) => console.log(`seed ${seed}: ${line}`),
  })
  assert.ok(messages >= 50)
})
