import assert from 'node:assert/strict'
import { test } from 'node:test'
import { goOnFromBackup } from './backup.ts'
import type { Config } from './config/index.ts'
import { acquireLease, releaseLease } from './store/index.ts'
import { freshPostgres, postgresMissing } from './store/testing.ts'

test('a database that a service works on is not put back beside it', { skip: postgresMissing() }, async () => {
  const { database, url } = await freshPostgres()
  const restore = () => goOnFromBackup({ dataDirectory: '/nowhere' } as Config, { databaseUrl: url })
  const lease = await acquireLease(database, { name: 'audit-sequencer', owner: 'a service', ttlMs: 90_000 })
  await assert.rejects(restore(), (error: { code?: string; message: string }) => {
    assert.equal(error.code, 'locked')
    assert.match(error.message, /stop the service, and try again in (90|8\d) s/)
    return true
  })
  await releaseLease(database, lease!)
  assert.equal(await restore(), 1)
})
