import type { Database, Transaction } from '../../store/index.ts'
import { facetsOf, readEntry } from '../reading/facets.ts'
import { shardsOf } from '../shards.ts'

/** Entries indexed in one transaction: some megabytes, well under a second. */
const atOnce = 2000

export interface Indexer {
  /** There may be more in the tree. */
  wake(): void
  close(): Promise<void>
}

/**
 * Fills the tables that entries are found by, behind the sequencer and apart from it: it may be late, and never wrong.
 * Several processes may do it at once; they take turns on the one row of state.
 */
export function openIndexer({
  database,
  origin,
  onFault,
}: {
  database: Database
  origin: string
  onFault: (error: unknown) => void
}): Indexer {
  let running: Promise<void> | undefined
  let again = false
  let stopped = false
  const run = async () => {
    while (again && !stopped) {
      again = false
      try {
        while (!stopped && (await indexSome(database, origin)));
      } catch (error) {
        onFault(error)
      }
    }
    running = undefined
  }
  const wake = () => {
    again = true
    running ??= run()
  }
  wake()
  return {
    wake,
    async close() {
      stopped = true
      await running
    },
  }
}

interface Row {
  place: number
  body: Uint8Array
}

/** Invariant: what is below `next` is in the tables, once. @returns whether more is waiting */
export async function indexSome(database: Database, origin: string): Promise<boolean> {
  return database.transaction(async (tx) => {
    await tx.query('insert into audit.facet_state default values on conflict do nothing')
    const [state] = await tx.query<{ next: number; latest: number; late_ms: number }>(
      'select next, latest, late_ms from audit.facet_state for update',
    )
    const signed = Math.max(
      0,
      ...(await shardsOf(tx, origin)).map(({ first, signedSize }) => first + (signedSize ?? 0)),
    )
    const end = Math.min(signed, state!.next + atOnce)
    if (end <= state!.next) return false
    const rows = await tx.query<Row>(
      'select place, body from audit.entry where place >= $1 and place < $2 order by place',
      [state!.next, end],
    )
    // The database is older than what it says is signed: that is the sequencer's to mend.
    if (rows.length !== end - state!.next) return false
    await addRows(tx, rows, state!)
    return end < signed
  })
}

async function addRows(tx: Transaction, rows: readonly Row[], state: { latest: number; late_ms: number }) {
  let { latest, late_ms } = state
  const facets = rows.map(({ place, body }) => {
    const { at, ...facets } = facetsOf(readEntry(body))
    // An entry without a time stands where its neighbour does.
    const time = Number.isFinite(at) ? at : latest
    latest = Math.max(latest, time)
    late_ms = Math.max(late_ms, latest - time)
    return { place, at: time, latest, ...facets }
  })
  const column = <Key extends keyof (typeof facets)[number]>(key: Key) => facets.map((each) => each[key])
  await tx.query(
    `insert into audit.facet (place, at, latest, type, provider, outcome)
       select * from unnest($1::int8[], $2::int8[], $3::int8[], $4::text[], $5::text[], $6::text[])`,
    [
      column('place'),
      column('at'),
      column('latest'),
      column('type'),
      column('provider').map((p) => p ?? null),
      column('outcome'),
    ],
  )
  const subjects = facets.flatMap(({ place, subjects }) =>
    [...new Set(subjects)].map((pseudonym) => ({ place, pseudonym })),
  )
  await tx.query('insert into audit.facet_subject (pseudonym, place) select * from unnest($1::text[], $2::int8[])', [
    subjects.map(({ pseudonym }) => pseudonym),
    subjects.map(({ place }) => place),
  ])
  const next = rows.at(-1)!.place + 1
  await tx.query('update audit.facet_state set next = $1, latest = $2, late_ms = $3', [next, latest, late_ms])
}
