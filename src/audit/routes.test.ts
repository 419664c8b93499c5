import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { nodeCrypto as crypto } from '../crypto/node.ts'
import { addAuditor, openCredentials, readAuditors, revokeAuditor, watchAuditors } from './credentials.ts'
import { logRoutes } from './routes.ts'
import { buildLog, testEntries } from './testing/log.ts'

const home = mkdtempSync(join(tmpdir(), 'silta-auditors-'))
after(() => rmSync(home, { recursive: true, force: true }))

test('the log is served to whoever has a credential, as long as it is good', async () => {
  const file = join(home, 'auditors.json')
  let now = 1_800_000_000_000
  const log = buildLog(testEntries(300))
  const credentials = openCredentials(crypto, {
    auditors: watchAuditors(file),
    admitted: () => 'yes',
    clock: () => now,
  })
  const app = logRoutes({ read: async (path) => log.get(path), credentials })
  const get = (path: string, credential?: string) =>
    app.request(path, credential === undefined ? {} : { headers: { authorization: `Bearer ${credential}` } })

  assert.equal((await get('/audit/checkpoint', 'anything')).status, 401)
  const one = addAuditor(crypto, file, { forMs: 1000, now })
  const two = addAuditor(crypto, file, { forMs: 5000, now })
  assert.equal(statSync(file).mode & 0o077, 0)
  const checkpoint = await get('/audit/checkpoint', one.credential)
  assert.equal(checkpoint.headers.get('content-type'), 'text/plain; charset=utf-8')
  assert.deepEqual(new Uint8Array(await checkpoint.arrayBuffer()), log.get('checkpoint'))
  const tile = await get('/audit/tile/entries/001.p/44', one.credential)
  assert.match(tile.headers.get('cache-control')!, /immutable/)
  assert.deepEqual(new Uint8Array(await tile.arrayBuffer()), log.get('tile/entries/001.p/44'))

  // Who has it already is told so.
  const again = (path: string, etag: string) =>
    app.request(path, { headers: { authorization: `Bearer ${one.credential}`, 'if-none-match': etag } })
  for (const [path, answer] of [
    ['/audit/checkpoint', checkpoint],
    ['/audit/tile/entries/001.p/44', tile],
  ] as const) {
    assert.equal((await again(path, answer.headers.get('etag')!)).status, 304)
    assert.equal((await again(path, '"another"')).status, 200)
  }

  for (const path of ['tile/entries/007', 'tile/0/1', 'tile/0/..%2f..%2fcheckpoint', 'tile/checkpoint', 'other'])
    assert.equal((await get(`/audit/${path}`, one.credential)).status, 404, path)
  for (const path of ['checkpoint', 'tile/entries/000', 'other']) {
    const refused = await get(`/audit/${path}`)
    assert.equal(refused.status, 401)
    assert.match(refused.headers.get('www-authenticate')!, /^Bearer/)
    assert.equal(refused.headers.get('content-type'), 'application/problem+json')
  }

  for (const path of ['checkpoint', 'v1/entries', 'tile/entries/000']) {
    const refused = await app.request(`/audit/${path}`, { method: 'POST', body: '{}' })
    assert.deepEqual([refused.status, refused.headers.get('allow')], [405, 'GET, HEAD'], path)
    assert.equal(((await refused.json()) as { code: string }).code, 'wrong-method')
  }

  // The auditors' page has this path, and needs none.
  assert.notEqual((await get('/audit')).status, 401)
  const asks = addAuditor(crypto, file, { forMs: 5000, scopes: ['query'], now })
  assert.equal((await get('/audit/checkpoint', asks.credential)).status, 403)
  assert.equal(revokeAuditor(file, asks.auditor.id), true)

  now += 2000
  assert.equal((await get('/audit/checkpoint', one.credential)).status, 401)
  assert.equal((await get('/audit/checkpoint', two.credential)).status, 200)
  assert.equal(revokeAuditor(file, two.auditor.id), true)
  assert.equal(revokeAuditor(file, two.auditor.id), false)
  assert.equal((await get('/audit/checkpoint', two.credential)).status, 401)
  assert.deepEqual(readAuditors(file), [one.auditor])
})
