import { type Crypto, toBase64Url, utf8 } from '../crypto/index.ts'
import type { Queryable, Transaction } from '../store/index.ts'
import { canonicalJson } from './canonical.ts'
import { type Event, entrySchema, eventVersion } from './event-schema.ts'
import type { Pseudonyms } from './subjects/pseudonyms.ts'

/**
 * An event as whoever caused it reports it: `account`, `reporter`, `device` and `room` are the real ones, and get a pseudonym on the
 * way into the log.
 */
export type AuditEvent = Event

/** Appends to the compliance log. */
export interface Audit {
  /**
   * Adds an entry in the transaction of the action that it records: both happen, or none. A field that the schema does
   * not know makes it throw, and the transaction with it.
   */
  append(tx: Transaction, event: AuditEvent): Promise<void>
}

export interface AuditOptions {
  readonly crypto: Crypto
  readonly pseudonyms: Pseudonyms
  /** Networks whose names may be written. A user can ask for any name, and a name can be anything. */
  readonly networks: readonly string[]
  /** Milliseconds since the epoch. */
  readonly clock?: (() => number) | undefined
}

/** Appends events whose subjects are pseudonyms already. */
export interface Recorder {
  /** @returns the id of the entry */
  record(tx: Transaction, event: Event): Promise<string>
}

export function openAudit(options: AuditOptions): Audit & Recorder {
  const { crypto, pseudonyms, networks, clock = Date.now } = options
  const record = async (tx: Transaction, event: Event): Promise<string> => {
    const now = clock()
    const id = toBase64Url(crypto.randomBytes(16))
    const entry = { ...event, version: eventVersion, id, time: new Date(now).toISOString() }
    const body = utf8(canonicalJson(entrySchema.parse(entry)))
    await tx.query('insert into audit.entry (id, at, body) values ($1, $2, $3)', [id, now, body])
    return id
  }
  return {
    record,
    async append(tx, event) {
      await record(tx, await withoutNames(tx, event, pseudonyms, networks))
    },
  }
}

async function withoutNames(
  tx: Queryable,
  event: AuditEvent,
  pseudonyms: Pseudonyms,
  networks: readonly string[],
): Promise<Event> {
  const entry: Record<string, unknown> = { ...event }
  const owner = 'account' in event ? event.account : undefined
  for (const kind of ['account', 'device', 'room'] as const) {
    const name = entry[kind]
    if (typeof name !== 'string') continue
    entry[kind] = await pseudonyms.of(tx, { kind, name, owner: kind === 'device' ? owner : undefined })
  }
  if (typeof entry.reporter === 'string')
    entry.reporter = await pseudonyms.of(tx, { kind: 'account', name: entry.reporter, owner: undefined })
  if (typeof entry.network === 'string' && !networks.includes(entry.network)) entry.network = 'other'
  if (typeof entry.provider === 'string' && !['own', ...networks].includes(entry.provider)) entry.provider = 'other'
  return entry as Event
}
