import { fromBase64Url, toBase64Url } from '../../crypto/index.ts'
import type { Queryable, Transaction } from '../../store/index.ts'

/** Which message of the messenger is which event on Matrix, by portal: what replies, receipts and outcomes point with. */
export interface MessageMap {
  /** Messages that came from Matrix; `origin`: the digest of what each was encrypted as. */
  addReceived(
    tx: Transaction,
    portal: number,
    received: readonly {
      messageId: Uint8Array
      eventId: string
      reported?: boolean
      origin?: Uint8Array | undefined
    }[],
  ): void
  /** Messages of the messenger that are events on Matrix now. */
  addSent(
    tx: Transaction,
    portal: number,
    sent: readonly { messageId: Uint8Array; eventId: string }[],
    reported: boolean,
  ): void
  /** The events that were made of encrypted messages before, by the digests of these in base64url. */
  eventsMadeOf(on: Queryable, portal: number, origins: readonly string[]): Promise<Map<string, string>>
  eventOf(on: Queryable, portal: number, messageId: Uint8Array): Promise<string | undefined>
  messageOf(on: Queryable, portal: number, eventId: string): Promise<Uint8Array | undefined>
  /** Those of these events that are messages of the messenger. */
  eventsKnown(on: Queryable, portal: number, eventIds: readonly string[]): Promise<ReadonlySet<string>>
  /** The event of a message from Matrix whose arrival is told for the first time now; undefined when it was told before. */
  tellArrived(on: Queryable, portal: number, messageId: Uint8Array): Promise<string | undefined>
  /** Messages that reached Matrix and whose sender was not told yet; at most `limit`. */
  unreported(on: Queryable, portal: number, limit: number): Promise<Uint8Array[]>
  setReported(tx: Transaction, portal: number, messageIds: readonly Uint8Array[]): void
}

export function messageMap(clock: () => number): MessageMap {
  return {
    addReceived(tx, portal, received) {
      if (received.length === 0) return
      tx.write(
        `insert into portal_message (portal, message_id, event_id, from_matrix, reported, created_at, origin)
         select $1, id, event, true, told, $2, origin
         from unnest($3::bytea[], $4::text[], $5::bool[], $6::bytea[]) as new (id, event, told, origin)
         on conflict do nothing`,
        [
          portal,
          clock(),
          received.map((one) => one.messageId),
          received.map((one) => one.eventId),
          received.map((one) => one.reported ?? false),
          received.map((one) => one.origin ?? null),
        ],
      )
    },
    addSent(tx, portal, sent, reported) {
      if (sent.length === 0) return
      tx.write(
        `insert into portal_message (portal, message_id, event_id, from_matrix, reported, created_at)
         select $1, *, false, $4, $5 from unnest($2::bytea[], $3::text[]) on conflict do nothing`,
        [portal, sent.map((one) => one.messageId), sent.map((one) => one.eventId), reported, clock()],
      )
    },
    async eventsMadeOf(on, portal, origins) {
      if (origins.length === 0) return new Map()
      const rows = await on.query<{ origin: Uint8Array; event_id: string }>(
        'select origin, event_id from portal_message where portal = $1 and origin = any($2::bytea[])',
        [portal, origins.map(fromBase64Url)],
      )
      return new Map(rows.map((row) => [toBase64Url(row.origin), row.event_id]))
    },
    async eventOf(on, portal, messageId) {
      const [row] = await on.query<{ event_id: string }>(
        'select event_id from portal_message where portal = $1 and message_id = $2',
        [portal, messageId],
      )
      return row?.event_id
    },
    async messageOf(on, portal, eventId) {
      const [row] = await on.query<{ message_id: Uint8Array }>(
        'select message_id from portal_message where portal = $1 and event_id = $2',
        [portal, eventId],
      )
      return row?.message_id
    },
    async eventsKnown(on, portal, eventIds) {
      const rows = await on.query<{ event_id: string }>(
        'select event_id from portal_message where portal = $1 and event_id = any($2::text[])',
        [portal, eventIds],
      )
      return new Set(rows.map((row) => row.event_id))
    },
    async tellArrived(on, portal, messageId) {
      const [row] = await on.query<{ event_id: string }>(
        `update portal_message set reported = true
         where portal = $1 and message_id = $2 and from_matrix and not reported returning event_id`,
        [portal, messageId],
      )
      return row?.event_id
    },
    async unreported(on, portal, limit) {
      const rows = await on.query<{ message_id: Uint8Array }>(
        `select message_id from portal_message
         where portal = $1 and not reported and not from_matrix order by created_at limit $2`,
        [portal, limit],
      )
      return rows.map((row) => row.message_id)
    },
    setReported(tx, portal, messageIds) {
      tx.write('update portal_message set reported = true where portal = $1 and message_id = any($2)', [
        portal,
        messageIds,
      ])
    },
  }
}
