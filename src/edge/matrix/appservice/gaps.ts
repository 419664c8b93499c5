import { utf8 } from '../../../crypto/index.ts'
import type { Queryable, Transaction } from '../../../store/index.ts'
import { isHomeserverError, type Json } from '../homeserver.ts'
import { createLocks, delay, type Locks } from '../locks.ts'
import { type ReadEvent, readEvent } from './body.ts'
import { inOrder } from './missed.ts'
import { timelineBehind } from './timeline.ts'
import type { AppserviceOptions, Timeline } from './types.ts'

/**
 * What the homeserver never handed over, or much too late, is found in the rooms themselves. Synapse counts events as
 * handed over before their transaction is stored, so that a kill loses what was queued; and a transaction that was stored
 * and not sent when it was killed comes after the next one that fails, long behind later ones.
 *
 * So after anything of that kind may have happened, a room is compared with its timeline before its next event is handed
 * over: what stands there behind the last event that is known, and was not pushed, is put in its place. Rooms in which
 * nobody speaks are compared one after another (`sweep`), those heard of last first.
 */
export interface Gaps {
  /** Something may have been missed, in any room. */
  suspect(): void
  /** The same, and more may be missed at any moment, until it is called with `false`: meanwhile no room is sure. */
  doubt(lasting: boolean): void
  /** Whether nothing can be missing in front of what comes now. */
  isSure(room: string): boolean
  /** Of these events those that were read back before: repetitions. */
  readBefore(tx: Transaction, events: readonly ReadEvent[]): Promise<ReadonlySet<string>>
  /** Notes how far rooms were taken; in the transaction that stores it. */
  heard(tx: Transaction, newest: ReadonlyMap<string, string>): Promise<void>
  /** Events of this room wait for their place. */
  unplaced(room: string): void
  /** Rooms with such events. */
  readonly waiting: ReadonlySet<string>
  /** Gives a room's events their places, if any wait for that. @throws HomeserverError that is worth a retry */
  place(room: string): Promise<void>
  /** Looks for rooms with events that wait for their place. */
  start(): Promise<string[]>
  /** Compares the rooms that were heard of lately and not compared since; ends with the next `sweep` or `stop`. */
  sweep(wake: (room: string) => void): Promise<void>
  stop(): void
}

/** Rooms remembered as compared; one that is forgotten costs one request more. */
const sureLimit = 100_000
/** Rooms of a sweep that are taken from the table at one go. */
const sweepPage = 100
/** Attempts for a room of a sweep, and the first wait in between, ms. */
const sweepAttempts = 6
const sweepRetryMs = 1_000
/** ms; rooms are noted as heard of to the hour. */
const hour = 3_600_000

interface WaitingRow {
  readonly id: number
  readonly body: Uint8Array
  readonly received_at: number
}
/** A place in the timeline: before all that was read, somewhere in it, behind all of it. */
type Item = { readonly at: number; readonly eventId: string; readonly body: Uint8Array; readonly receivedAt?: number }

