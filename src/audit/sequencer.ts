import type { Crypto } from '../crypto/index.ts'
import {
  acquireLease,
  type Database,
  isStoreError,
  type Lease,
  releaseLease,
  renewLease,
  type Transaction,
} from '../store/index.ts'
import type { Audit, Recorder } from './events.ts'
import { type Frontier, haveSigned, type RemoteSigner } from './log/index.ts'
import { openPublishedFiles, type PublishedFiles } from './published.ts'
import { type AuditStep, Behind, cosignAgain, type Sequencing, sequence } from './sequence.ts'
import { SequencerError } from './sequencer-errors.ts'
import { openingAfter, type Shard, shardOrigin, shardsOf, yearOf } from './shards.ts'
import { logRow, takeUp } from './take-up.ts'
import type { Witness } from './witness.ts'
import { addShard, checkEnded, closingTo, endOf, openLogs, openShard, shardOf, type YearLog } from './years.ts'

export interface SequencerOptions {
  readonly database: Database
  readonly crypto: Crypto
  readonly audit: Audit & Recorder
  /** The log's key; its name is the log's origin. */
  readonly signer: RemoteSigner
  /** Keys of the same name that sign too, while one follows another. */
  readonly moreSigners?: readonly RemoteSigner[]
  readonly witnesses?: readonly Witness[]
  /** Milliseconds after which a cosignature that is missing is asked for again. */
  readonly witnessAgainMs?: number
  /** Where the log is published: a folder, or files elsewhere. */
  readonly folder: string
  readonly files?: PublishedFiles | undefined
  /** A log for each year; without, one for ever. */
  readonly years?: Years | undefined
  /** Names this process in the lease. */
  readonly owner: string
  /** Milliseconds after which another process may go on for one that does not answer. 15 s: longer than any pause of a healthy one. */
  readonly leaseMs?: number
  /** Milliseconds between looks for entries. 500: they are to be in the tree within two seconds. */
  readonly everyMs?: number
  /** Entries in one go. 4,096 of half a kilobyte are 2 MB. */
  readonly batch?: number
  readonly steps?: ((step: AuditStep) => void | Promise<void>) | undefined
  onFault(error: unknown): void
}

/** The logs of the years behind the first one, which has the name of `signer` and lies in `files`. */
export interface Years {
  /** All that sign a log of this name; the same keys as those of the first. */
  signersOf(origin: string): readonly RemoteSigner[]
  /** Where a year's log is published. */
  filesOf(label: string): PublishedFiles
  /** Milliseconds since the epoch. */
  readonly clock?: (() => number) | undefined
}

export interface Sequencer {
  /** Why nothing is put into the log any more; undefined while all is well. */
  readonly refused: SequencerError | undefined
  /** Takes what waits into the log, stops, and gives the lease back. */
  close(): Promise<void>
}

/** A witness that is away is not asked with each look. */
const witnessAgainMs = 10_000

/** The log that entries go into now. */
interface Current {
  readonly log: YearLog
  readonly previous: Shard | undefined
  /** The place of its first entry. */
  readonly first: number
  /** When its year is over, milliseconds since the epoch; undefined while it has no entry. */
  readonly ends: number | undefined
  readonly frontier: Frontier
}

/**
 * Puts entries into the published log, as long as it has the lease; of several processes one does. It goes on after any
 * fault but one: when what is published does not verify, it signs nothing more until it is started anew.
 */
