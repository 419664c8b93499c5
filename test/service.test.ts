// The whole service in one process: what it says of itself, and what it does when a part of it is away.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { loadConfig } from '../src/config/index.ts'
import { startService } from '../src/main.ts'
import { openLog } from '../src/ops/index.ts'
import { openPglite } from '../src/store/pglite.ts'
import { emptyPglite, postgresMissing } from '../src/store/testing.ts'
import { startPostgres } from './support/postgres.ts'

const home = mkdtempSync(join(tmpdir(), 'silta-service-'))
after(() => rmSync(home, { recursive: true, force: true }))
let count = 0

/** An embedded database from a template: making one takes seconds, and is tried elsewhere. */
async function makeDatabase(directory: string): Promise<void> {
  await (await openPglite(join(directory, 'database'), { template: await emptyPglite() })).close()
}

async function start(env: NodeJS.ProcessEnv = {}) {
  const lines: string[] = []
  const { config } = loadConfig({
    env: {
      SILTA_PROVIDER_DOMAIN: 'chat.example',
      SILTA_DATA_DIRECTORY: join(home, String(count++)),
      SILTA_LISTEN_PORT: '0',
      ...env,
    },
  })
  if (!config.database.url) await makeDatabase(config.dataDirectory)
  const service = await startService(config, { log: openLog({ write: (line) => void lines.push(line) }) })
  const ask = async (path: string) => {
    const response = await fetch(`${service.url}${path}`)
    return { status: response.status, body: await response.text() }
  }
  const ready = async () => JSON.parse((await ask('/readyz')).body)
  return { service, lines, ask, ready }
}

async function until(holds: () => Promise<boolean>): Promise<void> {
  for (const end = Date.now() + 60_000; Date.now() < end; await sleep(100)) if (await holds()) return
  assert.fail('it never came to be')
}

describe('the service', () => {
  test('is ready, counts, and refuses what it does not know, without a word of what went wrong inside', async () => {
    const { service, ask, ready } = await start()
    assert.equal((await ready()).status, 'ready')
    assert.equal((await ask('/healthz')).status, 200)
    assert.match((await ask('/metrics')).body, /^silta_messenger_connections_total \d+$/m)
    assert.deepEqual(await ask('/nothing'), { status: 404, body: '{"error":"not found"}' })
    assert.equal(await service.stop('test'), true)
    assert.equal(await service.ended, true)
  })

  test('gives trial tokens, unless the trial issuer is off', async () => {
    const name = { method: 'POST', body: '{"name":"ada"}' }
    const on = await start()
    assert.equal((await fetch(`${on.service.url}/trial/token`, name)).status, 200)
    await on.service.stop('test')
    const off = await start({ SILTA_TOKENS_TRIAL: 'false' })
    assert.equal((await fetch(`${off.service.url}/trial/token`, name)).status, 404)
    await off.service.stop('test')
  })

  test('starts and goes on without its homeserver, and says so', async () => {
    const away = { SILTA_MATRIX_HOMESERVER_URL: 'http://127.0.0.1:2', SILTA_MATRIX_DOMAIN: 'hs.example' }
    const { service, ready } = await start(away)
    const { status, dependencies } = await ready()
    assert.equal(status, 'degraded')
    assert.deepEqual([dependencies.homeserver.state, dependencies.homeserver.code], ['down', 'ECONNREFUSED'])
    assert.equal(await service.stop('test'), true)
  })

  test('that cannot listen closes all it had opened, and can be started once the port is free', async () => {
    const other = createServer()
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve))
    const { port } = other.address() as { port: number }
    const place = { SILTA_LISTEN_PORT: String(port), SILTA_DATA_DIRECTORY: join(home, 'taken') }
    await assert.rejects(start(place), /something else listens there/)
    await new Promise((resolve) => other.close(resolve))
    const { service } = await start(place)
    assert.equal(await service.stop('test'), true)
  })

  test('on PostgreSQL outlives the loss of its database, is not ready meanwhile, and goes on by itself', {
    skip: postgresMissing(),
  }, async () => {
    const postgres = await startPostgres()
    try {
      const { service, ready, lines } = await start({ DATABASE_URL: postgres.url })
      assert.equal((await ready()).status, 'ready')
      await postgres.interrupt()
      await until(async () => (await ready()).status === 'not-ready')
      await postgres.resume()
      await until(async () => (await ready()).status === 'ready')
      assert.equal(await service.stop('test'), true)
      assert.doesNotMatch(lines.join(''), /postgres:\/\//)
    } finally {
      await postgres.stop()
    }
  })
})
