import { assertFence, type Lease, type Queryable, type Transaction } from '../store/index.ts'
import {
  encodeBundle,
  type Frontier,
  grow,
  leafHash,
  partialTiles,
  type RemoteSigner,
  rootOf,
  signCheckpointBy,
  type TileName,
  tileWidth,
} from './log/index.ts'
import { SequencerError } from './sequencer-errors.ts'
import { type LogPlace, logRow } from './take-up.ts'
import type { Witnesses } from './witness.ts'

/** Named points at which crash tests stop: what comes before is durable, what comes after has not happened. */
export const auditSteps = [
  'audit.placed',
  'audit.tiles-written',
  'audit.checkpoint-staged',
  'audit.checkpoint-published',
  'audit.sequenced',
] as const
export type AuditStep = (typeof auditSteps)[number]

export interface Sequencing extends LogPlace {
  /** All sign. */
  readonly signers: readonly RemoteSigner[]
  readonly witnesses: Witnesses
  readonly lease: Lease
  /** Entries taken in one go: bounds memory and the time of one transaction. */
  readonly batch: number
  readonly step: (step: AuditStep) => Promise<void>
}

/** The database is not the one that this run began with: it has to begin anew. */
export class Behind extends Error {
  override readonly name = 'Behind'
}

/**
 * Puts what waits into the log, at most a batch. In this order, each durable before the next: entries get their places,
 * for good; the tiles are written, which follow from the places alone; the checkpoint is signed, published, and stored. So whoever signs, signs a beginning of one and the same sequence.
 *
 * @returns the new right edge; the one that was given when nothing waits
 * @throws SequencerError, LeaseLost, Behind
 */
export async function sequence(on: Sequencing, frontier: Frontier): Promise<Frontier> {
  const end = await givePlaces(on, frontier)
  const first = Math.floor(frontier.size / tileWidth) * tileWidth
  const bodies = await bodiesAt(on.database, first, end)
  const fresh = bodies.slice(frontier.size - first)
  const { signed_size } = await logRow(on.database, on.verifier.name)
  // An empty log is signed too: whoever comes later can show that it began with nothing.
  if (fresh.length === 0 && signed_size !== null) return frontier
  await on.step('audit.placed')

  const grown = grow(
    on.crypto,
    frontier,
    fresh.map((body) => leafHash(on.crypto, body)),
  )
  const bundles: { name: TileName; bytes: Uint8Array }[] = []
  for (let at = 0; at < bodies.length; at += tileWidth) {
    const part = bodies.slice(at, at + tileWidth)
    const index = (first + at) / tileWidth
    bundles.push({ name: { level: 'entries', index, width: part.length }, bytes: encodeBundle(part) })
  }
  const files = [...bundles, ...grown.full, ...partialTiles(grown.frontier)]
  if (!(await on.files.put(files))) throw new SequencerError('tile-differs')
  await on.step('audit.tiles-written')

  await publish(on, grown.frontier)
  await on.files.dropPartial([...bundles, ...grown.full].map(({ name }) => name).filter(isFull))
  await on.step('audit.sequenced')
  return grown.frontier
}

const isFull = ({ width }: TileName) => width === tileWidth

/** Invariant: places are given without a gap, once, by whoever holds the lease. */
async function givePlaces({ database, lease, verifier, batch }: Sequencing, frontier: Frontier): Promise<number> {
  return database.transaction(async (tx) => {
    await assertFence(tx, lease.name, lease.fence)
    const { size, signed_size } = await logRow(tx, verifier.name)
    if (size < frontier.size || (signed_size ?? 0) !== frontier.size) throw new Behind()
    const room = frontier.size + batch - size
    if (room <= 0) return frontier.size + batch
    const placed = await tx.query(
      `update audit.entry e set place = $1 + w.number - 1
         from (select no, row_number() over (order by no) as number
                 from (select no from audit.entry where place is null order by no limit $2) as next) as w
        where e.no = w.no returning e.no`,
      [size, room],
    )
    if (placed.length > 0)
      await tx.query('update audit.log set size = size + $2 where origin = $1', [verifier.name, placed.length])
    return size + placed.length
  })
}

async function bodiesAt(on: Queryable, first: number, end: number): Promise<Uint8Array[]> {
  const rows = await on.query<{ body: Uint8Array }>(
    'select body from audit.entry where place >= $1 and place < $2 order by place',
    [first, end],
  )
  if (rows.length !== end - first) throw new Behind()
  return rows.map((row) => row.body)
}

/**
 * Signed and cosigned before the transaction, since a key or a witness may lie behind the network: what is signed follows
 * from places that were given for good, so it is a beginning of the log whatever happens here meanwhile.
 */
async function publish(on: Sequencing, frontier: Frontier): Promise<void> {
  const tree = { size: frontier.size, root: rootOf(on.crypto, frontier) }
  const note = await on.witnesses.cosign(await signCheckpointBy(tree, on.signers), frontier.size)
  await putCheckpoint(on, note, frontier.size, (signed) => signed === null || signed < frontier.size)
}

/** Asks for the cosignatures that the newest checkpoint lacks. */
export async function cosignAgain(on: Sequencing, frontier: Frontier): Promise<void> {
  const { checkpoint } = await logRow(on.database, on.verifier.name)
  if (!checkpoint) return
  const note = await on.witnesses.cosign(checkpoint, frontier.size)
  if (note.length > checkpoint.length)
    await putCheckpoint(on, note, frontier.size, (signed) => signed === frontier.size)
}

/**
 * The fence is checked before and after, and what is published is awaited between the two: a slow disk or bucket holds up
 * this log, and nobody else who needs the database. Whoever has lost the lease in between does no harm: `publish` never puts
 * a checkpoint in the place of one with more entries, and any two are of one sequence, since places are given once.
 *
 * Invariant: what the database has as signed is published.
 */
async function putCheckpoint(
  { database, lease, verifier, files, step }: Sequencing,
  note: Uint8Array,
  size: number,
  follows: (signedSize: number | null) => boolean,
): Promise<void> {
  const fenced = (work?: (tx: Transaction) => Promise<unknown>) =>
    database.transaction(async (tx) => {
      await assertFence(tx, lease.name, lease.fence)
      const { signed_size } = await logRow(tx, verifier.name)
      if (!follows(signed_size)) throw new Behind()
      await work?.(tx)
    })
  const staged = await files.stage(note, size)
  await fenced()
  await step('audit.checkpoint-staged')
  if (!(await staged.publish())) throw new Behind()
  await step('audit.checkpoint-published')
  await fenced((tx) =>
    tx.query('update audit.log set signed_size = $2, checkpoint = $3 where origin = $1', [verifier.name, size, note]),
  )
}
