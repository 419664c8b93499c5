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
  /** The log is to end: entries of before that time go into it, then its last one. */
  readonly closing?: Closing | undefined
  /** Entries taken in one go: bounds memory and the time of one transaction. */
  readonly batch: number
  readonly step: (step: AuditStep) => Promise<void>
}

export interface Closing {
  /** Milliseconds since the epoch; what happened later belongs into the next log. */
  readonly before: number
  /** Appends the last entry. @returns its id */
  record(tx: Transaction): Promise<string>
}

/** The database is not the one that this run began with: it has to begin anew. */
export class Behind extends Error {
  override readonly name = 'Behind'
}

/**
 * Puts what waits into the log, at most a batch. In this order, each durable before the next: entries get their places,
 * for good; the tiles are written, which follow from the places alone; the checkpoint is signed, published, and stored. So whoever signs, signs a beginning of one and the same sequence.
 *
 * @returns the new right edge, the one that was given when nothing waits; and whether the log has ended with that
 * @throws SequencerError, LeaseLost, Behind
 */
export async function sequence(on: Sequencing, frontier: Frontier): Promise<{ frontier: Frontier; ended: boolean }> {
  const { end, ended } = await givePlaces(on, frontier)
  const first = Math.floor(frontier.size / tileWidth) * tileWidth
  const bodies = await bodiesAt(on.database, on.first + first, on.first + end)
  const fresh = bodies.slice(frontier.size - first)
  const { signed_size } = await logRow(on.database, on.verifier.name)
  // An empty log is signed too: whoever comes later can show that it began with nothing.
  if (fresh.length === 0 && signed_size !== null) return { frontier, ended }
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
  return { frontier: grown.frontier, ended }
}

const isFull = ({ width }: TileName) => width === tileWidth

/**
 * Invariant: places are given without a gap, once, by whoever holds the lease; and none behind the last entry of a log.
 *
 * @returns the size to go to, and whether the log ends there
 */
async function givePlaces(
  { database, lease, verifier, batch, first, closing }: Sequencing,
  frontier: Frontier,
): Promise<{ end: number; ended: boolean }> {
  const most = frontier.size + batch
  return database.transaction(async (tx) => {
    await assertFence(tx, lease.name, lease.fence)
    const { size, signed_size, closed } = await logRow(tx, verifier.name)
    if (size < frontier.size || (signed_size ?? 0) !== frontier.size) throw new Behind()
    const room = most - size
    if (room <= 0 || closed) return { end: Math.min(size, most), ended: closed && size <= most }
    const placed = await tx.query(
      `update audit.entry e set place = $1 + w.number - 1
         from (select no, row_number() over (order by no) as number
                 from (select no from audit.entry where place is null and ($3::int8 is null or at < $3)
                        order by no limit $2) as next) as w
        where e.no = w.no returning e.no`,
      [first + size, room, closing?.before ?? null],
    )
    let end = size + placed.length
    const ended = closing !== undefined && end < most
    if (ended) await place(tx, await closing.record(tx), first + end++)
    if (end > size)
      await tx.query('update audit.log set size = $2, closed = $3 where origin = $1', [verifier.name, end, ended])
    return { end, ended }
  })
}

/** Gives one entry its place. */
export async function place(tx: Transaction, id: string, at: number): Promise<void> {
  await tx.query('update audit.entry set place = $2 where id = $1', [id, at])
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
export async function cosignAgain(on: Sequencing, size: number): Promise<void> {
  const { checkpoint } = await logRow(on.database, on.verifier.name)
  if (!checkpoint) return
  const note = await on.witnesses.cosign(checkpoint, size)
  if (note.length > checkpoint.length) await putCheckpoint(on, note, size, (signed) => signed === size)
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
