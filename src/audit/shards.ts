import { fromUtf8 } from '../crypto/index.ts'
import type { Queryable } from '../store/index.ts'
import type { EntryJson } from './reading/index.ts'

// The log is one for each year (UTC). The first has the service's own name, each later one that name and its year. Places count
// through all of them: an entry's index in its log is its place less the log's first.

/** One year's log. */
export interface Shard {
  /** Its name, and that of its keys. */
  readonly origin: string
  /** Where it lies below the first one: nowhere else, or a year. */
  readonly label: string
  /** The place of its first entry. */
  readonly first: number
  /** Entries that have a place. */
  readonly size: number
  readonly signedSize: number | null
  /** The newest that was signed and published. */
  readonly checkpoint: Uint8Array | null
  /** Its last entry has its place. */
  readonly closed: boolean
  /** The keys that sign it, as far as they were noted. */
  readonly keys: readonly string[] | null
}

const labelForm = /^\d{4}$/

/** The name of a year's log; `label` is empty for the first. */
export const shardOrigin = (base: string, label: string) => (label === '' ? base : `${base}/${label}`)

/** Reverses `shardOrigin`; undefined for a log of another name. */
export function shardLabel(base: string, origin: string): string | undefined {
  if (origin === base) return ''
  const label = origin.startsWith(`${base}/`) ? origin.slice(base.length + 1) : ''
  return labelForm.test(label) ? label : undefined
}

export const yearOf = (at: number) => new Date(at).getUTCFullYear()

interface Row {
  origin: string
  first: number
  size: number
  signed_size: number | null
  checkpoint: Uint8Array | null
  closed: boolean
  keys: string[] | null
}

/** All logs of a service that the database knows, the oldest first. */
export async function shardsOf(on: Queryable, base: string): Promise<Shard[]> {
  const rows = await on.query<Row>(
    `select origin, first, size, signed_size, checkpoint, closed, keys from audit.log
      where origin = $1 or starts_with(origin, $1 || '/') order by first, origin`,
    [base],
  )
  return rows.flatMap(({ signed_size, ...row }) => {
    const label = shardLabel(base, row.origin)
    return label === undefined ? [] : [{ ...row, label, signedSize: signed_size }]
  })
}

/** What the last entry of a log says of the next one, or undefined when it is no last entry. */
export function nextOf(entry: EntryJson): string | undefined {
  return entry.type === 'log.closed' && typeof entry.next === 'string' ? entry.next : undefined
}

/** Members that the first entry of a log has, when it goes on from this one, which has ended. */
export function openingAfter({ origin, first, size, checkpoint }: Shard) {
  const [, , root = ''] = fromUtf8(checkpoint ?? new Uint8Array()).split('\n')
  return { type: 'log.opened' as const, previous: origin, size, root, before: first + size }
}
