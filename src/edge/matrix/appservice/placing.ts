import { utf8 } from '../../../crypto/index.ts'
import type { Queryable, Transaction } from '../../../store/index.ts'
import type { Json } from '../homeserver.ts'
import { readEvent } from './body.ts'
import { inOrder } from './missed.ts'
import type { AppserviceOptions, Timeline } from './types.ts'

/** What was seen of a room behind the last event up to which nothing is missing. */
export interface Seen {
  /** Absent: there is nothing to compare with. */
  readonly timeline?: Timeline
  /** Oldest first. */
  readonly behind?: readonly Json[]
  /** The timeline could not be had: what waits goes on as it was pushed, and is compared with it another time. */
  readonly withheld?: true
}

/** Gives events their places in their rooms' queues, and keeps how far each room was taken without a gap. */
export interface Placing {
  /** Ids of the rows that wait for their place. */
  unplaced(on: Queryable, room: string): Promise<ReadonlySet<number>>
  /**
   * Places a room's events, those too that were seen and had not been pushed.
   * @param before the rows that waited before the timeline was read
   * @param certain whether nothing can have been lost since it was read
   * @returns how many had not been pushed
   */
  settle(tx: Transaction, room: string, before: ReadonlySet<number>, seen: Seen, certain: boolean): Promise<number>
  /** Notes how far rooms were taken. */
  heard(tx: Transaction, newest: ReadonlyMap<string, string>): void
}

interface WaitingRow {
  readonly id: number
  readonly body: Uint8Array
  readonly received_at: number
}
/** A place in the timeline: before all that was read, somewhere in it, behind all of it. */
type Item = { readonly at: number; readonly eventId: string; readonly body: Uint8Array; readonly receivedAt?: number }

/** ms; rooms are noted as heard of to the hour. */
const hour = 3_600_000

export function createPlacing(
  { sealer, handlers, settings }: Pick<AppserviceOptions, 'sealer' | 'handlers' | 'settings'>,
  /** Called after a commit that noted events as repetitions, should they be pushed. */
  onNoted: () => void,
): Placing {
  const seal = (room: string, event: Json) => sealer.seal(utf8(JSON.stringify(event)), `appservice_event|body|${room}`)
  const eventIdOf = (room: string, body: Uint8Array): string =>
    String(JSON.parse(Buffer.from(sealer.open(body, `appservice_event|body|${room}`)).toString('utf8')).event_id)

  const isWanted = (room: string, event: Json) => {
    const read = readEvent({ ...event, room_id: room })
    return read !== undefined && (handlers.wants?.(read) ?? true)
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

  const insert = (tx: Transaction, room: string, items: readonly Item[]) =>
    tx.query(
      `insert into appservice_event (room, body, received_at)
       select $1, body, coalesce(received, now_ms())
         from unnest($2::bytea[], $3::int8[]) with ordinality as new (body, received, n) order by n`,
      [room, items.map(({ body }) => body), items.map(({ receivedAt }) => receivedAt ?? null)],
    )

  const noteAsKnown = async (tx: Transaction, eventIds: readonly string[]): Promise<void> => {
    if (eventIds.length === 0) return
    await tx.query('delete from appservice_read_back where read_at < now_ms() - $1', [settings.readBackMs])
    await tx.query(
      `insert into appservice_read_back (event_id, read_at) select *, now_ms() from unnest($1::text[])
       on conflict do nothing`,
      [eventIds],
    )
    tx.afterCommit(onNoted)
  }

  const heard: Placing['heard'] = (tx, newest) => {
    tx.write(
      `insert into appservice_room (room, event_id, heard_at)
       select *, now_ms() / $3::int8 * $3::int8 from unnest($1::text[], $2::text[])
       on conflict (room) do update set event_id = excluded.event_id, heard_at = excluded.heard_at`,
      [[...newest.keys()], [...newest.values()], hour],
    )
  }

  return {
    heard,
    unplaced: async (on, room) => new Set((await unplacedRows(on, room)).map(({ id }) => id)),
    async settle(tx, room, before, { timeline, behind = [], withheld }, certain) {
      // In a rolling restart another process may be at it, too.
      const [known] = await tx.query<{ event_id: string }>(
        'select event_id from appservice_room where room = $1 for update',
        [room],
      )
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

      // How far the room is taken never goes back to what was pushed late, nor on to what something may be missing before.
      const later = pushed.filter((item) => item.at === behind.length).map(({ eventId }) => eventId)
      const compared = timeline !== undefined
      const notReached = withheld ? pushed.map(({ eventId }) => eventId) : compared && !certain ? later : []
      await noteAsKnown(tx, [...missed.map((event) => String(event.event_id)), ...notReached])
      const seen = (certain ? later.at(-1) : undefined) ?? behind.at(-1)?.event_id ?? known?.event_id
      const last = withheld ? known?.event_id : compared ? seen : (pushed.at(-1)?.eventId ?? known?.event_id)
      if (last !== undefined) heard(tx, new Map([[room, String(last)]]))
      return missed.length
    },
  }
}
