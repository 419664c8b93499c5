// The Grafana dashboard, from a list of what an operator wants to see. Written to config/grafana/silta.json.

interface Panel {
  readonly title: string
  /** What to think of it; shown as the panel's help. */
  readonly help: string
  readonly unit: 'short' | 's' | 'ops' | 'bytes' | 'percentunit'
  /** PromQL, and what a line of it is called. */
  readonly lines: readonly (readonly [expression: string, legend: string])[]
  /** One number instead of lines over time, red from here on. */
  readonly single?: { readonly redFrom: number }
}

const rate = (metric: string, by: string) => `sum by (${by}) (rate(${metric}[$__rate_interval]))`
const quantile = (q: number, metric: string, by: string) =>
  `histogram_quantile(${q}, sum by (le, ${by}) (rate(${metric}_bucket[$__rate_interval])))`

const rows: Readonly<Record<string, readonly Panel[]>> = {
  'At a glance': [
    {
      title: 'Down',
      help: 'Dependencies that are down; GET /readyz says which, and since when.',
      unit: 'short',
      lines: [['count(silta_health_dependency_up == 0) or vector(0)', 'dependencies']],
      single: { redFrom: 1 },
    },
    {
      title: 'Oldest message that waits',
      help: 'How long the first in line has waited that can go. Above some seconds something is down or stuck.',
      unit: 's',
      lines: [['max(silta_edge_queue_oldest_seconds)', 'oldest']],
      single: { redFrom: 300 },
    },
    {
      title: 'Connections',
      help: 'Connections that are open. The edge is one, whatever the number of its devices.',
      unit: 'short',
      lines: [['sum(silta_messenger_open_connections)', 'connections']],
      single: { redFrom: 1e9 },
    },
    {
      title: 'Not decrypted, last hour',
      help: 'Messages from Matrix that could not be read. Their senders were told.',
      unit: 'short',
      lines: [['sum(increase(silta_edge_decryption_failures_total[1h]))', 'messages']],
      single: { redFrom: 10 },
    },
    {
      title: 'Compliance log: entries on the way',
      help: 'Entries that are not in the tree yet. Some seconds after an action it is 0 again.',
      unit: 'short',
      lines: [['sum(silta_audit_waiting)', 'entries']],
      single: { redFrom: 1000 },
    },
    {
      title: 'Compliance log: wrong',
      help: 'Stopped: it does not verify. Auditors: their entry in auditors.json is not as it was admitted.',
      unit: 'short',
      lines: [
        ['max(silta_audit_stopped)', 'stopped'],
        ['max(silta_audit_changed_auditors)', 'auditors'],
      ],
      single: { redFrom: 1 },
    },
  ],
  Messages: [
    {
      title: 'Messages that crossed',
      help: 'By way.',
      unit: 'ops',
      lines: [[rate('silta_edge_messages_total', 'way'), '{{way}}']],
    },
    {
      title: 'Messages that did not cross, or not whole',
      help: 'By way and reason. Their senders were told.',
      unit: 'ops',
      lines: [[rate('silta_edge_refused_total', 'way, code'), '{{way}}: {{code}}']],
    },
    {
      title: 'Time to cross',
      help: 'From taking a message on one side to handing it over on the other.',
      unit: 's',
      lines: [
        [quantile(0.5, 'silta_edge_crossing_seconds', 'way'), '{{way}}, half'],
        [quantile(0.99, 'silta_edge_crossing_seconds', 'way'), '{{way}}, 99 of 100'],
      ],
    },
    {
      title: 'Not decrypted, by reason',
      help: 'no-key: the key did not come in time. withheld: the sender did not give it.',
      unit: 'ops',
      lines: [[rate('silta_edge_decryption_failures_total', 'reason'), '{{reason}}']],
    },
  ],
  'What waits': [
    {
      title: 'Depth of queues',
      help: 'from-matrix: events taken, not delivered. to-matrix: messages not sent. to-ghosts: room keys not taken. for-people: what waits for somebody to join or to consent; that is no fault.',
      unit: 'short',
      lines: [['silta_edge_queue_depth', '{{stage}}']],
    },
    {
      title: 'First in line has waited',
      help: 'By stage, of what can go.',
      unit: 's',
      lines: [['silta_edge_queue_oldest_seconds', '{{stage}}']],
    },
    {
      title: 'Inbox of the devices at the homeserver',
      help: 'Room keys that were delivered, and that it keeps until the next /sync of their ghost, every six hours.',
      unit: 'short',
      lines: [['silta_edge_device_inbox', 'messages']],
    },
    {
      title: 'Dependencies',
      help: '1: up. 0: down. Without the database nothing else here is known.',
      unit: 'short',
      lines: [
        ['silta_health_dependency_up', '{{name}}'],
        ['silta_health_ready', 'ready'],
      ],
    },
  ],
  'What others do': [
    {
      title: 'Suspicious messages from Matrix',
      help: 'unsigned-device: the sender has not verified it, who is told once. replayed: handed over once more, and not passed on.',
      unit: 'ops',
      lines: [[rate('silta_edge_suspicious_total', 'reason'), '{{reason}}']],
    },
    {
      title: 'Typing and receipts not passed on',
      help: 'Too many at a time, or the other side did not take them. The next ones stand for them.',
      unit: 'ops',
      lines: [[rate('silta_edge_dropped_total', 'what'), '{{what}}']],
    },
  ],
  'The messenger': [
    {
      title: 'Requests of devices',
      help: 'By kind.',
      unit: 'ops',
      lines: [[rate('silta_messenger_requests_total', 'request'), '{{request}}']],
    },
    {
      title: 'Refusals',
      help: 'By code; docs/messenger-protocol.md says what each means.',
      unit: 'ops',
      lines: [[rate('silta_messenger_refusals_total', 'code'), '{{code}}']],
    },
    {
      title: 'Slowest requests (99 of 100)',
      help: 'From taking to answering, by kind.',
      unit: 's',
      lines: [[quantile(0.99, 'silta_messenger_request_seconds', 'request'), '{{request}}']],
    },
    {
      title: 'Entries accepted into rooms',
      help: 'Messages, commits and proposals.',
      unit: 'ops',
      lines: [[rate('silta_hub_entries_total', 'kind'), '{{kind}}']],
    },
  ],
  'Homeserver and cryptography': [
    {
      title: 'Answers of the homeserver',
      help: 'By status; 0 is no answer.',
      unit: 'ops',
      lines: [[rate('silta_edge_homeserver_seconds_count', 'status'), '{{status}}']],
    },
    {
      title: 'Time of the homeserver (99 of 100)',
      help: 'By method.',
      unit: 's',
      lines: [[quantile(0.99, 'silta_edge_homeserver_seconds', 'method'), '{{method}}']],
    },
    {
      title: 'Encrypting and decrypting for Matrix',
      help: 'Half of them take no longer.',
      unit: 's',
      lines: [[quantile(0.5, 'silta_edge_olm_seconds', 'operation'), '{{operation}}']],
    },
    {
      title: 'Public-key operations of MLS',
      help: 'Of hub and edge together.',
      unit: 'ops',
      lines: [[rate('silta_mls_operations_total', 'operation'), '{{operation}}']],
    },
  ],
  Process: [
    {
      title: 'Memory',
      help: 'It rises with rooms in use and then stays.',
      unit: 'bytes',
      lines: [
        ['silta_process_process_resident_memory_bytes', 'resident'],
        ['silta_process_nodejs_heap_size_used_bytes', 'heap'],
      ],
    },
    {
      title: 'Processor',
      help: 'Shares of one core.',
      unit: 'percentunit',
      lines: [['rate(silta_process_process_cpu_seconds_total[$__rate_interval])', 'process']],
    },
    {
      title: 'Event loop late by',
      help: 'Everything waits for that long.',
      unit: 's',
      lines: [['silta_process_nodejs_eventloop_lag_p99_seconds', '99 of 100']],
    },
    {
      title: 'Faults',
      help: 'The log has them, with code and stack, at most twenty of a kind in a minute.',
      unit: 'ops',
      lines: [
        [rate('silta_edge_faults_total', 'code'), 'edge: {{code}}'],
        [rate('silta_hub_faults_total', 'in'), 'hub: {{in}}'],
        [rate('silta_messenger_faults_total', 'in'), 'messenger: {{in}}'],
      ],
    },
  ],
}

