import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fromUtf8 } from '../crypto/index.ts'
import { nodeCrypto as crypto } from '../crypto/node.ts'
import { type Database, isStoreError } from '../store/index.ts'
import { onBothDialects } from '../store/testing.ts'
import { canonicalJson } from './canonical.ts'
import { noteConfiguration } from './configuration.ts'
import { entrySchema } from './event-schema.ts'
import type { AuditEvent } from './events.ts'
import { openRefusals } from './refusals.ts'
import { anEvent, testAudit } from './testing/world.ts'

const time = 1_800_000_000_000
const audit = testAudit(() => time)

async function entries(database: Database) {
  const rows = await database.query<{ body: Uint8Array }>('select body from audit.entry order by no')
  return rows.map(({ body }) => {
    const text = fromUtf8(body)
    const entry = JSON.parse(text) as Record<string, unknown>
    assert.equal(canonicalJson(entry), text)
    entrySchema.parse(entry)
    return entry
  })
}

const append = (database: Database, ...events: AuditEvent[]) =>
  database.transaction(async (tx) => {
    for (const event of events) await audit.append(tx, event)
  })

onBothDialects('entries of the compliance log', (open) => {
  test('have a random pseudonym for each subject, the same each time', async () => {
    await using database = await open()
    await append(database, anEvent('alice'), anEvent('bob'))
    await append(database, anEvent('alice'))
    const [one, two, three] = await entries(database)
    assert.equal(one!.account, three!.account)
    assert.notEqual(one!.account, two!.account)
    const { id, account, ...rest } = one!
    assert.deepEqual(rest, {
      version: 1,
      type: 'network.opted-in',
      network: 'matrix',
      time: new Date(time).toISOString(),
    })
    assert.notEqual(id, three!.id)
    // Nobody's name stands anywhere, in the table of pseudonyms neither.
    const rows = await database.query<{ digest: Uint8Array; sealed: Uint8Array }>(
      'select digest, sealed from pseudonym.subject',
    )
    const bytes = Buffer.concat(rows.flatMap(({ digest, sealed }) => [digest, sealed]))
    assert.equal(rows.length, 2)
    for (const text of ['alice', String(account)]) assert.equal(bytes.includes(text), false)
  })

  test('happen with their action or not at all', async () => {
    await using database = await open()
    const undone = database.transaction(async (tx) => {
      await audit.append(tx, anEvent('alice'))
      throw new Error('undone')
    })
    await assert.rejects(undone, /undone/)
    assert.deepEqual(await entries(database), [])
    assert.deepEqual(await database.query('select * from pseudonym.subject'), [])
  })

  test('of one subject at the same moment have one pseudonym', async () => {
    await using database = await open()
    const results = await Promise.allSettled(Array.from({ length: 8 }, () => append(database, anEvent('alice'))))
    for (const result of results)
      if (result.status === 'rejected') assert.ok(isStoreError(result.reason, 'busy'), String(result.reason))
    assert.equal(new Set((await entries(database)).map(({ account }) => account)).size, 1)
  })

  test('hold no word that the service does not know', async () => {
    await using database = await open()
    await append(database, { ...anEvent('alice'), network: '491511234567' } as AuditEvent)
    assert.equal((await entries(database))[0]!.network, 'other')
    const more = [
      { ...anEvent('alice'), handle: 'alice' },
      { type: 'something.else', account: 'x' },
      { type: 'refusals.counted', operation: 'lookUp', code: 'not found: alice', count: 1, since: '', until: '' },
      { type: 'configuration.applied', first: true, changed: [], policy: { 'tokens.issuer': 'https://a.example' } },
    ] as unknown as AuditEvent[]
    for (const event of more) await assert.rejects(append(database, event))
    assert.equal((await entries(database)).length, 1)
  })

  test('about refusals are sums', async () => {
    await using database = await open()
    const refusals = openRefusals({ database, audit, clock: () => time, onFault: assert.ifError })
    for (let i = 0; i < 1000; i++) refusals.refused('createAccount', 'bad-token', undefined)
    refusals.refused('submitMessage', 'blocked', 'matrix')
    await refusals.close()
    const told = (await entries(database)).map(({ operation, code, provider, count }) => [
      operation,
      code,
      provider,
      count,
    ])
    assert.deepEqual(told, [
      ['createAccount', 'bad-token', undefined, 1000],
      ['submitMessage', 'blocked', 'matrix', 1],
    ])
  })

  test('about the configuration come when it has changed, and show limits only', async () => {
    await using database = await open()
    const note = (fields: Record<string, unknown>) =>
      noteConfiguration({ database, audit, crypto, key: crypto.sha256() }, new Map(Object.entries(fields)))
    const first = { 'limits.connections': 10, 'tokens.issuer': 'https://secret.example', production: undefined }
    await note(first)
    await note(first)
    await note({ ...first, 'tokens.issuer': 'https://other.example', production: true })
    const told = (await entries(database)).map(({ first, changed, policy }) => ({ first, changed, policy }))
    assert.deepEqual(told, [
      { first: true, changed: ['limits.connections', 'tokens.issuer'], policy: { 'limits.connections': 10 } },
      {
        first: false,
        changed: ['production', 'tokens.issuer'],
        policy: { 'limits.connections': 10, production: true },
      },
    ])
    const kept = await database.query<{ digest: Uint8Array }>('select digest from audit.setting')
    assert.equal(Buffer.concat(kept.map(({ digest }) => digest)).includes('secret'), false)
  })
})

test('entries of earlier versions stay valid, with the pseudonym that newer ones do not have', () => {
  const one = 'A'.repeat(22)
  const envelope = { version: 1, id: one, time: new Date(time).toISOString() }
  for (const event of [
    { type: 'mapping.requested', mapping: one, auditor: 'AAAAAAAA' },
    { type: 'subject.erasure-begun', erasure: one },
  ])
    for (const account of [{}, { account: one }]) entrySchema.parse({ ...event, ...account, ...envelope })
})
