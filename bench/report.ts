import type { AuditFigures } from './audit.ts'
import type { MessageCost } from './audit-message.ts'
import type { Connections } from './connections.ts'
import type { Conversations } from './conversations.ts'
import { type Floor, rawLimit } from './floor.ts'
import type { Guests } from './guests.ts'
import type { Memory } from './memory.ts'
import type { RoomCost } from './mls-room.ts'
import type { BesideNative } from './native.ts'
import type { BesidePeer, Compared, Measured } from './peer.ts'
import type { Start } from './start.ts'
import { median, short } from './statistics.ts'

export interface Results {
  at: string
  machine: string
  options: { rounds: number; messages: number; quick: boolean }
  floor?: Floor
  mls?: RoomCost[]
  conversations?: Conversations[]
  memory?: Memory
  start?: Start
  native?: BesideNative
  connections?: Connections
  guests?: Guests
  audit?: AuditFigures
  peer?: BesidePeer[]
}

/** The results for people to read, as Markdown. */
export function resultLines(results: Results): string[] {
  const { floor, mls, conversations, memory } = results
  return [
    `Measured ${results.at}, ${results.machine}; ${results.options.rounds} rounds of ${results.options.messages} messages.`,
    ...(conversations ? conversationLines(conversations, floor) : []),
    ...(floor ? floorLines(floor) : []),
    ...(mls ? mlsLines(mls) : []),
    ...(memory ? memoryLines(memory) : []),
    ...(results.start ? startLines(results.start) : []),
    ...(results.native ? nativeLines(results.native) : []),
    ...(results.connections ? connectionLines(results.connections) : []),
    ...(results.guests ? guestLines(results.guests) : []),
    ...(results.audit ? auditLines(results.audit) : []),
    ...(results.peer ?? []).flatMap(peerLines),
  ]
}

function conversationLines(all: readonly Conversations[], floor: Floor | undefined): string[] {
  const head = [
    'database',
    'way',
    'rooms',
    'messages/s (lowest to highest)',
    'CPU ms/message',
    'database CPU',
    'CPU of the rig',
    'p50 / p99 ms at 20/s',
    'of the raw limit',
  ]
  const rows = all.map((one) => [
    one.database,
    one.way,
    one.rooms,
    one.perSecond === undefined ? '' : `${short(one.perSecond)} (${short(one.lowest!)} to ${short(one.highest!)})`,
    one.cpuMs === undefined ? '' : short(one.cpuMs),
    one.databaseCpuMs ? short(one.databaseCpuMs) : '',
    one.rigCpuMs === undefined ? '' : short(one.rigCpuMs),
    one.latency ? `${short(one.latency.p50)} / ${short(one.latency.p99)}` : '',
    one.perSecond !== undefined && floor ? short(one.perSecond / rawLimit(floor, one.way, one.database)) : '',
  ])
  const staged = all.filter(({ stages }) => stages)
  const names = [...new Set(staged.flatMap(({ stages }) => Object.keys(stages!)))]
  const sum = (name: string) => staged.reduce((total, { stages }) => total + (stages![name] ?? 0), 0)
  names.sort((a, b) => sum(b) - sum(a))
  const stageHead = ['CPU ms/message', ...staged.map(({ database, way, rooms }) => `${database} ${way} ${rooms}`)]
  const stageRows = names.map((name) => [name, ...staged.map(({ stages }) => short(stages![name] ?? 0))])
  return [
    '',
    '## Conversations',
    '',
    ...table(head, rows),
    ...(staged.length > 0 ? ['', '## Where the CPU goes', '', ...table(stageHead, stageRows)] : []),
  ]
}

function floorLines({ commitMs, ...crypto }: Floor): string[] {
  const rows = Object.entries(crypto).map(([name, ms]) => [name.replace(/Ms$/, ''), short(ms)])
  const commits = Object.entries(commitMs).flatMap(([kind, ms]) =>
    Number.isNaN(ms) ? [] : [[`commit on ${kind}`, short(ms)]],
  )
  return ['', '## Floor', '', ...table(['one', 'ms'], [...rows, ...commits])]
}

function mlsLines(all: readonly RoomCost[]): string[] {
  const head = [
    'members',
    'message: send / receive ms',
    'bytes / state written',
    'commit: make / process ms',
    'bytes / state written',
    'join: Welcome / external ms',
    'Welcome bytes / state written',
    'one state in memory',
  ]
  const rows = all.map(({ members, message, commit, join, memory }) => [
    members,
    `${short(message.sendMs)} / ${short(message.receiveMs)}`,
    `${message.bytes} / ${message.written}`,
    `${short(commit.makeMs)} / ${short(commit.processMs)}`,
    `${commit.bytes} / ${commit.written}`,
    `${short(join.welcomeMs)} / ${short(join.externalMs)}`,
    `${join.bytes} / ${join.written}`,
    `${Math.round(memory / 1000)} kB`,
  ])
  return ['', '## Rooms of MLS', '', ...table(head, rows)]
}

function startLines({ portals, emptyMs, readyMs, emptyMemory, memory }: Start): string[] {
  const mb = ({ resident, heap }: Start['memory']) => `${(resident / 1e6).toFixed(0)} / ${(heap / 1e6).toFixed(1)}`
  const rows = [
    ['none', median(emptyMs), emptyMs.join(', '), mb(emptyMemory)],
    [portals, median(readyMs), readyMs.join(', '), mb(memory)],
  ]
  return [
    '',
    '## Start',
    '',
    ...table(['idle conversations', 'ready after ms (median)', 'each start', 'resident / heap MB'], rows),
  ]
}

