/** The alert rules, evaluated by Prometheus' own tool over made-up hours. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'

const rules = fileURLToPath(new URL('../config/prometheus/alerts.yaml', import.meta.url))
const missing = spawnSync('promtool', ['--version']).error === undefined ? false : 'promtool is not installed'

/** Values of a minute each, in promtool's notation: `0+6x60` is 0, 6, 12 and so on for an hour. */
type Series = Readonly<Record<string, string>>

const up: Series = { 'up{job="silta",instance="a"}': '1x120' }
const healthy: Series = {
  ...up,
  'silta_health_ready{job="silta",instance="a"}': '1x120',
  'silta_health_dependency_up{job="silta",instance="a",name="database"}': '1x120',
  'silta_health_dependency_up{job="silta",instance="a",name="homeserver"}': '1x120',
  'silta_edge_messages_total{way="to-matrix"}': '0x120',
  'silta_edge_messages_total{way="from-matrix"}': '0x120',
}

describe('the alert rules', { skip: missing }, () => {
  const home = mkdtempSync(join(tmpdir(), 'silta-alerts-'))
  after(() => rmSync(home, { recursive: true, force: true }))

  /** Fails unless exactly these alerts fire after so many minutes. */
  const fires = (series: Series, alerts: readonly string[], minutes = 100) => {
    const file = join(home, 'test.json')
    const test = {
      interval: '1m',
      input_series: Object.entries(series).map(([name, values]) => ({ series: name, values })),
      promql_expr_test: [
        {
          expr: 'group by (alertname) (ALERTS{alertstate="firing"})',
          eval_time: `${minutes}m`,
          exp_samples: alerts.map((alertname) => ({ labels: `{alertname="${alertname}"}`, value: 1 })),
        },
      ],
    }
    writeFileSync(file, JSON.stringify({ rule_files: [rules], evaluation_interval: '1m', tests: [test] }))
    const { status, stdout, stderr } = spawnSync('promtool', ['test', 'rules', file], { encoding: 'utf8' })
    assert.equal(status, 0, stdout + stderr)
  }

  it('are quiet while all is well', () => fires(healthy, []))

  it('tell of a service that does not answer, and of one that nobody asks', () => {
    fires({ 'up{job="silta",instance="a"}': '0x120' }, ['SiltaDown'])
    fires({ 'up{job="another",instance="a"}': '1x120' }, ['SiltaDown'])
  })

  it('tell of a database that is down once, though all that is read in it is gone', () => {
    const health = {
      'silta_health_ready{job="silta",instance="a"}': '0x120',
      'silta_health_dependency_up{job="silta",instance="a",name="database"}': '0x120',
    }
    fires({ ...up, ...health }, ['SiltaDatabaseDown'])
    fires({ ...healthy, 'silta_health_ready{job="silta",instance="a"}': '0x120' }, ['SiltaNotReady'])
  })

  it('tell of a homeserver that is away from an idle service, and of requests without an answer', () => {
    const away = { 'silta_health_dependency_up{job="silta",instance="a",name="homeserver"}': '0x120' }
    fires({ ...healthy, ...away }, ['SiltaDependencyDown'])
    const timeouts = {
      'silta_edge_homeserver_seconds_count{method="put",status="200"}': '0+8x120',
      'silta_edge_homeserver_seconds_count{method="put",status="0"}': '0+2x120',
    }
    fires({ ...healthy, ...timeouts }, ['SiltaHomeserverFails'])
  })

  it('tell of faults in one module of which the others have none, or are not there', () => {
    fires({ ...healthy, 'silta_hub_faults_total{in="hub"}': '0+12x120' }, ['SiltaFaults'])
    const alike = {
      'silta_hub_faults_total{in="other"}': '0+6x120',
      'silta_messenger_faults_total{in="other"}': '0+6x120',
    }
    fires({ ...healthy, ...alike }, ['SiltaFaults'])
    fires({ ...healthy, 'silta_hub_faults_total{in="hub"}': '0+1x120' }, [])
  })

  it('tell of messages that are refused, also when none crosses, and not of a few', () => {
    const refused = 'silta_edge_refused_total{way="to-matrix",code="media"}'
    fires({ ...healthy, [refused]: '0+2x120' }, ['SiltaRefusesMessages'])
    fires({ ...healthy, [refused]: '0x40 1x20 2x60' }, [], 75)
    fires({ ...healthy, [refused]: '0+2x120', 'silta_edge_messages_total{way="to-matrix"}': '0+20x120' }, [])
  })

  it('tell of a queue whose first can go and does not, and not of what waits for people', () => {
    const oldest = (stage: string) => ({ [`silta_edge_queue_oldest_seconds{stage="${stage}"}`]: '0+60x120' })
    fires({ ...healthy, ...oldest('to-matrix') }, ['SiltaWaitsForMatrix'])
    fires({ ...healthy, ...oldest('from-matrix') }, ['SiltaWaitsForMessenger'])
    fires({ ...healthy, ...oldest('for-people') }, [])
  })
})