export function createGaps(
  options: Pick<AppserviceOptions, 'database' | 'sealer' | 'crypto' | 'handlers' | 'settings' | 'log'>,
  /** Held by whoever stores transactions. */
  storing: Locks,
): Gaps {
  const { database, sealer, handlers, settings, log } = options
  const rooms = createLocks()
  const sure = new Set<string>()
  const waiting = new Set<string>()
  let suspicions = 0
  let doubted = false
  let sweeps = 0
  /** Whether anything was read back that may still be pushed. */
  let anyReadBack = true

  const seal = (room: string, event: Json) => sealer.seal(utf8(JSON.stringify(event)), `appservice_event|body|${room}`)
  const eventIdOf = (room: string, body: Uint8Array): string =>
    String(JSON.parse(Buffer.from(sealer.open(body, `appservice_event|body|${room}`)).toString('utf8')).event_id)

  const isWanted = (room: string, event: Json) => {
    const read = readEvent({ ...event, room_id: room })
    return read !== undefined && (handlers.wants?.(read) ?? true)
  }

  const look = async (room: string): Promise<{ timeline?: Timeline; behind?: Json[] }> => {
    const [known] = await database.query<{ event_id: string }>('select event_id from appservice_room where room = $1', [
      room,
    ])
    const timeline = known && (await handlers.timeline?.(room))
    if (known === undefined || timeline === undefined) return {}
    try {
      const behind = await timelineBehind(timeline, known.event_id, settings.gapPages)
      if (behind !== undefined) return { timeline, behind }
      log.warn({ code: 'gap' }, 'a room may lack events: the last known one is too far back')
      return {}
    } catch (error) {
      // Not in the room any more, for instance.
      if (!isHomeserverError(error) || error.retry || error.status === 401) throw error
      return {}
    }
  }

  const unplacedRows = (on: Queryable, room: string) =>
    on.query<WaitingRow>(
      'select id, body, received_at from appservice_event where room = $1 and unplaced order by id',
      [room],
    )

  /** What of the timeline is neither waiting nor known to have been carried. */
  const missing = async (
    tx: Transaction,
    room: string,
    timeline: Timeline,
    behind: readonly Json[],
    here: Set<string>,
  ) => {
    const absent = behind.filter((event) => !here.has(String(event.event_id)) && isWanted(room, event))
    if (absent.length === 0) return []
    const placed = await tx.query<WaitingRow>(
      `select id, body, received_at from appservice_event where room = $1 and not unplaced ${inOrder}`,
      [room],
    )
    const ids = absent.map((event) => String(event.event_id))
    const back = await tx.query<{ event_id: string }>(
      'select event_id from appservice_read_back where event_id = any($1::text[])',
      [ids],
    )
    const known = new Set([
      ...placed.map(({ body }) => eventIdOf(room, body)),
      ...back.map((row) => row.event_id),
      ...(await timeline.carried(tx, ids)),
    ])
    return absent.filter((event) => !known.has(String(event.event_id)))
  }

  const settle = async (
    tx: Transaction,
    room: string,
    before: ReadonlySet<number>,
    { timeline, behind = [] }: { timeline?: Timeline; behind?: Json[] },
  ): Promise<number> => {
    // In a rolling restart another process may be at it, too.
    await tx.query('select from appservice_room where room = $1 for update', [room])
    const rows = await unplacedRows(tx, room)
    const at = new Map(behind.map((event, index) => [String(event.event_id), index]))
    const pushed = rows.map((row): Item & { id: number } => {
      const eventId = eventIdOf(room, row.body)
      // What had come before the timeline was read and is not in it is older, what came after is newer.
      const place = at.get(eventId) ?? (before.has(row.id) ? -1 : behind.length)
      return { id: row.id, at: place, eventId, body: row.body, receivedAt: row.received_at }
    })
    const here = new Set(pushed.map(({ eventId }) => eventId))
    const missed = timeline === undefined ? [] : await missing(tx, room, timeline, behind, here)
    const items: Item[] = [
      ...pushed,
      ...missed.map((event) => {
        const eventId = String(event.event_id)
        return { at: at.get(eventId)!, eventId, body: seal(room, { ...event, room_id: room }) }
      }),
    ]
    const ordered = items.toSorted((one, other) => one.at - other.at)
    const ids = pushed.map(({ id }) => id)
    if (ordered.every((item, index) => item === items[index])) {
      await tx.query('update appservice_event set unplaced = false where id = any($1::int8[])', [ids])
      if (missed.length > 0) await insert(tx, room, ordered.slice(pushed.length))
    } else {
      await tx.query('delete from appservice_event where id = any($1::int8[])', [ids])
      await insert(tx, room, ordered)
    }
    await noteReadBack(tx, missed)
    const newest = behind.at(-1)?.event_id
    const last = pushed.findLast(({ at }) => at === behind.length)?.eventId ?? newest ?? pushed.at(-1)?.eventId
    if (last !== undefined) await heard(tx, new Map([[room, String(last)]]))
    return missed.length
  }

  const insert = (tx: Transaction, room: string, items: readonly Item[]) =>
    tx.query(
      `insert into appservice_event (room, body, received_at)
       select $1, body, coalesce(received, now_ms())
         from unnest($2::bytea[], $3::int8[]) with ordinality as new (body, received, n) order by n`,
      [room, items.map(({ body }) => body), items.map(({ receivedAt }) => receivedAt ?? null)],
    )

  const noteReadBack = async (tx: Transaction, missed: readonly Json[]): Promise<void> => {
    if (missed.length === 0) return
    await tx.query('delete from appservice_read_back where read_at < now_ms() - $1', [settings.readBackMs])
    await tx.query(
      `insert into appservice_read_back (event_id, read_at) select *, now_ms() from unnest($1::text[])
       on conflict do nothing`,
      [missed.map((event) => String(event.event_id))],
    )
    tx.afterCommit(() => {
      anyReadBack = true
    })
  }

  const heard: Gaps['heard'] = async (tx, newest) => {
    await tx.query(
      `insert into appservice_room (room, event_id, heard_at)
       select *, now_ms() / $3::int8 * $3::int8 from unnest($1::text[], $2::text[])
       on conflict (room) do update set event_id = excluded.event_id, heard_at = excluded.heard_at`,
      [[...newest.keys()], [...newest.values()], hour],
    )
  }

  /** @returns how many events were missing */
  const compare = (room: string): Promise<number> =>
    rooms.run(room, async () => {
      if (sure.has(room) && !waiting.has(room)) return 0
      const suspicion = suspicions
      const before = new Set((await unplacedRows(database, room)).map(({ id }) => id))
      const seen = await look(room)
      const missed = await storing.run('', async () => {
        const count = await database.transaction((tx) => settle(tx, room, before, seen))
        waiting.delete(room)
        if (suspicion === suspicions && !doubted) {
          if (sure.size >= sureLimit) sure.clear()
          sure.add(room)
        }
        return count
      })
      if (missed > 0) log.info({ count: missed }, 'events that the homeserver had not handed over were read back')
      return missed
    })

  const compareInSweep = async (room: string, isOver: () => boolean): Promise<boolean> => {
    for (let attempt = 1; !isOver(); attempt++) {
      try {
        const had = waiting.has(room)
        return (await compare(room)) > 0 || had
      } catch {
        if (attempt === sweepAttempts) {
          log.warn({ code: 'gap' }, 'a room could not be compared with its timeline')
          return false
        }
        await delay(sweepRetryMs * 2 ** (attempt - 1))
      }
    }
    return false
  }

  const suspect = () => {
    suspicions++
    sure.clear()
  }
  return {
    suspect,
    doubt(lasting) {
      doubted = lasting
      suspect()
    },
    isSure: (room) => sure.has(room),
    heard,
    async readBefore(tx, events) {
      if (!anyReadBack || events.length === 0) return new Set()
      const rows = await tx.query<{ event_id: string }>(
        'select event_id from appservice_read_back where event_id = any($1::text[])',
        [events.map(({ eventId }) => eventId)],
      )
      return new Set(rows.map((row) => row.event_id))
    },
    unplaced: (room) => void waiting.add(room),
    waiting,
    async place(room) {
      if (waiting.has(room)) await compare(room)
    },
    async start() {
      const rows = await database.query<{ room: string }>('select distinct room from appservice_event where unplaced')
      for (const { room } of rows) waiting.add(room)
      anyReadBack = (await database.query('select 1 from appservice_read_back limit 1')).length > 0
      return rows.map(({ room }) => room)
    },
    async sweep(wake) {
      const sweep = ++sweeps
      const isOver = () => sweep !== sweeps
      let after: { heard_at: number; room: string } | undefined
      let suspicion = suspicions
      while (!isOver()) {
        // From the beginning again: what was compared is not sure any more.
        if (suspicion !== suspicions) after = undefined
        suspicion = suspicions
        const rows = await database.query<{ room: string; heard_at: number }>(
          `select room, heard_at from appservice_room
            where heard_at > now_ms() - $1 and ($2::int8 is null or (heard_at, room) < ($2, $3))
            order by heard_at desc, room desc limit $4`,
          [settings.gapWithinMs, after?.heard_at ?? null, after?.room ?? '', sweepPage],
        )
        for (const { room } of rows) {
          if (isOver()) return
          if (sure.has(room)) continue
          if (await compareInSweep(room, isOver)) wake(room)
          await delay(settings.gapRoomMs)
        }
        after = rows.at(-1)
        if (rows.length < sweepPage && suspicion === suspicions) return
      }
    },
    stop() {
      sweeps++
    },
  }
}
