import assert from 'node:assert/strict'
import { test } from 'node:test'
import { nodeCrypto } from '../crypto/node.ts'
import { openLocalIssuer } from './tokens.ts'
import { trialIssuerRoutes } from './trial-issuer.ts'

const issuer = await openLocalIssuer({
  crypto: nodeCrypto,
  privateKey: new Uint8Array(32).fill(1),
  issuer: 'silta-trial',
  audience: 'silta',
  kinds: ['person', 'business'],
})
const routes = trialIssuerRoutes(issuer)
const post = (body: string) =>
  routes.request('/trial/token', {
    method: 'POST',
    body,
    headers: { 'content-length': String(Buffer.byteLength(body)) },
  })

test('a name gets a token that its verifier takes', async () => {
  const response = await post('{"name": "alice"}')
  const { token } = (await response.json()) as { token: string }
  assert.deepEqual(await issuer.verifier.verify(token), { subject: 'silta-trial#alice', kind: 'person' })
  assert.equal(response.headers.get('cache-control'), 'no-store')
})

test('anything else is refused', async () => {
  for (const body of [
    '',
    '{',
    'null',
    '[]',
    '{"name": 1}',
    '{"name": "A"}',
    '{"name": "a", "kind": "edge"}',
    '{"name": ""}',
  ])
    assert.equal((await post(body)).status, 400, body)
  assert.equal((await post(JSON.stringify({ name: 'a'.repeat(2000) }))).status, 413)
  assert.equal(
    (await routes.request('/trial/token', { method: 'POST', body: '{"name": "a"}' })).status,
    413,
    'no length',
  )
})