export function openSequencer(options: SequencerOptions): Sequencer {
  const { database, crypto, audit, signer, leaseMs = 15_000, everyMs = 500, batch = 4096 } = options
  const base = signer.verifier.name
  const clock = options.years?.clock ?? Date.now
  const files = options.files ?? openPublishedFiles(options.folder)
  const logs = openLogs({ ...options, files })
  let askedAt = 0
  const step = async (name: AuditStep) => options.steps?.(name)
  let lease: Lease | undefined
  let renewedAt = 0
  /** Unknown after a fault: then it is read from what is published. */
  let current: Current | undefined
  let refused: SequencerError | undefined
  let stopping = false

  const hold = async (): Promise<Lease | undefined> => {
    // Its fence is checked with every write; renewing it is one too, so an idle service does that seldom.
    if (lease && performance.now() - renewedAt < leaseMs / 3) return lease
    if (lease && (await renewLease(database, lease, leaseMs))) {
      renewedAt = performance.now()
      return lease
    }
    current = undefined
    // One for the logs of all years.
    lease = await acquireLease(database, { name: `audit ${base}`, owner: options.owner, ttlMs: leaseMs })
    renewedAt = performance.now()
    return lease
  }

  /** Whether there is nothing to do, told without a transaction: an idle service writes nothing. */
  const idle = async (): Promise<boolean> =>
    (await database.query('select 1 from audit.entry where place is null limit 1')).length === 0

  const begin = async (held: Lease): Promise<Current> => {
    const shards = await shardsOf(database, base)
    for (const shard of shards.slice(0, -1)) await checkEnded(logs.of(shard.origin), shard)
    const [previous, last] = shards.length > 1 ? shards.slice(-2) : [undefined, shards[0]]
    const log = logs.of(last?.origin ?? base)
    const opening = previous && openingAfter(previous)
    const { frontier, taken } = await takeUp({ ...log.place, first: last?.first ?? 0, opening }, held)
    if (taken > 0) await database.transaction((tx) => audit.append(tx, { type: 'log.taken-up', entries: taken }))
    if (last && opening) await openShard({ ...options, lease: held }, { shard: last, opening, keys: log.keys })
    return { log, previous, frontier, first: last?.first ?? 0, ends: await endOf(database, last) }
  }

  /** A witness that was away, or is new, gets the checkpoint that stands; and the last one of the year before. */
  const witnessAgain = async (on: Sequencing, { log, previous, frontier }: Current) => {
    const wanted = log.witnesses.verifiers
    if (wanted.length === 0 || clock() - askedAt < (options.witnessAgainMs ?? witnessAgainMs)) return
    askedAt = clock()
    const { checkpoint } = await logRow(database, log.place.verifier.name)
    if (checkpoint && !haveSigned(crypto, checkpoint, wanted)) await cosignAgain(on, frontier.size)
    if (!previous?.checkpoint || haveSigned(crypto, previous.checkpoint, wanted)) return
    const { place, witnesses } = logs.of(previous.origin)
    await cosignAgain({ ...on, ...place, witnesses }, previous.size)
    const shards = await shardsOf(database, base)
    if (current) current = { ...current, previous: shards.find(({ origin }) => origin === previous.origin) }
  }

  /** @returns whether more may be waiting */
  const turn = async (): Promise<boolean> => {
    if (refused) return false
    try {
      const held = await hold()
      if (!held) return false
      const known = current
      const at = known ?? (await begin(held))
      current = undefined
      const { log, first, frontier: edge } = at
      const due = options.years && at.ends !== undefined && clock() >= at.ends
      const next = logs.of(shardOrigin(base, String(yearOf(clock()))))
      const closing = due
        ? { before: at.ends!, record: (tx: Transaction) => audit.record(tx, closingTo(next)) }
        : undefined
      const quiet = known !== undefined && !due && (await idle())
      const on = {
        ...log.place,
        first,
        signers: log.signers,
        witnesses: log.witnesses,
        batch,
        step,
        lease: held,
        closing,
      }
      const { frontier, ended } = quiet ? { frontier: edge, ended: false } : await sequence(on, edge)
      if (ended) {
        await addShard({ database, lease: held }, await shardOf(database, base, log.place.verifier.name))
        return true
      }
      const ends = at.ends ?? (await endOf(database, await shardOf(database, base, log.place.verifier.name)))
      current = { ...at, frontier, ends }
      if (frontier.size === edge.size) await witnessAgain(on, current)
      return frontier.size > edge.size
    } catch (error) {
      current = undefined
      if (error instanceof SequencerError) refused = error
      if (isStoreError(error, 'lease-lost')) lease = undefined
      // Somebody else goes on, or this begins anew with its next turn.
      if (!(error instanceof Behind) && !isStoreError(error, 'lease-lost')) options.onFault(error)
      return false
    }
  }

  let wakeUp: (() => void) | undefined
  const running = (async () => {
    while (!stopping) {
      if (await turn()) continue
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, everyMs)
        timer.unref()
        wakeUp = () => {
          clearTimeout(timer)
          resolve()
        }
        if (stopping) wakeUp()
      })
    }
    while (await turn());
    if (lease) await releaseLease(database, lease).catch(options.onFault)
  })()

  return {
    get refused() {
      return refused
    },
    async close() {
      stopping = true
      wakeUp?.()
      await running
    },
  }
}
