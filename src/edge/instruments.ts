import type { Counters, Instrument, Metrics, Timers } from '../ops/index.ts'
import type { Database } from '../store/index.ts'
import { decryptFailures, type Ghosts } from './matrix/ghosts.ts'
import { translationCodes } from './matrix/translate/index.ts'
import { mostCounted, queues } from './queues.ts'

const ways = ['to-matrix', 'from-matrix']
/** Refusals that are no translation's: of the homeserver, of the messenger for a person's sake, and of time. */
const otherRefusals = [
  'refused',
  'expired',
  'no-invitation',
  'not-reachable',
  'blocked',
  'not-opted-in',
  'request-limit',
]

const counters = {
  messages: { help: 'Messages that crossed, by way', labels: ['way'], known: { way: ways } },
  refused: {
    help: 'Messages that did not cross, or not whole, by way and reason',
    labels: ['way', 'code'],
    known: { way: ways, code: [...translationCodes, ...otherRefusals] },
  },
  placeholders: { help: 'Messages from Matrix whose key did not come in time' },
  decryption_failures: {
    help: 'Messages from Matrix that could not be decrypted, by reason',
    labels: ['reason'],
    known: { reason: ['no-key', ...decryptFailures] },
  },
  suspicious: {
    help: 'Messages from Matrix of a device that its owner has not signed, and such as were handed over once more',
    labels: ['reason'],
    known: { reason: ['unsigned-device', 'replayed'] },
  },
  dropped: {
    help: 'Typing and receipts that were not passed on: too many at a time, or the other side did not take them',
    labels: ['what'],
    known: { what: ['typing', 'receipt'] },
  },
  faults: {
    help: 'Faults, by code',
    labels: ['code'],
    known: { code: ['unexpected', 'unavailable', 'failed', 'storage', 'handler', 'behind', 'elsewhere', 'malformed'] },
  },
} as const satisfies Record<string, Instrument>

const timers = {
  crossing: { help: 'From taking a message on one side to handing it over on the other, by way', labels: ['way'] },
  homeserver: { help: 'Requests to the homeserver, by method and status', labels: ['method', 'status'] },
  olm: { help: 'Encrypting and decrypting for Matrix, by operation', labels: ['operation'] },
} as const

export type EdgeCounter = keyof typeof counters
export type EdgeTimer = keyof typeof timers

/** What the edge tells of its work while it does it. */
export interface EdgeInstruments {
  readonly counters: Counters<EdgeCounter>
  readonly timers: Timers<EdgeTimer>
}

const noInstruments: EdgeInstruments = { counters: { count() {} }, timers: { observe() {} } }

/** The ghosts, with their Olm machines' work timed. */
export function timedGhosts(ghosts: Ghosts, timers: EdgeInstruments['timers']): Ghosts {
  const timed = async <T>(operation: string, work: Promise<T>): Promise<T> => {
    const begun = performance.now()
    try {
      return await work
    } finally {
      timers.observe('olm', (performance.now() - begun) / 1000, { operation })
    }
  }
  return {
    ...ghosts,
    encrypt: (...given) => timed('encrypt', ghosts.encrypt(...given)),
    encryptAll: (...given) => timed('encrypt', ghosts.encryptAll(...given)),
    decrypt: (...given) => timed('decrypt', ghosts.decrypt(...given)),
  }
}

/** Counters and timers of the edge, and gauges over what waits in its tables. */
export function edgeInstruments(
  metrics: Metrics | undefined,
  { database, clock }: { database: Database; clock: () => number },
): EdgeInstruments {
  if (metrics === undefined) return noInstruments
  const value = async (text: string, parameters: readonly unknown[] = []): Promise<number> => {
    const [row] = await database.query<{ value: number | null }>(text, parameters)
    return row?.value ?? 0
  }
  const waiting = queues(database, clock)
  metrics.gauges(
    'edge',
    'queue_depth',
    { help: `What waits, by stage, counted up to ${mostCounted}`, label: 'stage' },
    waiting.depth,
  )
  metrics.gauges(
    'edge',
    'queue_oldest_seconds',
    { help: 'How long the first in line has waited, of what can go', label: 'stage' },
    waiting.oldest,
  )
  metrics.gauge(
    'edge',
    'device_inbox',
    'Room keys and other messages to devices that were pushed, and that the homeserver keeps until the next /sync',
    () => value('select sum(pushed) as value from ghost where pushed > 0'),
  )
  metrics.gauge('edge', 'matrix_users', `Matrix users with an account, counted up to ${mostCounted}`, () =>
    value('select count(*) as value from (select 1 from matrix_user limit $1) as known', [mostCounted]),
  )
  return { counters: metrics.counters('edge', counters), timers: metrics.timers('edge', timers) }
}
