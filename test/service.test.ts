// The whole service in one process: what it says of itself, and what it does when a part of it is away.
import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { parse } from 'yaml'
import { run } from '../src/cli/index.ts'
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
  return { service, lines, ask, ready, home: config.dataDirectory }
}

async function until(holds: () => Promise<boolean>): Promise<void> {
  for (const end = Date.now() + 60_000; Date.now() < end; await sleep(100)) if (await holds()) return
  assert.fail('it never came to be')
}

/** What Prometheus adds to each line that it reads. */
const scraped = new Set(['job', 'instance'])
/** What nobody has done yet in a service that has just begun, so that it has no labels. */
const unmade = new Set([
  'silta_edge_crossing_seconds_bucket',
  'silta_edge_olm_seconds_bucket',
  'silta_hub_entries_total',
  'silta_messenger_refusals_total',
  'silta_mls_operations_total',
])
const configOf = (file: string) => readFileSync(new URL(`../config/${file}`, import.meta.url), 'utf8')
/** The expressions of dashboard and alert rules. */
const asking = {
  'the dashboard': [...configOf('grafana/silta.json').matchAll(/"expr": ("(?:[^"\\]|\\.)*")/g)].map(
    ([, text = '']) => JSON.parse(text) as string,
  ),
  'the alert rules': (
    parse(configOf('prometheus/alerts.yaml')) as { groups: { rules: { expr: string }[] }[] }
  ).groups.flatMap(({ rules }) => rules.map(({ expr }) => expr)),
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

  test('has every metric that the dashboard and the alert rules in config/ ask for', async () => {
    const away = { SILTA_MATRIX_HOMESERVER_URL: 'http://127.0.0.1:2', SILTA_MATRIX_DOMAIN: 'hs.example' }
    const { service, ask } = await start(away)
    const told = new Map(
      [...(await ask('/metrics')).body.matchAll(/^# TYPE (\w+) (\w+)$/gm)].map(([, name = '', type = '']) => [
        name,
        type,
      ]),
    )
    const parts = { histogram: ['_bucket', '_count', '_sum'], counter: [''], gauge: [''] } as Record<string, string[]>
    const readable = new Set([...told].flatMap(([name, type]) => parts[type]!.map((part) => name + part)))
    for (const [file, expressions] of Object.entries(asking)) {
      const asked = new Set(expressions.flatMap((one) => one.match(/\bsilta_\w+/g) ?? []))
      assert.ok(asked.size > 9, file)
      for (const name of asked) assert.ok(readable.has(name), `${file} asks for ${name}`)
    }
    await service.stop('test')
  })

  test('has every label and value that they ask for', async () => {
    const away = { SILTA_MATRIX_HOMESERVER_URL: 'http://127.0.0.1:2', SILTA_MATRIX_DOMAIN: 'hs.example' }
    const { service, ask } = await start(away)
    // Made by what happens: requests of the edge's own, to the messenger and to a homeserver that does not answer.
    let text = ''
    await until(async () => {
      text = (await ask('/metrics')).body
      return /_homeserver_seconds_count\{/.test(text) && /_messenger_requests_total\{/.test(text)
    }).finally(() => service.stop('test'))
    const labels = new Map<string, Map<string, Set<string>>>()
    for (const [, name = '', within = ''] of text.matchAll(/^(silta_\w+)\{(.*)\} \S+$/gm))
      for (const [, label = '', value = ''] of within.matchAll(/(\w+)="([^"]*)"/g)) {
        const known = labels.get(name) ?? new Map<string, Set<string>>()
        labels.set(name, known.set(label, (known.get(label) ?? new Set()).add(value)))
      }
    let seen = 0
    for (const [file, expressions] of Object.entries(asking))
      for (const expression of expressions) {
        const metrics = new Set(expression.match(/\bsilta_\w+/g))
        // What they are grouped by stands in all metrics of the expression, or in the one that has labels.
        for (const [, names = ''] of expression.matchAll(/\b(?:by|on) \(([^)]*)\)/g))
          for (const label of names.split(/, */)) {
            if (scraped.has(label)) continue
            for (const metric of metrics) {
              seen++
              if (unmade.has(metric)) continue
              assert.ok(labels.get(metric)?.has(label), `${file}: ${metric} by ${label}`)
            }
          }
        for (const [, metric = '', within = ''] of expression.matchAll(/\b(silta_\w+)\{([^}]*)\}/g))
          for (const [, label = '', how = '', value = ''] of within.matchAll(/(\w+)(=~?)"([^"]*)"/g)) {
            const values = [...(labels.get(metric)?.get(label) ?? [])]
            seen++
            // Each of them, where there are several to choose from, and they can be known.
            for (const one of how === '=' ? [value] : value.split('|').filter((part) => !part.includes('.')))
              assert.ok(values.includes(one), `${file}: ${metric}{${label}="${one}"}, of ${values.join(', ')}`)
          }
      }
    assert.ok(seen > 20)
  })

  test('says how it is to the operator at the terminal, in words and as JSON', async () => {
    const away = { SILTA_MATRIX_HOMESERVER_URL: 'http://127.0.0.1:2', SILTA_MATRIX_DOMAIN: 'hs.example' }
    const { service, home, ready } = await start(away)
    await until(async () => (await ready()).dependencies.homeserver?.state === 'down')
    const status = async (...options: string[]) => {
      const told = { out: '', err: '' }
      const terminal = {
        env: { SILTA_PROVIDER_DOMAIN: 'chat.example', SILTA_DATA_DIRECTORY: home },
        out(text: string) {
          told.out += text
        },
        err(text: string) {
          told.err += text
        },
      }
      return { code: await run(['status', ...options], terminal), ...told }
    }
    const words = await status()
    assert.equal(words.code, 1)
    assert.match(words.out, /^Silta is ready, but something it can do without for a while is down\.$/m)
    assert.match(words.out, /^Homeserver +down/m)
    assert.match(words.out, /^Database +up$/m)
    assert.match(words.out, /^Devices +\d+ connections?$/m)
    assert.match(
      words.out,
      /^Waiting +from Matrix 0, to Matrix 0, keys to ghosts 0, for people who have not answered 0$/m,
    )
    assert.match(words.out, /^Process +running for \d+ s, \d+ MB of memory/m)
    const json = JSON.parse((await status('--json')).out)
    assert.equal(json.health.status, 'degraded')
    assert.ok(json.values.some(({ name }: { name: string }) => name === 'silta_messenger_open_connections'))
    await service.stop('test')
    const gone = await status()
    assert.equal(gone.code, 1)
    assert.match(gone.err, /^No service runs with the data directory/)
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
      const { service, ask, ready, lines } = await start({ DATABASE_URL: postgres.url })
      assert.equal((await ready()).status, 'ready')
      await postgres.interrupt()
      await until(async () => (await ready()).status === 'not-ready')
      const { body } = await ask('/metrics')
      assert.match(body, /^silta_health_dependency_up\{name="database"\} 0$/m)
      assert.match(body, /^silta_health_ready 0$/m)
      assert.doesNotMatch(body, /^silta_audit_waiting \d/m, 'what cannot be read is left out')
      await postgres.resume()
      await until(async () => (await ready()).status === 'ready')
      assert.equal(await service.stop('test'), true)
      assert.doesNotMatch(lines.join(''), /postgres:\/\//)
    } finally {
      await postgres.stop()
    }
  })
})
