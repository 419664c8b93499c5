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
  let refused: string | undefined
  const admitted = ({ id }: { id: string }) => (id === refused ? 'changed' : 'yes')
  let now = Date.now()
  const clock = () => now
  const credentials = openCredentials(crypto, { auditors: watchAuditors(file), admitted, clock })
  const add = (scope: 'resolve' | 'log') => addAuditor(crypto, file, { forMs: 48 * 3_600_000, scopes: [scope] })
  const [anna, ben, carl] = [add('resolve'), add('resolve'), add('log')]
  const mapping = openMapping({ database, crypto, pseudonyms, credentials, audit, clock })
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
  const [first, requested] = await entries()
  // Whoever has asked and reads the log has not learned it by that.
  assert.equal(JSON.stringify(requested).includes(first.account), false)
  assert.deepEqual(await mapping.approve(account, ben.credential), { pseudonym: first.account })
  const [, , disclosed, ...more] = await entries()
  assert.deepEqual(more, [])
  assert.equal(disclosed.account, first.account)
  assert.deepEqual(
    [requested.type, requested.auditor, disclosed.type, disclosed.auditor, disclosed.mapping],
    ['mapping.requested', anna.auditor.id, 'mapping.disclosed', ben.auditor.id, requested.mapping],
  )
  // Once told, it has to be asked for again; and a request does not wait for ever.
  assert.equal(await mapping.approve(account, ben.credential), 'not-asked')
  await mapping.request(account, anna.credential)
  now += 25 * 3_600_000
  assert.equal(await mapping.approve(account, ben.credential), 'not-asked')

  // Whoever has asked has to be admitted still when it is told: as the log tells, not revoked, not expired.
  const dora = addAuditor(crypto, file, { forMs: 30 * 3_600_000, scopes: ['resolve'] })
  await mapping.request(account, dora.credential)
  refused = dora.auditor.id
  assert.equal(await mapping.approve(account, ben.credential), 'not-asked')
  refused = undefined
  now += 6 * 3_600_000
  assert.equal(await mapping.approve(account, ben.credential), 'not-asked')
  const emil = add('resolve')
  await mapping.request(account, emil.credential)
  revokeAuditor(file, emil.auditor.id)
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
