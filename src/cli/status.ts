import { join } from 'node:path'
import type { Config } from '../config/index.ts'
import { askOperator, operatorSocketFile, type StatusAnswer } from '../ops/index.ts'
import { exit, type Terminal } from './terminal.ts'

/** `silta status`: how the running service is, in words. @returns the exit code: well when it is ready */
export async function printStatus(config: Config, { json }: { json: boolean }, terminal: Terminal): Promise<number> {
  const answer = await askOperator(join(config.dataDirectory, operatorSocketFile), { method: 'GET', path: '/status' })
  if (answer?.status !== 200) {
    terminal.err(
      answer === undefined
        ? `No service runs with the data directory ${config.dataDirectory}.\n`
        : `The service has not answered (status ${answer.status}).\n`,
    )
    return exit.failed
  }
  const status = answer.body as unknown as StatusAnswer
  terminal.out(json ? `${JSON.stringify(status, undefined, 2)}\n` : `${describeStatus(status, Date.now())}\n`)
  return status.health.status === 'ready' ? exit.well : exit.failed
}

const headlines: Record<StatusAnswer['health']['status'], string> = {
  starting: 'Silta is starting.',
  ready: 'Silta is ready.',
  degraded: 'Silta is ready, but something it can do without for a while is down.',
  'not-ready': 'Silta cannot serve: something it needs is down.',
  draining: 'Silta is ending; it finishes what is under way.',
}

const ways = {
  'to-matrix': 'to Matrix',
  'from-matrix': 'from Matrix',
  'to-ghosts': 'keys to ghosts',
  'for-people': 'for people who have not answered',
}

/** What `silta status` prints. @param now ms since the epoch */
function describeStatus({ health, values }: StatusAnswer, now: number): string {
  const read = reader(values)
  const lines = Object.entries(health.dependencies).map(([name, { state, code, since }]): Line => {
    const why = code === undefined ? '' : ` (${code})`
    return [
      capital(name.replaceAll('-', ' ')),
      state === 'up' ? 'up' : `down${why}, for ${duration(now - Date.parse(since))}`,
    ]
  })
  const edge = values.some(({ name }) => name.startsWith('silta_edge_'))
  lines.push(['Devices', plural(read.one('silta_messenger_open_connections'), 'connection')])
  if (edge) lines.push(...edgeLines(read))
  lines.push(
    [
      'Compliance log',
      read.one('silta_audit_stopped') === 1
        ? 'stopped: it does not verify; the log of the service says why'
        : `${plural(read.one('silta_audit_waiting'), 'entry', 'entries')} on the way into it`,
    ],
    ...auditorLines(read.one('silta_audit_changed_auditors')),
    ['Refused requests', byLabel(read.all('silta_messenger_refusals_total'), 'code')],
    ['Faults', byLabel(read.all(/^silta_(edge|hub|messenger)_faults_total$/), undefined)],
    ['Process', processLine(read, now)],
  )
  return `${headlines[health.status]}\n\n${table(lines)}\n\nCounts are since this process began.`
}

/** Only when something is wrong: who of them there are is for `silta auditor list`. */
function auditorLines(changed: number): Line[] {
  if (changed === 0) return []
  const who = changed === 1 ? '1 stands' : `${changed} stand`
  return [
    [
      'Auditors',
      `${who} in auditors.json otherwise than admitted, and can read nothing: silta auditor list names them`,
    ],
  ]
}

type Line = readonly [string, string]
type Values = StatusAnswer['values']
type Reader = ReturnType<typeof reader>

function reader(values: Values) {
  const all = (name: string | RegExp, labels: Record<string, string> = {}): Values =>
    values.filter(
      (one) =>
        (typeof name === 'string' ? one.name === name : name.test(one.name)) &&
        Object.entries(labels).every(([label, value]) => one.labels[label] === value),
    )
  const one = (name: string, labels?: Record<string, string>) =>
    all(name, labels).reduce((sum, { value }) => sum + value, 0)
  return { all, one }
}

function edgeLines(read: Reader): Line[] {
  const waiting = read.all('silta_edge_queue_depth').map(({ labels: { stage = '' }, value }) => {
    const oldest = read.one('silta_edge_queue_oldest_seconds', { stage })
    const name = ways[stage as keyof typeof ways] ?? stage
    return `${name} ${value}${oldest >= 1 ? ` (for ${duration(oldest * 1000)})` : ''}`
  })
  const crossed = (way: 'to-matrix' | 'from-matrix') => {
    const count = read.one('silta_edge_crossing_seconds_count', { way })
    const mean = read.one('silta_edge_crossing_seconds_sum', { way }) / count
    return `${ways[way]} ${read.one('silta_edge_messages_total', { way })}${count > 0 ? ` (${milliseconds(mean)} on average)` : ''}`
  }
  return [
    ['Matrix users', String(read.one('silta_edge_matrix_users'))],
    ['Messages', `${crossed('to-matrix')}, ${crossed('from-matrix')}`],
    ['Waiting', waiting.join(', ')],
    ['Did not cross', byLabel(read.all('silta_edge_refused_total'), 'code')],
    ['Not decrypted', byLabel(read.all('silta_edge_decryption_failures_total'), 'reason')],
  ]
}

function processLine(read: Reader, now: number): string {
  const begun = read.one('silta_process_process_start_time_seconds') * 1000
  const megabytes = Math.round(read.one('silta_process_process_resident_memory_bytes') / 1e6)
  const lag = read.one('silta_process_nodejs_eventloop_lag_p99_seconds')
  return `running for ${duration(now - begun)}, ${megabytes} MB of memory, the event loop is late by ${milliseconds(lag)} (p99)`
}

/** `7: too-large 5, unsupported 2`; without a label all of them, by what they are labelled with. */
function byLabel(found: Values, label: string | undefined): string {
  const sums = new Map<string, number>()
  for (const { labels, value } of found) {
    const name = label === undefined ? Object.values(labels).join(' ') : (labels[label] ?? '')
    if (value > 0) sums.set(name, (sums.get(name) ?? 0) + value)
  }
  if (sums.size === 0) return 'none'
  const parts = [...sums].sort(([, a], [, b]) => b - a).map(([name, value]) => `${name} ${value}`)
  return `${[...sums.values()].reduce((a, b) => a + b)}: ${parts.join(', ')}`
}

const capital = (text: string) => text.charAt(0).toUpperCase() + text.slice(1)
const plural = (count: number, one: string, many = `${one}s`) => `${count} ${count === 1 ? one : many}`
const milliseconds = (seconds: number) =>
  `${seconds < 0.01 ? (seconds * 1000).toFixed(1) : Math.round(seconds * 1000)} ms`

function duration(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000))
  if (seconds < 120) return `${seconds} s`
  const minutes = Math.round(seconds / 60)
  if (minutes < 120) return `${minutes} min`
  const hours = Math.round(minutes / 60)
  return hours < 72 ? `${hours} h` : `${Math.round(hours / 24)} days`
}

function table(lines: readonly Line[]): string {
  const width = Math.max(...lines.map(([name]) => name.length))
  return lines.map(([name, value]) => `${name.padEnd(width)}  ${value}`).join('\n')
}
