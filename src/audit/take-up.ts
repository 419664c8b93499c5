import { type Crypto, equalBytes } from '../crypto/index.ts'
import { assertFence, type Database, type Lease, type Queryable } from '../store/index.ts'
import {
  type Checkpoint,
  emptyFrontier,
  type Frontier,
  grow,
  LogError,
  type LogPolicy,
  leafHash,
  type NoteVerifier,
  openCheckpoint,
  openTiles,
  readFrontier,
  rootOf,
  type TileReader,
  tileWidth,
} from './log/index.ts'
import type { PublishedFiles } from './published.ts'
import { readEntry } from './reading/index.ts'
import { SequencerError } from './sequencer-errors.ts'

export interface LogPlace {
  readonly database: Database
  readonly crypto: Crypto
  readonly files: PublishedFiles
  /** The key's name is the log's origin. */
  readonly verifier: NoteVerifier
  /** The keys of which one has to have signed what is published. */
  readonly trust: LogPolicy
  /** The place of its first entry. */
  readonly first: number
  /** Members that its first entry has to have; undefined of the very first log. */
  readonly opening?: Readonly<Record<string, unknown>> | undefined
}

interface LogRow {
  size: number
  signed_size: number | null
  checkpoint: Uint8Array | null
  closed: boolean
}

/**
 * Begins where the published log ends. What is published counts: an older database (a backup) takes it up; a database that
 * contradicts it, or published files that do not verify, end it.
 *
 * @returns the right edge of the published log, and how many entries came from it into the database
 * @throws SequencerError, LeaseLost
 */
export async function takeUp(place: LogPlace, lease: Lease): Promise<{ frontier: Frontier; taken: number }> {
  const { database, crypto, files, verifier, trust } = place
  await database.query('insert into audit.log (origin, first) values ($1, $2) on conflict do nothing', [
    ...[verifier.name, place.first],
  ])
  const row = await logRow(database, verifier.name)
  const signed = row.checkpoint && open(crypto, row.checkpoint, trust)
  let note = await files.read('checkpoint')
  if (!note) {
    if (signed) throw new SequencerError('published-missing')
    return { frontier: emptyFrontier, taken: 0 }
  }
  let published = open(crypto, note, trust)
  if (row.checkpoint && signed && signed.size > published.size) {
    await publishAgain(place, lease, row.checkpoint, signed)
    note = row.checkpoint
    published = signed
  }
  const tiles = openTiles(crypto, files.read, published.size)
  const newer: Uint8Array[] = []
  const frontier = await follow(crypto, tiles, files, signed, newer)
  if (!equalBytes(rootOf(crypto, frontier), published.root)) throw new SequencerError('tiles-invalid')
  const first = published.size - newer.length
  const taken = await database.transaction(async (tx) => {
    await assertFence(tx, lease.name, lease.fence)
    let added = 0
    for (const [at, body] of newer.entries()) {
      if (first + at === 0) checkOpening(body, place.opening)
      if (await adopt(tx, body, place.first + first + at)) added++
    }
    const ended = newer.length > 0 && readEntry(newer.at(-1)!).type === 'log.closed'
    await tx.query(
      `update audit.log set size = greatest(size, $2), signed_size = $2, checkpoint = $3, closed = closed or $4
        where origin = $1`,
      [verifier.name, published.size, note, ended],
    )
    return added
  })
  return { frontier, taken }
}

/**
 * What was signed and committed last is published again where an older checkpoint stands in its place and all that it
 * needs is there. Where that is missing, the folder was set back.
 */
