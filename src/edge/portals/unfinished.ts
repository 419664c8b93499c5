import type { AccountAddress } from '../../identity/index.ts'
import type { Queryable } from '../../store/index.ts'

/** What shows that a portal of two was left in the middle of something; the condition of the index portal_unfinished. */
const halfOpen = `kind = 'direct' and (
  (state <> 'ended' and (room is null or matrix_room is null or not user_in))
  or (state = 'open' and peer_name is not null and shown_name is null))`

/**
 * Portals that a stop, orderly or not, may have left in the middle of something: all, or those of one Matrix user.
 *
 * Each part is an index that holds such portals alone, or a table of what waits, so a start costs what is unfinished and not
 * what there is. With 50,000 portals and 5,000 groups, 50 unfinished, `explain analyze` shows index-only scans of
 * portal_unfinished (50 rows), portal_to_leave, group_portal_unfinished and portal_message_unreported, and for one user
 * index scans of portal_account_peer_key (his 25) and group_account_of; no sequential scan of portals.
 *
 * @param askedSince requests that were made after this time and may have been answered meanwhile (ms since the epoch): an
 *   answer that came while nobody watched waits for the device to ask. Of one user's device that was opened it has been asked.
 */
export async function unfinished(
  on: Queryable,
  of: { account: AccountAddress } | { askedSince: number },
): Promise<number[]> {
  const rows =
    'askedSince' in of
      ? await on.query<{ id: number }>(
          `select id from portal where ${halfOpen}
           union select id from portal where state = 'ended' and matrix_room is not null
           union select id from portal where kind = 'direct' and state = 'requested' and changed_at > $1
           union select portal from group_portal where worked < changes
           union select portal from portal_outbox
           union select portal from portal_ahead
           union select portal from portal_departure
           union select portal from portal_read
           union select portal from portal_message where not reported and not from_matrix
           order by id`,
          [of.askedSince],
        )
      : await on.query<{ id: number }>(
          `select p.id from portal p
            where account = $1 and ((${halfOpen}) or (state = 'ended' and matrix_room is not null)
              or exists (select 1 from portal_outbox o where o.portal = p.id)
              or exists (select 1 from portal_departure d where d.portal = p.id)
              or exists (select 1 from portal_read r where r.portal = p.id)
              or exists (select 1 from portal_message m where m.portal = p.id and not m.reported and not m.from_matrix))
           union
           select a.portal from group_account a join group_portal g on g.portal = a.portal
            where a.account = $1 and (g.worked < g.changes
              or exists (select 1 from portal_outbox o where o.portal = a.portal)
              or exists (select 1 from portal_ahead h where h.portal = a.portal)
              or exists (select 1 from portal_read r where r.portal = a.portal))
           order by id`,
          [of.account],
        )
  return rows.map(({ id }) => id)
}

/**
 * Portals in which a message for Matrix has waited since before this time (ms since the epoch). Only what is that old is read:
 * ids grow with time, and the search ends at the first row that is younger.
 */
export async function overdue(on: Queryable, since: number): Promise<number[]> {
  const rows = await on.query<{ portal: number }>(
    `select distinct portal from portal_outbox
      where kind = 'message' and created_at < $1
        and id < coalesce((select id from portal_outbox where created_at >= $1 order by id limit 1), $2)`,
    [since, Number.MAX_SAFE_INTEGER],
  )
  return rows.map(({ portal }) => portal)
}
