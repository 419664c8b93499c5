// What the auditors' API answers fast, and how, with ten million entries on a PostgreSQL of its own:
//
//   npm run bench -- audit, or node_modules/.bin/node bench/audit-query.ts [ENTRIES]
//
// Entries are made by the database itself, eight kinds of them, about 200,000 accounts, over a year. For each question it
// prints the plan of its statement and the median of some runs through the same code that the service runs. Needs 8 GB on
// disk, and for ten million entries some minutes.
import { type EntryFilter, findEntries, findStatement } from '../src/audit/index.ts'
import { type Database, openDatabase } from '../src/store/index.ts'
import { startPostgres } from '../test/support/postgres.ts'
import { median } from './statistics.ts'

export interface QueryTimes {
  readonly entries: number
  /** What the entries take on disk, and what they are found by. */
  readonly sizes: string
  readonly questions: readonly {
    readonly name: string
    readonly found: number
    readonly median: number
    readonly slowest: number
    /** EXPLAIN (ANALYZE, BUFFERS) of one span of the indices that are looked through. */
    readonly plan: string
  }[]
}

const begun = Date.UTC(2026, 0, 1)
/** Milliseconds from one entry to the next: all of them in a year. */
const stepOf = (entries: number) => Math.max(1, Math.floor((365 * 86_400_000) / entries))
const atOnce = 500_000
const accounts = 200_000
const runs = 11

const types = `(array['network.opted-in','network.opted-out','device.linked','device.unlinked','account.created',
  'manifest.published','refusals.counted','room.posture-changed'])[1 + n % 8]`
/** A pseudonym of an account: 22 characters that depend on the number alone. */
const pseudonym = `rpad(translate(encode(sha256(('account ' || (n * 7919 % ${accounts}))::bytea), 'base64'), '+/=', '-_A'), 22, 'A')`

async function fill(database: Database, entries: number, progress: (line: string) => void): Promise<void> {
  const step = stepOf(entries)
  for (let first = 0; first < entries; first += atOnce) {
    const end = Math.min(entries, first + atOnce)
    const series = `(select n, ${begun}::int8 + n * ${step} - (case when n % 50 = 3 then 2000 else 0 end) as at, ${types} as type,
        left(${pseudonym}, 22) as account, case when n % 8 < 2 then case when n % 100 = 1 then 'other' else 'matrix' end end as provider,
        case when n % 8 = 6 then 'refused' else 'done' end as outcome
      from generate_series(${first}::int8, ${end - 1}::int8) as n) as made`
    await database.query(`insert into audit.entry (id, at, body, place)
      select 'entry ' || n, at, convert_to(json_build_object('account', account, 'id', left(account, 10) || lpad(n::text, 12, '0'),
        'network', provider, 'time', to_char(to_timestamp(at / 1000.0) at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'), 'type', type, 'version', 1)::text, 'UTF8'), n
      from ${series}`)
    await database.query(
      `insert into audit.facet select n, at, ${begun}::int8 + n * ${step}, type, provider, outcome from ${series}`,
    )
    await database.query(`insert into audit.facet_subject select account, n from ${series} where n % 8 <> 6`)
    progress(`audit: ${end} of ${entries} entries to ask about`)
  }
  await database.query('insert into audit.facet_state (next, latest, late_ms) values ($1, $2, 2000)', [
    entries,
    begun + entries * step,
  ])
  for (const table of ['entry', 'facet', 'facet_subject']) await database.query(`vacuum analyze audit.${table}`)
}

async function questions(database: Database, entries: number): Promise<[string, EntryFilter][]> {
  const at = (part: number) => begun + Math.floor(part * entries) * stepOf(entries)
  const [row] = await database.query<{ pseudonym: string }>('select pseudonym from audit.facet_subject limit 1')
  return [
    ['the newest', {}],
    ['one type', { type: 'network.opted-out' }],
    ['one account', { pseudonym: row!.pseudonym }],
    ['one account, one type', { pseudonym: row!.pseudonym, type: 'device.linked' }],
    ['an hour of one type', { type: 'refusals.counted', from: at(0.5), to: at(0.5) + 3_600_000 }],
    ['a provider, refused', { provider: 'matrix', outcome: 'refused' }],
    ['a rare provider, in March', { provider: 'other', from: Date.UTC(2026, 2, 1), to: Date.UTC(2026, 3, 1) }],
    ['a pseudonym that is nobody’s', { pseudonym: 'A'.repeat(22) }],
  ]
}

/** Fills a PostgreSQL of its own, asks, and keeps the plans. */
export async function measureQueries(entries: number, progress: (line: string) => void): Promise<QueryTimes> {
  const server = await startPostgres([
    'shared_buffers=512MB',
    'work_mem=32MB',
    'maintenance_work_mem=256MB',
    'max_wal_size=8GB',
  ])
  const database = await openDatabase({ url: server.url, statementTimeoutMs: 600_000, connections: 2 })
  try {
    await fill(database, entries, progress)
    const [size] = await database.query<{ entry: string; facet: string; subject: string }>(
      `select pg_size_pretty(pg_total_relation_size('audit.entry')) as entry, pg_size_pretty(pg_total_relation_size('audit.facet')) as facet,
        pg_size_pretty(pg_total_relation_size('audit.facet_subject')) as subject`,
    )
    const sizes = `entry ${size!.entry}, facet ${size!.facet}, facet_subject ${size!.subject}`
    const asked: QueryTimes['questions'][number][] = []
    for (const [name, filter] of await questions(database, entries)) {
      const times: number[] = []
      let found = 0
      for (let run = 0; run < runs; run++) {
        const from = performance.now()
        found = (await findEntries(database, { filter, order: 'newest', limit: 100 })).entries.length
        times.push(performance.now() - from)
      }
      const [text, parameters] = findStatement(filter, 'newest', { low: entries - 250_000, high: entries - 1 }, 100)
      const plan = await database.query<Record<string, string>>(
        `explain (analyze, buffers, summary off) ${text}`,
        parameters,
      )
      asked.push({
        ...{ name, found, median: median(times), slowest: Math.max(...times) },
        plan: plan.map((row) => Object.values(row)[0]).join('\n'),
      })
    }
    return { entries, sizes, questions: asked }
  } finally {
    await database.close()
    await server.stop()
  }
}

if (import.meta.main) {
  const { sizes, questions } = await measureQueries(Number(process.argv[2] ?? 10_000_000), console.error)
  console.log(sizes)
  for (const { name, found, median, slowest, plan } of questions)
    console.log(
      `\n## ${name}: ${found} entries, median ${median.toFixed(1)} ms, slowest ${slowest.toFixed(1)} ms\n${plan}`,
    )
}
