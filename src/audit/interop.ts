import type { Crypto } from '../crypto/index.ts'
import type { Database, Transaction } from '../store/index.ts'
import type { Event } from './event-schema.ts'
import { randomId } from './ids.ts'

/**
 * The clock of requests by other providers. A gatekeeper has three months to render operational what a reasonable request
 * asks for (DMA Article 7(5)); receipt and answer are entries, so that nobody can say later that it was earlier.
 */
export interface Interop {
  /**
   * A request has come in. `received`: when, milliseconds since the epoch, not in the future and at most a year ago.
   *
   * @returns its id, and until when it has to be met
   */
  received(provider: string, received: number): Promise<{ request: string; due: number } | 'bad-provider' | 'bad-time'>
  /** It was met, refused (with a reason), or taken back. */
  answered(
    request: string,
    outcome: InteropOutcome,
    reason?: string,
  ): Promise<'answered' | 'not-open' | 'reason-needed'>
  list(): Promise<InteropRequest[]>
}

export const interopOutcomes = ['operational', 'refused', 'withdrawn'] as const
export type InteropOutcome = (typeof interopOutcomes)[number]

export interface InteropRequest {
  readonly request: string
  readonly provider: string
  readonly received: number
  readonly due: number
  readonly outcome: InteropOutcome | null
}

/** A host name (RFC 1123), in lower case. */
const domainForm = /^(?=.{4,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]$/
const reasonForm = /^[a-z][a-z0-9-]{0,63}$/
const months = 3
const yearMs = 366 * 86_400_000

/**
 * When three months from a moment end: with the day of that number, or the last day of a shorter month (Regulation (EEC)
 * 1182/71 Article 3(2)(c)). In UTC; that a weekend would give the operator more time is left out.
 */
export function threeMonthsFrom(received: number): number {
  const from = new Date(received)
  const [year, month] = [from.getUTCFullYear(), from.getUTCMonth() + months]
  const lastDay = new Date(Date.UTC(year, month + 1, 0)).getUTCDate()
  return Date.UTC(year, month, Math.min(from.getUTCDate(), lastDay) + 1) - 1
}

export interface InteropOptions {
  readonly database: Database
  readonly crypto: Crypto
  /** Appends as it is: the domain of a company that asks has to stand in the log. */
  record(tx: Transaction, event: Event): Promise<unknown>
  /** Milliseconds since the epoch. */
  readonly clock?: () => number
}

export function openInterop({ database, crypto, record, clock = Date.now }: InteropOptions): Interop {
  return {
    async received(provider, received) {
      if (!domainForm.test(provider)) return 'bad-provider'
      if (!(received <= clock() && received >= clock() - yearMs)) return 'bad-time'
      const request = randomId(crypto, 16)
      const due = threeMonthsFrom(received)
      await database.transaction(async (tx) => {
        await tx.query('insert into audit.interop (id, provider, received, due) values ($1, $2, $3, $4)', [
          ...[request, provider],
          ...[received, due],
        ])
        const times = { received: new Date(received).toISOString(), due: new Date(due).toISOString() }
        await record(tx, { type: 'interop.requested', request, provider, ...times })
      })
      return { request, due }
    },
    async answered(request, outcome, reason) {
      if (outcome === 'refused' && (reason === undefined || !reasonForm.test(reason))) return 'reason-needed'
      return database.transaction(async (tx) => {
        const [row] = await tx.query<{ provider: string; due: number }>(
          `update audit.interop set outcome = $2, answered = $3 where id = $1 and outcome is null returning provider, due`,
          [request, outcome, clock()],
        )
        if (!row) return 'not-open'
        const why = outcome === 'refused' ? { reason } : {}
        await record(tx, { type: 'interop.answered', request, provider: row.provider, outcome, ...why })
        return 'answered'
      })
    },
    list: () =>
      database.query<InteropRequest>(
        'select id as request, provider, received, due, outcome from audit.interop order by received, id limit 1000',
      ),
  }
}
