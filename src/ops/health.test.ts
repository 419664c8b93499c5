import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { type HealthState, healthGauges, openHealth, openMetrics } from './index.ts'

const up = (name: string, needed = true) => ({ name, needed, check: async () => undefined })
const down = (name: string, needed: boolean, error: unknown) => ({
  name,
  needed,
  check: async () => Promise.reject(error),
})
const ask = async (health: ReturnType<typeof openHealth>, path = '/readyz') => {
  const response = await health.routes.request(path)
  return { status: response.status, body: (await response.json()) as HealthState }
}

test('it is alive from the beginning, and ready once it has started', async () => {
  const health = openHealth([up('database')])
  assert.equal((await ask(health, '/healthz')).status, 200)
  assert.deepEqual([(await ask(health)).status, (await ask(health)).body.status], [503, 'starting'])
  health.started()
  const { status, body } = await ask(health)
  assert.deepEqual([status, body.status, body.dependencies.database?.state], [200, 'ready', 'up'])
})

test('a needed dependency that is down makes it not ready, and says why in one word', async () => {
  const error = Object.assign(new Error('canary'), { code: 'ECONNREFUSED' })
  const health = openHealth([down('database', true, error), up('homeserver', false)])
  health.started()
  const { status, body } = await ask(health)
  assert.deepEqual([status, body.status], [503, 'not-ready'])
  const { since, ...state } = body.dependencies.database!
  assert.deepEqual(state, { state: 'down', needed: true, code: 'ECONNREFUSED' })
  assert.match(since, /^\d{4}-/)
  assert.equal((await ask(health, '/healthz')).status, 200, 'a restart would not mend the database')
  assert.doesNotMatch(JSON.stringify(body), /canary/)
})

test('without one that is not needed it is degraded, and goes on', async () => {
  const health = openHealth([up('database'), down('homeserver', false, Object.assign(new Error(), { code: 'a b c' }))])
  health.started()
  const { status, body } = await ask(health)
  assert.deepEqual([status, body.status, body.dependencies.homeserver?.code], [200, 'degraded', 'failed'])
})

test('a check that hangs counts as down', async () => {
  const health = openHealth([{ name: 'slow', needed: true, check: () => new Promise(() => undefined) }], {
    checkTimeoutMs: 20,
  })
  health.started()
  const { body } = await ask(health)
  assert.equal(body.dependencies.slow?.code, 'timeout')
})

test('while draining it is not ready, whatever its dependencies say', async () => {
  const health = openHealth([up('database')])
  health.started()
  health.draining()
  health.started()
  assert.deepEqual([(await ask(health)).status, (await ask(health)).body.status], [503, 'draining'])
})

test('many who ask at once cause one check, and the time of the change is kept', async () => {
  let checks = 0
  let works = false
  let now = 1_000_000
  const check = async () => {
    checks++
    await sleep(5)
    return works
  }
  const health = openHealth([{ name: 'd', needed: true, check }], { reuseMs: 100, clock: () => now })
  health.started()
  await Promise.all([health.state(), health.state(), health.state()])
  assert.equal(checks, 1)
  const since = (await health.state()).dependencies.d!.since
  now += 100
  assert.equal((await health.state()).dependencies.d!.since, since, 'still down since then')
  works = true
  now += 100
  assert.equal((await health.state()).dependencies.d!.since, new Date(now).toISOString())
  assert.equal(checks, 3)
})

test('the metrics have the same, also while a dependency does not answer', async () => {
  let now = 0
  const state = { database: true, homeserver: true }
  const slow = () => new Promise<never>(() => undefined)
  const health = openHealth(
    [
      { name: 'database', needed: true, check: async () => state.database || slow() },
      { name: 'homeserver', needed: false, check: async () => state.homeserver },
    ],
    { clock: () => now, checkTimeoutMs: 20 },
  )
  const metrics = openMetrics()
  healthGauges(health, metrics)
  const shown = async () => {
    now += 1_000
    const told = (await metrics.values()).filter(({ name }) => name.startsWith('silta_health_'))
    return Object.fromEntries(told.map(({ name, labels, value }) => [labels.name ?? name, value]))
  }
  assert.deepEqual(await shown(), { silta_health_ready: 0, database: 1, homeserver: 1 }, 'it is starting')
  health.started()
  state.homeserver = false
  assert.deepEqual(await shown(), { silta_health_ready: 1, database: 1, homeserver: 0 })
  state.database = false
  assert.deepEqual(await shown(), { silta_health_ready: 0, database: 0, homeserver: 0 })
  state.database = state.homeserver = true
  assert.deepEqual(await shown(), { silta_health_ready: 1, database: 1, homeserver: 1 })
})
