import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { nodeCrypto as crypto } from '../../crypto/node.ts'
import { freshDatabase } from '../../store/testing.ts'
import { addAuditor, openCredentials, revokeAuditor, watchAuditors } from '../credentials.ts'
import { openSubjects } from '../open.ts'
import { openMapping } from './mapping.ts'

const home = mkdtempSync(join(tmpdir(), 'silta-mapping-'))
after(() => rmSync(home, { recursive: true, force: true }))

test('a person’s pseudonym is told when two agree, with entries of it; after an erasure never again', async () => {
  await using database = await freshDatabase()
  const subjectKeysFile = join(home, 'keys')
  const options = { database, crypto, pseudonymKey: crypto.sha256(), subjectKeysFile, networks: ['matrix'] }
  const { audit, pseudonyms, erasure } = await openSubjects(options)
  const file = join(home, 'auditors.json')
  const credentials = openCredentials(crypto, { auditors: watchAuditors(file), admitted: () => 'yes' })
  const add = (scope: 'resolve' | 'log') => addAuditor(crypto, file, { forMs: 3_600_000, scopes: [scope] })
  const [anna, ben, carl] = [add('resolve'), add('resolve'), add('log')]
  let now = Date.now()
  const mapping = openMapping({ database, crypto, pseudonyms, credentials, audit, clock: () => now })
  const account = 'mimi://chat.example/u/somebody'
  const opted = () =>
    database.transaction((tx) => audit.append(tx, { type: 'network.opted-in', account, network: 'matrix' }))
  await opted()
  const entries = async () => {
    const rows = await database.query<{ body: Uint8Array }>('select body from audit.entry order by no')
    return rows.map(({ body }) => JSON.parse(Buffer.from(body).toString()))
  }

  assert.equal(await mapping.request(account, 'nobody'), 'not-allowed')
  assert.equal(await mapping.request(account, carl.credential), 'not-allowed')
  assert.equal(await mapping.request(`${account}-else`, anna.credential), 'not-known')
  assert.equal(await mapping.approve(account, ben.credential), 'not-asked')
  assert.equal((await entries()).length, 1)

  assert.equal(await mapping.request(account, anna.credential), undefined)
  assert.equal(await mapping.approve(account, anna.credential), 'same-person')
  assert.equal(await mapping.approve(account, carl.credential), 'not-allowed')
  const [, requested] = await entries()
  assert.deepEqual(await mapping.approve(account, ben.credential), { pseudonym: requested.account })
  const [first, , disclosed, ...more] = await entries()
  assert.deepEqual(more, [])
  assert.equal(requested.account, first.account)
  assert.deepEqual(
    [requested.type, requested.auditor, disclosed.type, disclosed.auditor, disclosed.mapping],
    ['mapping.requested', anna.auditor.id, 'mapping.disclosed', ben.auditor.id, requested.mapping],
  )
  // Once told, it has to be asked for again; and a request does not wait for ever.
  assert.equal(await mapping.approve(account, ben.credential), 'not-asked')
  await mapping.request(account, anna.credential)
  now += 25 * 3_600_000
  assert.equal(await mapping.approve(account, ben.credential), 'not-asked')

  await mapping.request(account, anna.credential)
  await database.transaction((tx) => erasure.begin(tx, account))
  await erasure.finish()
  assert.deepEqual(await database.query('select 1 from pseudonym.mapping'), [])
  assert.equal(await mapping.approve(account, ben.credential), 'not-known')
  await opted()
  assert.equal(await mapping.request(account, anna.credential), 'not-known')
  revokeAuditor(file, anna.auditor.id)
  assert.equal(await mapping.request(account, anna.credential), 'not-allowed')
})
