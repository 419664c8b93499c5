import type { Outcome } from '../../content/index.ts'
import { fromBase64Url, toBase64Url } from '../../crypto/index.ts'
import { gathered, type Queryable, type Sealer, type Transaction } from '../../store/index.ts'
import type { Loss } from '../matrix/translate/index.ts'

/**
 * What a portal's Matrix room is to be given, in order.
 * - `message`: MIMI content of the messenger's user, as it was received (CBOR).
 * - `notice`: a sentence from the bridge, as the ghost's m.notice (UTF-8).
 * - `posture`: the state event and its notice (JSON).
 * - `status`: what became of an event of the Matrix user (JSON: eventId, status, message).
 * - `members`: a group changed on the messenger here; what follows is for those who are in it then. Never sent itself.
 */
export type OutboxKind = 'message' | 'notice' | 'posture' | 'status' | 'members'
/** An outcome that waits until it may be told; never sent to Matrix. */
export const heldKind = 'outcome'

/** An event as it is PUT. `state` goes before it. */
export interface OutboxEvent {
  readonly type: string
  readonly content: Record<string, unknown>
  readonly state?: { readonly type: string; readonly content: Record<string, unknown> }
  /** What got lost of the message that it is. */
  readonly losses?: readonly Loss[]
}

export interface OutboxItem {
  readonly id: number
  readonly kind: OutboxKind
  readonly messageId: Uint8Array | undefined
  readonly body: Uint8Array
  /** The event as it was or will be PUT, once it is made. */
  readonly event: OutboxEvent | undefined
  readonly firstPutAt: number | undefined
  readonly createdAt: number
}

interface Row {
  id: number
  kind: OutboxKind
  message_id: Uint8Array | null
  body: Uint8Array
  sealed_event: Uint8Array | null
  first_put_at: number | null
  created_at: number
}

interface Addition {
  readonly portal: number
  readonly kind: OutboxKind
  readonly body: Uint8Array
  readonly messageId: Uint8Array | undefined
}

const encoder = new TextEncoder()
const decoder = new TextDecoder()

/** Ids of the newest items of a portal, of those that wait and of those that were read ahead; 0: there is none. */
export interface Newest {
  readonly waiting: number
  readonly ahead: number
}

export interface OutboxTable {
  /**
   * Adds an item at the end; all that a transaction adds is written together, when its work is done at the latest. One that
   * carries a message which is there already, or is in the Matrix room already, is not added again.
   */
  add(
    tx: Transaction,
    portal: number,
    kind: OutboxKind,
    body: Uint8Array | string,
    messageId?: Uint8Array,
  ): Promise<void>
  /** Keeps an item of a group until everything before its place of the log has come. */
  addAhead(
    on: Queryable,
    portal: number,
    place: number,
    kind: OutboxKind,
    body: Uint8Array | string,
    messageId?: Uint8Array,
  ): Promise<void>
  /** Adds what was kept for places up to this one, in their order. */
  release(tx: Transaction, portal: number, upTo: number): Promise<void>
  /** Whether something of this kind waits. */
  has(on: Queryable, portal: number, kind: OutboxKind): Promise<boolean>
  /** The oldest items of a portal, at most `limit`. */
  waiting(on: Queryable, portal: number, limit: number): Promise<OutboxItem[]>
  /** Keeps the events that were made of items and are put now, so that a repetition sends the very same ones. */
  keepEvents(tx: Transaction, portal: number, made: readonly { item: number; event: OutboxEvent }[]): void
  /** The same for items whose events were kept before. */
  notePut(tx: Transaction, items: readonly number[]): void
  done(tx: Transaction, items: readonly number[]): void
  /** Keeps an outcome that may not be told yet. */
  hold(on: Queryable, portal: number, outcome: Outcome): Promise<void>
  /** Keeps this outcome for each message that waits, and drops all that waits. */
  holdWaiting(on: Queryable, portal: number, outcome: Omit<Outcome, 'messageId'>): Promise<void>
  /** The outcomes kept, with their items' ids for `done`. */
  held(on: Queryable, portal: number): Promise<{ id: number; outcome: Outcome }[]>
  /** Portals that have something waiting. */
  portals(on: Queryable): Promise<number[]>
  /** Drops what waits, up to these items; all of it when none are named. */
  clear(tx: Transaction, portal: number, newest?: Newest): Promise<void>
  newest(on: Queryable, portal: number): Promise<Newest>
}

