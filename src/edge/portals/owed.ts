import type { Queryable } from '../../store/index.ts'
import type { PortalContext } from './context.ts'
import type { OpenPortal } from './portal-table.ts'
import { tellHeld } from './reports.ts'
import { showCapabilities, tellRead } from './telling.ts'

/** What a portal may have to do besides sending. Nearly always it is nothing, so all of it is one look-up. */
export interface Owed {
  /** Outcomes that wait, or messages whose arrival is still to be told. */
  readonly reports: boolean
  /** The messenger's people have read something. */
  readonly read: boolean
  /** A ghost has a room to leave. */
  readonly departures: boolean
  /** What was said last in the Matrix room of what crosses. */
  readonly shown: string | undefined
}

/** Each part is an index that holds what waits alone, or the key of its table. */
export async function owedBy(on: Queryable, portal: number): Promise<Owed> {
  const [row] = await on.query<{ reports: boolean; read: boolean; departures: boolean; shown: string | null }>(
    `select exists (select 1 from portal_outbox where portal = $1 and kind = 'outcome')
         or exists (select 1 from portal_message where portal = $1 and not reported and not from_matrix) as reports,
       exists (select 1 from portal_read where portal = $1) as read,
       exists (select 1 from portal_departure where portal = $1) as departures,
       (select what from portal_told where portal = $1 and what like 'capabilities-%' limit 1) as shown`,
    [portal],
  )
  const { reports = false, read = false, departures = false, shown } = row ?? {}
  return { reports, read, departures, shown: shown ?? undefined }
}

/** Tells what a portal owes to either side. */
export async function tellOwed(context: PortalContext, portal: OpenPortal, owed: Owed): Promise<void> {
  if (owed.reports) await tellHeld(context, portal)
  await showCapabilities(context, portal, owed.shown)
  if (owed.read) await tellRead(context, portal)
}
