import assert from 'node:assert/strict'
import { test } from 'node:test'
import { HomeserverError } from '../matrix/homeserver.ts'
import { parseMxid } from '../matrix/mxid.ts'
import { matrixResolver } from './resolve.ts'
import type { MatrixUser } from './users.ts'

type Answer = object | HomeserverError

/** What the resolver makes of the homeserver's answers; an account is made in the name of the Matrix id. */
async function resolved(value: string, profile: Answer, keys: Answer = {}, newUsers = 1) {
  const give = (answer: Answer) =>
    answer instanceof HomeserverError ? Promise.reject(answer) : Promise.resolve(answer)
  const resolve = matrixResolver({
    homeserver: {
      domain: 'hs.test',
      call: <T>(method: string) => give(method === 'GET' ? profile : keys) as Promise<T>,
    },
    users: {
      find: async () => undefined,
      ensure: async (mxid) => ({ account: `of ${mxid}` }) as unknown as MatrixUser,
    },
    settings: { profileTimeoutMs: 10, newUsers },
    clock: () => 0,
    isOurs: (mxid) => mxid.startsWith('@silta_'),
    parse: parseMxid,
  })
  return resolve(value)
}

const there = '@a:there.test'
const unreachable = { unresolved: 'server-unreachable' }

test('a Matrix id is looked up where its server says that it is there, or does not show it', async () => {
  assert.deepEqual(await resolved(there, {}), { account: `of ${there}` })
  const hidden = new HomeserverError(403, 'M_FORBIDDEN')
  assert.deepEqual(await resolved(there, hidden, { device_keys: {}, failures: {} }), { account: `of ${there}` })
})

test('nobody is behind an id that a server does not know, that is ours, or that is none', async () => {
  const nobody = { unresolved: 'not-reachable' }
  assert.deepEqual(await resolved(there, new HomeserverError(404, 'M_NOT_FOUND')), nobody)
  assert.deepEqual(await resolved(there, new HomeserverError(400, 'M_INVALID_PARAM')), nobody)
  assert.deepEqual(await resolved('@silta_x:hs.test', {}), nobody)
  assert.deepEqual(await resolved('somebody', {}), nobody)
})

test('a server that does not answer is told from a user who is not there', async () => {
  for (const [status, errcode] of [
    [0, 'SILTA_TIMEOUT'],
    [502, 'M_UNKNOWN'],
  ] as const)
    assert.deepEqual(await resolved(there, new HomeserverError(status, errcode)), unreachable)
  // Our homeserver says so of a server that it may not speak to as well.
  const denied = new HomeserverError(403, 'M_FORBIDDEN')
  assert.deepEqual(await resolved(there, denied, { failures: { 'there.test': { status: 503 } } }), unreachable)
  assert.deepEqual(await resolved(there, denied, new HomeserverError(0, 'SILTA_TIMEOUT')), unreachable)
})

test('when our own homeserver fails, nothing is said of anybody', async () => {
  const fails = new HomeserverError(503, 'M_UNKNOWN')
  await assert.rejects(resolved('@a:hs.test', fails), fails)
})

test('only so many new Matrix users get an account in a minute', async () => {
  assert.deepEqual(await resolved(there, {}, {}, 0), { unresolved: 'rate-limited' })
})