async function publishAgain(
  { database, crypto, files }: LogPlace,
  lease: Lease,
  note: Uint8Array,
  signed: Checkpoint,
): Promise<void> {
  const tiles = openTiles(crypto, files.read, signed.size)
  try {
    if (!equalBytes(rootOf(crypto, await readFrontier(tiles)), signed.root))
      throw new SequencerError('published-behind')
    if (signed.size > 0) await tiles.bundle(Math.floor((signed.size - 1) / tileWidth))
  } catch (cause) {
    throw cause instanceof LogError ? new SequencerError('published-behind', { cause }) : cause
  }
  const staged = await files.stage(note, signed.size)
  await database.transaction((tx) => assertFence(tx, lease.name, lease.fence))
  // Outside of the transaction, which a slow bucket would hold open. Not put where somebody has gone on meanwhile.
  await staged.publish()
}

export async function logRow(on: Queryable, origin: string): Promise<LogRow> {
  const [row] = await on.query<LogRow>(
    'select size, signed_size, checkpoint, closed from audit.log where origin = $1',
    [origin],
  )
  return row ?? { size: 0, signed_size: null, checkpoint: null, closed: false }
}

function open(crypto: Crypto, note: Uint8Array, trust: LogPolicy): Checkpoint {
  try {
    return openCheckpoint(crypto, note, trust)
  } catch (cause) {
    throw cause instanceof LogError ? new SequencerError('checkpoint-invalid', { cause }) : cause
  }
}

/**
 * From the newest checkpoint that the database knows to the published one: the old right edge out of the tiles, which has
 * to give the old root, and on it the entries since, which the caller compares with the new root.
 */
async function follow(
  crypto: Crypto,
  tiles: TileReader,
  files: PublishedFiles,
  signed: Checkpoint | null,
  newer: Uint8Array[],
): Promise<Frontier> {
  try {
    // Of a database that knows no checkpoint nothing can be compared: all entries are read.
    let frontier = emptyFrontier
    if (signed) {
      frontier = await readFrontier(openTiles(crypto, files.read, signed.size))
      if (!equalBytes(rootOf(crypto, frontier), signed.root)) throw new SequencerError('fork')
    }
    while (frontier.size < tiles.size) {
      const entries = (await tiles.bundle(Math.floor(frontier.size / tileWidth))).slice(frontier.size % tileWidth)
      newer.push(...entries)
      const leaves = entries.map((entry) => leafHash(crypto, entry))
      frontier = grow(crypto, frontier, leaves).frontier
    }
    // The tiles of the right edge are what goes on from here: they have to be the ones that follow from the entries.
    if (!equalBytes(rootOf(crypto, await readFrontier(tiles)), rootOf(crypto, frontier)))
      throw new SequencerError('tiles-invalid')
    return frontier
  } catch (cause) {
    throw cause instanceof LogError ? new SequencerError('tiles-invalid', { cause }) : cause
  }
}

/** A log that does not go on from the one before is not this service's. @throws SequencerError fork */
function checkOpening(body: Uint8Array, opening: LogPlace['opening']): void {
  const entry = readEntry(body)
  for (const [member, value] of Object.entries(opening ?? {}))
    if (entry[member] !== value) throw new SequencerError('fork')
}

/** A published entry is given its place, or has it. @returns whether the database did not know it */
async function adopt(tx: Queryable, body: Uint8Array, place: number): Promise<boolean> {
  const { id, time } = JSON.parse(new TextDecoder().decode(body)) as { id: string; time: string }
  const at = await tx.query<{ id: string }>('select id from audit.entry where place = $1', [place])
  const same = await tx.query<{ place: number | null; body: Uint8Array }>(
    'select place, body from audit.entry where id = $1',
    [id],
  )
  const [known] = same
  if (at.some((row) => row.id !== id) || (known && !equalBytes(known.body, body))) throw new SequencerError('fork')
  if (known && known.place !== null && known.place !== place) throw new SequencerError('fork')
  if (known) await tx.query('update audit.entry set place = $2 where id = $1 and place is null', [id, place])
  else
    await tx.query('insert into audit.entry (id, at, body, place) values ($1, $2, $3, $4)', [
      id,
      Date.parse(time),
      body,
      place,
    ])
  return !known
}