/** Width of the whole in Grafana's grid. */
const columns = 24
const panelHeight = 8
const singleHeight = 4
const datasource = { type: 'prometheus', uid: '$datasource' }

/** The dashboard as Grafana imports it (schema version 39). */
export function dashboard(): object {
  let y = 0
  let id = 0
  const panels: object[] = []
  for (const [title, row] of Object.entries(rows)) {
    panels.push({
      id: ++id,
      type: 'row',
      title,
      collapsed: false,
      gridPos: { h: 1, w: columns, x: 0, y: y++ },
      panels: [],
    })
    const h = row.every(({ single }) => single) ? singleHeight : panelHeight
    const w = columns / row.length
    for (const [place, panel] of row.entries()) panels.push(drawn(panel, ++id, { h, w, x: place * w, y }))
    y += h
  }
  const variable = { name: 'datasource', label: 'Data source', type: 'datasource', query: 'prometheus' }
  return {
    uid: 'silta',
    title: 'Silta',
    tags: ['silta'],
    schemaVersion: 39,
    timezone: 'browser',
    refresh: '30s',
    time: { from: 'now-6h', to: 'now' },
    templating: { list: [variable] },
    panels,
  }
}

function drawn({ title, help, unit, lines, single }: Panel, id: number, gridPos: object): object {
  const steps = [
    { color: 'green', value: null },
    { color: 'red', value: single?.redFrom },
  ]
  return {
    ...{ id, title, description: help, datasource, gridPos },
    type: single ? 'stat' : 'timeseries',
    fieldConfig: {
      defaults: { unit, min: 0, ...(single ? { thresholds: { mode: 'absolute', steps } } : {}) },
      overrides: [],
    },
    targets: lines.map(([expr, legendFormat], place) => ({
      ...{ datasource, expr, legendFormat },
      refId: String.fromCharCode('A'.charCodeAt(0) + place),
    })),
  }
}