export function outboxTable(sealer: Sealer, clock: () => number): OutboxTable {
  const bodyPlace = (portal: number, kind: string) => `portal_outbox|body|${portal}|${kind}`
  const eventPlace = (portal: number, item: number) => `portal_outbox|event|${portal}|${item}`
  const writeAdditions = async (tx: Transaction, all: Addition[]) => {
    const taken = all.splice(0)
    if (taken.length === 0) return
    tx.write(
      `insert into portal_outbox (portal, kind, message_id, body, created_at)
       select portal, kind, message_id, body, $5
       from unnest($1::int8[], $2::text[], $3::bytea[], $4::bytea[])
         with ordinality as new (portal, kind, message_id, body, n)
       where not exists (select from portal_message m where m.portal = new.portal and m.message_id = new.message_id)
       order by n
       on conflict (portal, message_id) do nothing`,
      [
        taken.map(({ portal }) => portal),
        taken.map(({ kind }) => kind),
        taken.map(({ messageId }) => messageId ?? null),
        taken.map(({ portal, kind, body }) => sealer.seal(body, bodyPlace(portal, kind))),
        clock(),
      ],
    )
  }
  const additions = gathered<Addition[]>(() => [], writeAdditions)
  const table: OutboxTable = {
    async add(tx, portal, kind, body, messageId) {
      additions(tx).push({ portal, kind, body: typeof body === 'string' ? encoder.encode(body) : body, messageId })
    },
    async addAhead(on, portal, place, kind, body, messageId) {
      const bytes = typeof body === 'string' ? encoder.encode(body) : body
      await on.query(
        `insert into portal_ahead (portal, place, kind, message_id, body, created_at) values ($1, $2, $3, $4, $5, $6)`,
        [portal, place, kind, messageId ?? null, sealer.seal(bytes, bodyPlace(portal, kind)), clock()],
      )
    },
    async release(tx, portal, upTo) {
      await writeAdditions(tx, additions(tx))
      const rows = await tx.query<{ id: number }>(
        'select id from portal_ahead where portal = $1 and place <= $2 order by place, id',
        [portal, upTo],
      )
      if (rows.length === 0) return
      const ids = rows.map(({ id }) => id)
      await tx.query(
        `insert into portal_outbox (portal, kind, message_id, body, created_at)
           select portal, kind, message_id, body, created_at from portal_ahead where id = any($1) order by place, id
         on conflict (portal, message_id) do nothing`,
        [ids],
      )
      await tx.query('delete from portal_ahead where id = any($1)', [ids])
    },
    async has(on, portal, kind) {
      const rows = await on.query('select 1 from portal_outbox where portal = $1 and kind = $2 limit 1', [portal, kind])
      return rows.length > 0
    },
    async waiting(on, portal, limit) {
      const rows = await on.query<Row>(
        `select id, kind, message_id, body, sealed_event, first_put_at, created_at
         from portal_outbox where portal = $1 and kind <> $3 order by id limit $2`,
        [portal, limit, heldKind],
      )
      return rows.map((row) => ({
        id: row.id,
        kind: row.kind,
        messageId: row.message_id ?? undefined,
        body: sealer.open(row.body, bodyPlace(portal, row.kind)),
        event:
          row.sealed_event === null
            ? undefined
            : JSON.parse(decoder.decode(sealer.open(row.sealed_event, eventPlace(portal, row.id)))),
        firstPutAt: row.first_put_at ?? undefined,
        createdAt: row.created_at,
      }))
    },
    keepEvents(tx, portal, made) {
      if (made.length === 0) return
      const seal = ({ item, event }: { item: number; event: OutboxEvent }) =>
        sealer.seal(encoder.encode(JSON.stringify(event)), eventPlace(portal, item))
      tx.write(
        `update portal_outbox set sealed_event = made.event, first_put_at = coalesce(first_put_at, $3)
         from unnest($1::int8[], $2::bytea[]) as made (item, event) where id = made.item`,
        [made.map(({ item }) => item), made.map(seal), clock()],
      )
    },
    notePut(tx, items) {
      if (items.length === 0) return
      tx.write('update portal_outbox set first_put_at = $2 where id = any($1) and first_put_at is null', [
        items,
        clock(),
      ])
    },
    done(tx, items) {
      if (items.length > 0) tx.write('delete from portal_outbox where id = any($1)', [items])
    },
    async hold(on, portal, { messageId, outcome, code }) {
      const body = encoder.encode(JSON.stringify({ messageId: toBase64Url(messageId), outcome, code }))
      await on.query('insert into portal_outbox (portal, kind, body, created_at) values ($1, $2, $3, $4)', [
        portal,
        heldKind,
        sealer.seal(body, bodyPlace(portal, heldKind)),
        clock(),
      ])
    },
    async holdWaiting(on, portal, outcome) {
      const rows = await on.query<{ message_id: Uint8Array | null }>(
        'delete from portal_outbox where portal = $1 and kind <> $2 returning message_id',
        [portal, heldKind],
      )
      for (const { message_id: messageId } of rows)
        if (messageId !== null) await table.hold(on, portal, { messageId, ...outcome })
    },
    async held(on, portal) {
      const rows = await on.query<{ id: number; body: Uint8Array }>(
        'select id, body from portal_outbox where portal = $1 and kind = $2 order by id',
        [portal, heldKind],
      )
      return rows.map(({ id, body }) => {
        const kept = JSON.parse(decoder.decode(sealer.open(body, bodyPlace(portal, heldKind))))
        return { id, outcome: { ...kept, messageId: fromBase64Url(kept.messageId) } }
      })
    },
    async portals(on) {
      const rows = await on.query<{ portal: number }>(
        'select distinct portal from portal_outbox where kind <> $1 order by portal',
        [heldKind],
      )
      return rows.map((row) => row.portal)
    },
    async clear(tx, portal, newest) {
      await writeAdditions(tx, additions(tx))
      const until = newest ?? { waiting: null, ahead: null }
      for (const [table, last] of [
        ['portal_outbox', until.waiting],
        ['portal_ahead', until.ahead],
      ] as const)
        await tx.query(`delete from ${table} where portal = $1 and ($2::int8 is null or id <= $2)`, [portal, last])
    },
    async newest(on, portal) {
      const [row] = await on.query<{ waiting: number | null; ahead: number | null }>(
        `select (select max(id) from portal_outbox where portal = $1) as waiting,
                (select max(id) from portal_ahead where portal = $1) as ahead`,
        [portal],
      )
      return { waiting: row?.waiting ?? 0, ahead: row?.ahead ?? 0 }
    },
  }
  return table
}
