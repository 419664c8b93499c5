import type { Queryable, Sealer } from '../../store/index.ts'

/** An event from Matrix for which a placeholder went out, since its key had not come. */
export interface LateEvent {
  readonly eventId: string
  readonly placeholder: Uint8Array
  readonly event: Record<string, unknown>
}

export interface LateEvents {
  add(on: Queryable, portal: number, late: LateEvent): Promise<void>
  of(on: Queryable, portal: number): Promise<LateEvent[]>
  done(on: Queryable, portal: number, eventId: string): Promise<void>
  /** Portals that still wait for keys. */
  portals(on: Queryable): Promise<number[]>
  /** Gives up on those that are older than `ms`. */
  expire(on: Queryable, ms: number): Promise<void>
}

export function lateEvents(sealer: Sealer, clock: () => number): LateEvents {
  const place = (portal: number, eventId: string) => `portal_late_event|event|${portal}|${eventId}`
  return {
    async add(on, portal, { eventId, placeholder, event }) {
      const sealed = sealer.seal(new TextEncoder().encode(JSON.stringify(event)), place(portal, eventId))
      await on.query(
        `insert into portal_late_event (portal, event_id, message_id, event, created_at) values ($1, $2, $3, $4, $5)
         on conflict do nothing`,
        [portal, eventId, placeholder, sealed, clock()],
      )
    },
    async of(on, portal) {
      const rows = await on.query<{ event_id: string; message_id: Uint8Array; event: Uint8Array }>(
        'select event_id, message_id, event from portal_late_event where portal = $1 order by created_at, event_id',
        [portal],
      )
      return rows.map((row) => ({
        eventId: row.event_id,
        placeholder: row.message_id,
        event: JSON.parse(new TextDecoder().decode(sealer.open(row.event, place(portal, row.event_id)))),
      }))
    },
    async done(on, portal, eventId) {
      await on.query('delete from portal_late_event where portal = $1 and event_id = $2', [portal, eventId])
    },
    async portals(on) {
      const rows = await on.query<{ portal: number }>('select distinct portal from portal_late_event')
      return rows.map((row) => row.portal)
    },
    async expire(on, ms) {
      await on.query('delete from portal_late_event where created_at < $1', [clock() - ms])
    },
  }
}
