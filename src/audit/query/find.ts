import type { Queryable } from '../../store/index.ts'
import type { EntryFilter } from '../reading/facets.ts'
import type { Shard } from '../shards.ts'

export type Order = 'oldest' | 'newest'

export interface Question {
  readonly filter: EntryFilter
  readonly order: Order
  /** Where to go on: the first index to look at, in the order that is asked for. */
  readonly at?: number | undefined
  /** Entries to give at most. */
  readonly limit: number
}

export interface FoundEntry {
  /** Its place, counted through the logs of all years. */
  readonly place: number
  readonly body: Uint8Array
}

export interface Answer {
  readonly entries: readonly FoundEntry[]
  /** Where to go on; undefined at the end. */
  readonly next: number | undefined
  /** Entries below this index were looked at. */
  readonly indexed: number
}

/**
 * Indices looked at by one statement. Whatever is asked for, and whatever plan the database makes of it, a statement costs
 * a bounded time: this many rows by an index, some hundred milliseconds.
 */
const span = 250_000
/** After this a page is given as it is, and says where to go on. */
const enoughMs = 2_000

/** Finds entries by what is in the tables of facets. */
export async function find(database: Queryable, question: Question, clock: () => number = Date.now): Promise<Answer> {
  const { filter, order, limit } = question
  const range = await placesOf(database, filter)
  const newest = order === 'newest'
  let at = question.at ?? (newest ? range.end - 1 : range.first)
  at = newest ? Math.min(at, range.end - 1) : Math.max(at, range.first)
  const entries: FoundEntry[] = []
  const begun = clock()
  while (entries.length < limit && at >= range.first && at < range.end) {
    const [low, high] = newest ? [Math.max(range.first, at - span + 1), at] : [at, Math.min(range.end, at + span) - 1]
    const wanted = limit - entries.length
    const rows = await database.query<FoundEntry>(...statement(filter, order, { low, high }, wanted))
    entries.push(...rows)
    const last = rows.length === wanted ? rows.at(-1)!.place : newest ? low : high
    at = last + (newest ? -1 : 1)
    if (clock() - begun > enoughMs) break
  }
  return { entries, next: at >= range.first && at < range.end ? at : undefined, indexed: range.indexed }
}

/** One entry that is in the tree; undefined when its log has none of that index. */
export async function findOne(database: Queryable, log: Shard, index: number): Promise<Uint8Array | undefined> {
  if (index < 0 || index >= (log.signedSize ?? 0)) return undefined
  const [row] = await database.query<{ body: Uint8Array }>('select body from audit.entry where place = $1', [
    log.first + index,
  ])
  return row?.body
}

/**
 * The indices between which all entries of a span of time lie. `at` may fall from one entry to the next, by a transaction
 * that took long or a clock that was set; `latest` does not, and `late_ms` is how far `at` has ever been behind it.
 */
async function placesOf(database: Queryable, { from, to }: EntryFilter) {
  const [state] = await database.query<{ next: number; late_ms: number }>('select next, late_ms from audit.facet_state')
  if (!state) return { first: 0, end: 0, indexed: 0 }
  const firstFrom = async (time: number) => {
    const [row] = await database.query<{ place: number }>(
      'select place from audit.facet where latest >= $1 order by latest, place limit 1',
      [time],
    )
    return row?.place ?? state.next
  }
  const first = from === undefined ? 0 : await firstFrom(from)
  const end = to === undefined ? state.next : await firstFrom(to + state.late_ms)
  return { first, end, indexed: state.next }
}

/** The statement for one span of indices. */
export function statement(
  filter: EntryFilter,
  order: Order,
  { low, high }: { low: number; high: number },
  limit: number,
): [string, unknown[]] {
  const parameters: unknown[] = [low, high, limit]
  const given = (value: unknown) => `$${parameters.push(value)}`
  const conditions: string[] = []
  const equal = { type: filter.type, provider: filter.provider, outcome: filter.outcome }
  for (const [column, value] of Object.entries(equal))
    if (value !== undefined) conditions.push(`f.${column} = ${given(value)}`)
  if (filter.from !== undefined) conditions.push(`f.at >= ${given(filter.from)}`)
  if (filter.to !== undefined) conditions.push(`f.at < ${given(filter.to)}`)
  const bySubject = filter.pseudonym !== undefined
  const subject = bySubject
    ? `join audit.facet_subject s on s.place = f.place and s.pseudonym = ${given(filter.pseudonym)}`
    : ''
  // The span stands on the table that leads, so that its index is walked in the order that is asked for.
  const leading = bySubject ? 's.place' : 'f.place'
  const where = [`${leading} between $1 and $2`, ...conditions].join(' and ')
  return [
    `select e.place, e.body
       from (select ${leading} as place from audit.facet f ${subject}
              where ${where} order by ${leading} ${order === 'newest' ? 'desc' : 'asc'} limit $3) as found
       join audit.entry e on e.place = found.place
      order by e.place ${order === 'newest' ? 'desc' : 'asc'}`,
    parameters,
  ]
}
