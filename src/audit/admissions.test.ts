import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { fromUtf8 } from '../crypto/index.ts'
import { nodeCrypto as crypto } from '../crypto/node.ts'
import { freshDatabase } from '../store/testing.ts'
import { AdmissionError, openAdmissions } from './admissions.ts'
import { type Auditor, addAuditor, openCredentials, revokeAuditor, watchAuditors } from './credentials.ts'
import { logRoutes } from './routes.ts'
import { testAudit } from './testing/world.ts'

const home = mkdtempSync(join(tmpdir(), 'silta-admissions-'))
after(() => rmSync(home, { recursive: true, force: true }))

test('a credential is good for what the log tells of it, whatever the file says later', async () => {
  await using database = await freshDatabase()
  const file = join(home, 'auditors.json')
  const faults: unknown[] = []
  const onFault = (error: unknown) => void faults.push(error)
  const auditors = watchAuditors(file)
  /** A look at the file, and who may read after it. */
  const looked = async () => {
    const admissions = await openAdmissions({ database, crypto, audit: testAudit(), auditors, onFault })
    await admissions.close()
    return { admissions, credentials: openCredentials(crypto, { auditors, admitted: admissions.admitted }) }
  }
  const write = (list: readonly Auditor[]) => writeFileSync(file, JSON.stringify({ auditors: list }))
  const entries = async () =>
    (await database.query<{ body: Uint8Array }>('select body from audit.entry order by no')).map(
      ({ body }) => JSON.parse(fromUtf8(body)) as { type: string; scopes?: string[] },
    )

  const { auditor, credential } = addAuditor(crypto, file, { forMs: 1_000_000 })
  const { credentials } = await looked()
  assert.deepEqual(credentials.holderOf(credential), { id: auditor.id, scopes: ['log', 'query'] })

  const wider: Auditor[] = [
    { ...auditor, scopes: ['log', 'query', 'resolve'] },
    { ...auditor, notAfter: auditor.notAfter + 1 },
    { ...auditor, credentialHash: addAuditor(crypto, join(home, 'other'), { forMs: 1 }).auditor.credentialHash },
  ]
  for (const changed of wider) {
    write([changed])
    // At once, before anybody has looked at the file anew, and after it.
    for (const now of [credentials, (await looked()).credentials]) {
      const holder = now.holderOf(credential)
      assert.deepEqual(holder?.scopes ?? [], [])
    }
    assert.ok(faults.pop() instanceof AdmissionError)
    assert.deepEqual((await looked()).admissions.changed, [auditor.id])
    faults.length = 0
  }
  write([wider[0]!])
  const app = logRoutes({ read: async () => undefined, credentials: (await looked()).credentials })
  const answer = await app.request('/audit/checkpoint', { headers: { authorization: `Bearer ${credential}` } })
  assert.deepEqual([answer.status, ((await answer.json()) as { code: string }).code], [403, 'credential-changed'])

  // A second one under the id of the first was never admitted.
  write([auditor, wider[2]!])
  const twice = await looked()
  assert.deepEqual(twice.credentials.holderOf(credential)?.scopes, ['log', 'query'])
  assert.deepEqual(twice.admissions.changed, [auditor.id])

  // As it was, it is good again; and what is to be wider is revoked and admitted anew, with an entry.
  write([auditor])
  assert.deepEqual((await looked()).credentials.holderOf(credential)?.scopes, ['log', 'query'])
  assert.deepEqual(
    (await entries()).map(({ type }) => type),
    ['auditor.admitted'],
  )
  revokeAuditor(file, auditor.id)
  await looked()
  write([wider[0]!])
  assert.deepEqual((await looked()).credentials.holderOf(credential)?.scopes, ['log', 'query', 'resolve'])
  assert.deepEqual(
    (await entries()).map(({ type, scopes }) => [type, scopes?.length]),
    [
      ['auditor.admitted', 2],
      ['auditor.removed', undefined],
      ['auditor.admitted', 3],
    ],
  )
  assert.match(readFileSync(file, 'utf8'), /resolve/)
})
