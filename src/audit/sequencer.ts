import type { Crypto } from '../crypto/index.ts'
import { acquireLease, type Database, isStoreError, type Lease, releaseLease, renewLease } from '../store/index.ts'
import type { Audit } from './events.ts'
import { type Frontier, haveSigned, type RemoteSigner } from './log/index.ts'
import { openPublishedFiles, type PublishedFiles } from './published.ts'
import { type AuditStep, Behind, cosignAgain, type Sequencing, sequence } from './sequence.ts'
import { SequencerError } from './sequencer-errors.ts'
import { logRow, takeUp } from './take-up.ts'
import { openWitnesses, type Witness } from './witness.ts'

export interface SequencerOptions {
  readonly database: Database
  readonly crypto: Crypto
  readonly audit: Audit
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

export interface Sequencer {
  /** Why nothing is put into the log any more; undefined while all is well. */
  readonly refused: SequencerError | undefined
  /** Takes what waits into the log, stops, and gives the lease back. */
  close(): Promise<void>
}

/** A witness that is away is not asked with each look. */
const witnessAgainMs = 10_000

/**
 * Puts entries into the published log, as long as it has the lease; of several processes one does. It goes on after any
 * fault but one: when what is published does not verify, it signs nothing more until it is started anew.
 */
export function openSequencer(options: SequencerOptions): Sequencer {
  const { database, crypto, audit, signer, leaseMs = 15_000, everyMs = 500, batch = 4096 } = options
  const { verifier } = signer
  const signers = [signer, ...(options.moreSigners ?? [])]
  const trust = { logs: signers.map((each) => each.verifier), witnesses: [], witnessed: () => true }
  const place = { database, crypto, verifier, trust, files: options.files ?? openPublishedFiles(options.folder) }
  const witnesses = openWitnesses({
    ...{ crypto, witnesses: options.witnesses ?? [], onFault: options.onFault },
    read: place.files.read,
  })
  let askedAt = 0
  const step = async (name: AuditStep) => options.steps?.(name)
  let lease: Lease | undefined
  /** Unknown after a fault: then it is read from what is published. */
  let frontier: Frontier | undefined
  let refused: SequencerError | undefined
  let stopping = false

  const hold = async (): Promise<Lease | undefined> => {
    if (lease && (await renewLease(database, lease, leaseMs))) return lease
    frontier = undefined
    lease = await acquireLease(database, { name: `audit ${verifier.name}`, owner: options.owner, ttlMs: leaseMs })
    return lease
  }

  const begin = async (held: Lease): Promise<Frontier> => {
    const { frontier: edge, taken } = await takeUp(place, held)
    if (taken > 0) await database.transaction((tx) => audit.append(tx, { type: 'log.taken-up', entries: taken }))
    return edge
  }

  /** A witness that was away, or is new, gets the checkpoint that stands. */
  const witnessAgain = async (on: Sequencing, edge: Frontier) => {
    if (witnesses.verifiers.length === 0 || Date.now() - askedAt < (options.witnessAgainMs ?? witnessAgainMs)) return
    askedAt = Date.now()
    const { checkpoint } = await logRow(database, verifier.name)
    if (checkpoint && !haveSigned(crypto, checkpoint, witnesses.verifiers)) await cosignAgain(on, edge)
  }

  /** @returns whether more may be waiting */
  const turn = async (): Promise<boolean> => {
    if (refused) return false
    try {
      const held = await hold()
      if (!held) return false
      const edge = frontier ?? (await begin(held))
      frontier = undefined
      const on = { ...place, signers, witnesses, batch, step, lease: held }
      frontier = await sequence(on, edge)
      if (frontier.size === edge.size) await witnessAgain(on, frontier)
      return frontier.size > edge.size
    } catch (error) {
      frontier = undefined
      if (error instanceof SequencerError) refused = error
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
