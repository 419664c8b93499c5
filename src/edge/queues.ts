import type { Database } from '../store/index.ts'
import { heldKind } from './portals/outbox-table.ts'
import { held } from './portals/portal-table.ts'

/** A queue longer than this is not counted to its end: somebody looks every few seconds, and it is long enough. */
export const mostCounted = 100_000

/** Where something waits. `for-people`: for somebody who has been invited or asked, and has not answered. */
export type Stage = 'from-matrix' | 'to-matrix' | 'to-ghosts' | 'for-people'

/** Portals into whose Matrix rooms nothing can go yet; the condition of the index portal_held. */
const heldPortals = `select id from portal where held_until = ${held}`
/** Matrix rooms from which nothing can go yet; the condition of the index portal_unanswered. */
const unansweredRooms = `select matrix_room from portal
  where kind = 'direct' and matrix_room is not null and state <> 'ended' and (room is null or state = 'wanted')`

/** What will be sent to Matrix, the oldest first; an outcome never is. */
const outbox = 'select id, portal, kind, created_at from portal_outbox order by id limit $1'
const events = 'select id, room, received_at from appservice_event order by id limit $1'

/**
 * How much waits, and for how long the first has that can go. What waits for people can wait for days and is no fault, so
 * it is counted apart and its age is nobody's business.
 *
 * At most `mostCounted` rows of each queue are looked at, by its primary key, and the portals that hold something by an index
 * of those alone. With 200,000 portals, one in a hundred held, and 150,000 rows in either queue, depth and age together take
 * 45 ms on PostgreSQL and 130 ms embedded. Where all rows that are looked at wait for people, in 100,000 portals, it is 140 ms
 * for either, and what can go behind them is not seen.
 */
export function queues(database: Database, clock: () => number) {
  const number = async (text: string): Promise<number> => {
    const [row] = await database.query<{ value: number | null }>(text, [mostCounted])
    return row?.value ?? 0
  }
  const split = async (text: string): Promise<{ going: number; held: number }> => {
    const [row] = await database.query<{ going: number; held: number }>(text, [mostCounted])
    return row ?? { going: 0, held: 0 }
  }
  const age = async (text: string): Promise<number> => {
    const [row] = await database.query<{ since: number | null }>(text, [mostCounted])
    return row?.since == null ? 0 : Math.max(0, clock() - row.since) / 1000
  }
  return {
    async depth(): Promise<Record<Stage, number>> {
      const [toMatrix, ahead, fromMatrix, toGhosts] = await Promise.all([
        split(`select count(*) filter (where h.id is null) as going, count(h.id) as held
                 from (${outbox}) o left join (${heldPortals}) h on h.id = o.portal where o.kind <> '${heldKind}'`),
        number('select count(*) as value from (select from portal_ahead limit $1) as waiting'),
        split(`select count(*) filter (where u.matrix_room is null) as going, count(u.matrix_room) as held
                 from (${events}) e left join (${unansweredRooms}) u on u.matrix_room = e.room`),
        number('select count(*) as value from (select from ghost_inbox limit $1) as waiting'),
      ])
      return {
        'from-matrix': fromMatrix.going,
        // What was read ahead in groups waits for devices of ours, and for nobody's answer.
        'to-matrix': toMatrix.going + ahead,
        'to-ghosts': toGhosts,
        'for-people': toMatrix.held + fromMatrix.held,
      }
    },
    async oldest(): Promise<Record<'from-matrix' | 'to-matrix', number>> {
      const [fromMatrix, toMatrix, ahead] = await Promise.all([
        age(`select received_at as since from (${events}) e
              where not exists (select from (${unansweredRooms}) u where u.matrix_room = e.room) order by id limit 1`),
        // What waited for somebody waits for us only since they came.
        age(`select greatest(f.created_at, p.held_until) as since
               from (select portal, created_at from (${outbox}) o
                      where kind <> '${heldKind}' and not exists (select from (${heldPortals}) h where h.id = o.portal)
                      order by id limit 1) f join portal p on p.id = f.portal`),
        age('select created_at as since from portal_ahead order by id limit least(1, $1::int8)'),
      ])
      return { 'from-matrix': fromMatrix, 'to-matrix': Math.max(toMatrix, ahead) }
    },
  }
}
