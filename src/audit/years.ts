import { type Crypto, fromUtf8 } from '../crypto/index.ts'
import { assertFence, type Database, type Lease, type Queryable } from '../store/index.ts'
import type { Recorder } from './events.ts'
import { encodeVerifier, type RemoteSigner } from './log/index.ts'
import { type PublishedFiles, statedSize } from './published.ts'
import { readEntry } from './reading/index.ts'
import { place } from './sequence.ts'
import { SequencerError } from './sequencer-errors.ts'
import { nextOf, type openingAfter, type Shard, shardLabel, shardsOf, yearOf } from './shards.ts'
import type { LogPlace } from './take-up.ts'
import { openWitnesses, type Witness, type Witnesses } from './witness.ts'

// The turn of the year, each step durable before the next: the old log gets its last entry, which names the next log, and is
// signed with it for the last time; the next log is noted; its first entry names what the old one held. So an auditor who
// has either finds the other, and neither can be exchanged alone.

/** What a year's log is written with. */
export interface YearLog {
  readonly place: Omit<LogPlace, 'first'>
  readonly signers: readonly RemoteSigner[]
  readonly witnesses: Witnesses
  /** Public keys of those who sign. */
  readonly keys: readonly string[]
}

export interface LogsOptions {
  readonly database: Database
  readonly crypto: Crypto
  readonly signer: RemoteSigner
  readonly moreSigners?: readonly RemoteSigner[]
  readonly witnesses?: readonly Witness[]
  readonly files: PublishedFiles
  readonly years?:
    | { signersOf(origin: string): readonly RemoteSigner[]; filesOf(label: string): PublishedFiles }
    | undefined
  onFault(error: unknown): void
}

/** Gives what belongs to the log of a name. */
export function openLogs(options: LogsOptions): { of(origin: string): YearLog } {
  const { database, crypto, signer, years, onFault } = options
  const base = signer.verifier.name
  const opened = new Map<string, YearLog>()
  const open = (origin: string): YearLog => {
    const label = shardLabel(base, origin)
    const later = origin === base || label === undefined ? undefined : years
    const files = later ? later.filesOf(label!) : options.files
    const signers = later ? later.signersOf(origin) : [signer, ...(options.moreSigners ?? [])]
    const logs = signers.map((each) => each.verifier)
    const trust = { logs, witnesses: [], witnessed: () => true }
    const witnesses = openWitnesses({ crypto, witnesses: options.witnesses ?? [], onFault, read: files.read })
    const keys = logs.map(encodeVerifier).sort()
    return { place: { database, crypto, verifier: logs[0]!, trust, files }, signers, witnesses, keys }
  }
  return {
    of(origin) {
      const known = opened.get(origin) ?? open(origin)
      opened.set(origin, known)
      return known
    },
  }
}

/** The last entry of a log. */
export function closingTo({ place, keys }: YearLog) {
  return { type: 'log.closed' as const, next: place.verifier.name, keys: [...keys] }
}

/** When a log's year is over: that of its first entry, or of its name. Undefined while it has neither. */
export async function endOf(database: Queryable, shard: Shard | undefined): Promise<number | undefined> {
  if (!shard) return undefined
  const ends = (year: number) => Date.UTC(year + 1, 0, 1)
  if (shard.label !== '') return ends(Number(shard.label))
  const [row] = await database.query<{ at: number }>('select at from audit.entry where place = $1', [shard.first])
  return row && ends(yearOf(row.at))
}

export async function shardOf(database: Queryable, base: string, origin: string): Promise<Shard> {
  const shard = (await shardsOf(database, base)).find((each) => each.origin === origin)
  if (!shard) throw new SequencerError('fork')
  return shard
}

interface Held {
  readonly database: Database
  readonly lease: Lease
}

/** Notes the log that a log that has ended names as the next one. */
export async function addShard({ database, lease }: Held, { first, size }: Shard): Promise<void> {
  await database.transaction(async (tx) => {
    await assertFence(tx, lease.name, lease.fence)
    const [last] = await tx.query<{ body: Uint8Array }>('select body from audit.entry where place = $1', [
      first + size - 1,
    ])
    const next = last && nextOf(readEntry(last.body))
    if (next === undefined) throw new SequencerError('fork')
    await tx.query('insert into audit.log (origin, first) values ($1, $2) on conflict do nothing', [next, first + size])
  })
}

/** Gives a log that has none its first entry. */
export async function openShard(
  { database, lease, audit }: Held & { readonly audit: Recorder },
  { shard, opening, keys }: { shard: Shard; opening: ReturnType<typeof openingAfter>; keys: readonly string[] },
): Promise<void> {
  await database.transaction(async (tx) => {
    await assertFence(tx, lease.name, lease.fence)
    const opened = await tx.query(
      'update audit.log set size = 1, keys = $2 where origin = $1 and size = 0 returning origin',
      [shard.origin, [...keys]],
    )
    if (opened.length > 0) await place(tx, await audit.record(tx, { ...opening, keys: [...keys] }), shard.first)
  })
}

/** A log that has ended stands where it was published, as it was signed last. @throws SequencerError */
export async function checkEnded({ place }: YearLog, { checkpoint }: Shard): Promise<void> {
  const note = await place.files.read('checkpoint')
  if (!note) throw new SequencerError('published-missing')
  // Cosignatures may have been added to it.
  const text = (bytes: Uint8Array) => fromUtf8(bytes).split('\n\n')[0]
  if (checkpoint && text(note) === text(checkpoint)) return
  throw new SequencerError(statedSize(note) < statedSize(checkpoint ?? undefined) ? 'published-behind' : 'fork')
}