function memoryLines({ steps }: Memory): string[] {
  const rows = steps.map(({ messages, resident, heap }) => [messages, short(resident / 1e6), short(heap / 1e6)])
  return ['', '## Memory', '', ...table(['messages', 'resident MB', 'heap MB'], rows)]
}

function connectionLines({ devices, resident, heap }: Connections): string[] {
  const head = ['idle devices', 'resident KB each', 'heap KB each']
  return ['', '## Connections', '', ...table(head, [[devices, short(resident / 1000), short(heap / 1000)]])]
}

function guestLines({ idle, resident, heap, firstMessage, onPage }: Guests): string[] {
  const kilobytes = (bytes: number) => short(bytes / 1000)
  const times = ({ p50, p95, of }: Guests['firstMessage']) => `${short(p50)} / ${short(p95)} (${of})`
  const row = [idle, kilobytes(resident), kilobytes(heap), times(firstMessage), onPage ? times(onPage) : '']
  const first = 'first message p50 / p95 ms (of)'
  const head = ['idle guests', 'resident KB each', 'heap KB each', `SDK in Node: ${first}`, `Chromium: ${first}`]
  return ['', '## Guests', '', ...table(head, [row])]
}

function auditLines({ append, message, messageNs, verifySeconds, queries, ...figures }: AuditFigures): string[] {
  const databases = Object.entries(append)
  const appended = databases.map(([name, { one, twenty, sequenced }]) => [name, ...[one, twenty, sequenced].map(short)])
  const costs: [string, keyof MessageCost][] = [
    ['CPU ms', 'cpuMs'],
    ['ms from sending to arrival', 'ms'],
    ['bytes of the database’s log of changes', 'walBytes'],
    ['calls that write', 'writeCalls'],
    ['bytes written', 'writtenBytes'],
  ]
  const compared = costs.map(([name, cost]) => [
    name,
    ...[message.with, message.without].map((side) => short(side[cost])),
  ])
  const { ours, go } = verifySeconds
  return [
    ...['', '## The compliance log', ''],
    ...table(['database', 'appended/s, one at a time', 'appended/s, 20 at once', 'put into the tree/s'], appended),
    ...[
      '',
      `A message between two accounts, medians of ${message.rounds} interleaved runs of ${message.messages}:`,
      '',
    ],
    ...table(['a message', 'with the log', 'without'], compared),
    ...['', `Counting a message takes ${short(messageNs)} ns. An entry has ${short(figures.entryBytes)} bytes,`],
    `${short(figures.publishedBytes)} on disk with its share of tiles. ${figures.entries} entries are verified in ${short(ours)} s`,
    `by silta audit verify, in ${go === undefined ? '(no Go)' : short(go)} s by the Go program.`,
    ...(queries ? queryLines(queries) : []),
  ]
}

function queryLines({ entries, sizes, questions }: NonNullable<AuditFigures['queries']>): string[] {
  const rows = questions.map(({ name, found, median, slowest }) => [name, found, short(median), short(slowest)])
  return [
    ...['', `Pages of 100, newest first, of ${entries} entries (${sizes}):`, ''],
    ...table(['question', 'entries', 'median ms', 'slowest ms'], rows),
    ...questions.flatMap(({ name, plan }) => ['', `${name}:`, '', '```', plan, '```']),
  ]
}

function nativeLines({ rounds, messages, nativeMs, toMatrix, toMessenger }: BesideNative): string[] {
  const row = (name: string, { ms, ratio, interval }: BesideNative['toMatrix']) => [
    name,
    short(ms),
    short(ratio),
    interval.map(short).join(' to '),
  ]
  const rows = [
    ['two Matrix clients', short(nativeMs), 1, ''],
    row('to Matrix', toMatrix),
    row('to the messenger', toMessenger),
  ]
  const head = ['from sending to reading', 'ms', 'ratio', `interval (${rounds} rounds of ${messages})`]
  return ['', '## On a real Synapse', '', ...table(head, rows)]
}

function peerLines({ database, figures, load }: BesidePeer): string[] {
  const both = (all: Compared, what: keyof Omit<Measured, 'missing'>) =>
    [all.ours, all.peer].map((one) => (one[what].length > 0 ? short(median(one[what])) : '')).join(' / ')
  const flatOut = figures
    .filter(({ rooms }) => rooms > 0)
    .map((one) => [
      ...[one.way, one.rooms, both(one, 'perSecond'), short(one.ratio)],
      ...[both(one, 'cpuMs'), both(one, 'databaseCpuMs'), both(one, 'rigCpuMs')],
      `${one.ours.missing} / ${one.peer.missing}`,
    ])
  const paced = figures
    .filter(({ rooms }) => rooms === 0)
    .map((one) => [one.way, both(one, 'p50'), both(one, 'p99'), short(one.ratio), both(one, 'cpuMs')])
  const flatOutHead = [
    'way',
    'rooms',
    'messages/s',
    'ratio',
    'CPU ms/message',
    'database CPU',
    'CPU of the rig',
    'missing',
  ]
  const title = database === 'postgres' ? 'on PostgreSQL' : 'embedded: PGlite, SQLite'
  return [
    ...['', `## Beside the reference peer, ${title}`, '', `Ours / the peer's; load ${load.map(short).join(', ')}.`, ''],
    ...table(flatOutHead, flatOut),
    ...['', 'At 20 a second in one room:', ''],
    ...table(['way', 'p50 ms', 'p99 ms', 'ratio of p50', 'CPU ms/message'], paced),
  ]
}

function table(head: readonly (string | number)[], rows: readonly (readonly (string | number)[])[]): string[] {
  const line = (cells: readonly (string | number)[]) => `| ${cells.join(' | ')} |`
  return [line(head), line(head.map(() => '---')), ...rows.map(line)]
}
