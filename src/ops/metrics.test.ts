import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openMetrics } from './index.ts'

const lines = (text: string, name: string) => text.split('\n').filter((line) => line.startsWith(name))

test('counters, timers and gauges are rendered under their module', async () => {
  const metrics = openMetrics()
  const hub = metrics.counters('hub', {
    entries: { help: 'Entries in room logs', labels: ['kind'] },
    faults: { help: 'Faults' },
  })
  hub.count('entries', { kind: 'message' })
  hub.count('entries', { kind: 'message' }, 2)
  hub.count('faults')
  metrics
    .timers('edge', { crossing: { help: 'From one side to the other', labels: ['way'] } })
    .observe('crossing', 0.02, { way: 'out' })
  metrics.gauge('edge', 'outbox', 'Waiting', async () => 7)
  const text = await metrics.render()
  assert.deepEqual(lines(text, 'silta_hub_'), ['silta_hub_entries_total{kind="message"} 3', 'silta_hub_faults_total 1'])
  assert.deepEqual(lines(text, 'silta_edge_crossing_seconds_count'), ['silta_edge_crossing_seconds_count{way="out"} 1'])
  assert.deepEqual(lines(text, 'silta_edge_outbox'), ['silta_edge_outbox 7'])
  assert.ok(lines(text, 'silta_process_').length > 5)
})

test('a label value that is no short name, a label that was not declared, and too many values are not shown', async () => {
  const metrics = openMetrics()
  const counters = metrics.counters('m', { c: { help: 'h', labels: ['code'] } })
  counters.count('c', { code: '@canary:example.org', canary: 'canary' })
  counters.count('c', { code: '+358401234567' })
  for (let i = 0; i < 300; i++) counters.count('c', { code: `c${i}` })
  const found = lines(await metrics.render(), 'silta_m_c_total')
  assert.equal(found.length, 101)
  assert.ok(found.includes('silta_m_c_total{code="other"} 202'))
  assert.doesNotMatch(found.join(), /canary|358/)
})

test('a gauge that cannot be read does not spoil the others', async () => {
  const metrics = openMetrics()
  metrics.gauge('m', 'good', 'h', () => 1)
  metrics.gauge('m', 'bad', 'h', () => Promise.reject(new Error('canary')))
  assert.deepEqual(lines(await metrics.render(), 'silta_m_good'), ['silta_m_good 1'])
})

test('two registries in one process do not mix', async () => {
  openMetrics()
    .counters('m', { c: { help: 'h' } })
    .count('c')
  assert.deepEqual(lines(await openMetrics().render(), 'silta_m_c'), [])
})
