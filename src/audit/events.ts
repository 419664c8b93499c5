import { type Crypto, toBase64Url, utf8 } from '../crypto/index.ts'
import type { Queryable, Sealer, Transaction } from '../store/index.ts'
import { canonicalJson } from './canonical.ts'
import { type Event, entrySchema, eventVersion } from './event-schema.ts'
import { openPseudonyms, type Pseudonyms } from './pseudonyms.ts'

/**
 * An event as whoever caused it reports it: `account`, `device` and `room` are the real ones, and get a pseudonym on the
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
  readonly sealer: Sealer
  /** 32 bytes, kept for as long as the accounts: under it the table of pseudonyms is searched. */
  readonly pseudonymKey: Uint8Array
  /** Networks whose names may be written. A user can ask for any name, and a name can be anything. */
  readonly networks: readonly string[]
  /** Milliseconds since the epoch. */
  readonly clock?: (() => number) | undefined
}

export function openAudit({ crypto, sealer, pseudonymKey, networks, clock = Date.now }: AuditOptions): Audit {
  const pseudonyms = openPseudonyms(crypto, sealer, pseudonymKey)
  return {
    async append(tx, event) {
      const entry = {
        ...(await withoutNames(tx, event, pseudonyms, networks)),
        version: eventVersion,
        id: toBase64Url(crypto.randomBytes(16)),
        time: new Date(clock()).toISOString(),
      }
      const body = utf8(canonicalJson(entrySchema.parse(entry)))
      await tx.query('insert into audit.entry (id, at, body) values ($1, $2, $3)', [entry.id, clock(), body])
    },
  }
}

async function withoutNames(
  tx: Queryable,
  event: AuditEvent,
  pseudonyms: Pseudonyms,
  networks: readonly string[],
): Promise<Record<string, unknown>> {
  const entry: Record<string, unknown> = { ...event }
  for (const kind of ['account', 'device', 'room'] as const) {
    const subject = entry[kind]
    if (typeof subject === 'string') entry[kind] = await pseudonyms(tx, kind, subject)
  }
  if (typeof entry.network === 'string' && !networks.includes(entry.network)) entry.network = 'other'
  return entry
}
