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

test('a request without an answer has the status 0', async () => {
  const metrics = openMetrics()
  const counters = metrics.counters('m', { c: { help: 'h', labels: ['status'] } })
  for (const status of ['0', '200', '1001', '00', '7']) counters.count('c', { status })
  const found = lines(await metrics.render(), 'silta_m_c_total').toSorted()
  assert.deepEqual(found, [
    'silta_m_c_total{status="0"} 1',
    'silta_m_c_total{status="1001"} 1',
    'silta_m_c_total{status="200"} 1',
    'silta_m_c_total{status="other"} 2',
  ])
})

test('what is known of labels is counted from 0 on', async () => {
  const metrics = openMetrics()
  const known = { way: ['in', 'out'], code: ['big', 'odd'] }
  const counters = metrics.counters('m', { c: { help: 'h', labels: ['way', 'code'], known } })
  counters.count('c', { way: 'out', code: 'odd' })
  counters.count('c', { way: 'out', code: 'new' })
  assert.deepEqual(lines(await metrics.render(), 'silta_m_c_total'), [
    'silta_m_c_total{way="in",code="big"} 0',
    'silta_m_c_total{way="in",code="odd"} 0',
    'silta_m_c_total{way="out",code="big"} 0',
    'silta_m_c_total{way="out",code="odd"} 1',
    'silta_m_c_total{way="out",code="new"} 1',
  ])
})

test('a gauge that cannot be read is left out, and does not spoil the others', async () => {
  const metrics = openMetrics()
  let broken = false
  const read = (value: number) => async () => (broken ? Promise.reject(new Error('canary')) : value)
  metrics.gauge('m', 'good', 'h', () => 1)
  metrics.gauge('m', 'bad', 'h', read(2))
  metrics.gauges('m', 'bad_ones', { help: 'h', label: 'stage' }, async () => ({ one: await read(3)() }))
  const shown = async () => lines(await metrics.render(), 'silta_m_')
  const all = ['silta_m_good 1', 'silta_m_bad 2', 'silta_m_bad_ones{stage="one"} 3']
  assert.deepEqual(await shown(), all)
  broken = true
  assert.deepEqual(await shown(), ['silta_m_good 1'])
  broken = false
  assert.deepEqual(await shown(), all)
})

test('a gauge whose value does not come holds nobody up, and is not asked anew meanwhile', async () => {
  const metrics = openMetrics()
  let asked = 0
  let answer: ((value: number) => void) | undefined
  metrics.gauge('m', 'slow', 'h', () => {
    asked++
    return new Promise((resolve) => {
      answer = resolve
    })
  })
  const begun = performance.now()
  assert.deepEqual(lines(await metrics.render(), 'silta_m_'), [])
  assert.ok(performance.now() - begun < 5_000)
  const second = metrics.render()
  answer?.(7)
  assert.deepEqual(lines(await second, 'silta_m_'), ['silta_m_slow 7'])
  assert.equal(asked, 1)
})

test('two registries in one process do not mix', async () => {
  openMetrics()
    .counters('m', { c: { help: 'h' } })
    .count('c')
  assert.deepEqual(lines(await openMetrics().render(), 'silta_m_c'), [])
})
