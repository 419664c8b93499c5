import type { Transaction } from '../../store/index.ts'
import type { GhostId } from '../matrix/ghosts.ts'
import type { PortalContext } from './context.ts'
import { goFrom } from './matrix-room.ts'
import type { Portal } from './portal-table.ts'

/** Notes that a ghost is to leave a room, in the transaction after which the room is not the portal's. */
export async function departLater(tx: Transaction, portal: number, ghost: GhostId, matrixRoom: string): Promise<void> {
  await tx.query(
    'insert into portal_departure (portal, ghost, matrix_room) values ($1, $2, $3) on conflict do nothing',
    [portal, ghost, matrixRoom],
  )
}

/** Leaves what is to be left. May be repeated. */
export async function depart(context: PortalContext, { id, account }: Portal): Promise<void> {
  const { database, users } = context
  const rows = await database.query<{ ghost: GhostId; matrix_room: string }>(
    'select ghost, matrix_room from portal_departure where portal = $1 order by matrix_room',
    [id],
  )
  if (rows.length === 0) return
  const mxid = await users.mxidOf(database, account)
  for (const { ghost, matrix_room: room } of rows) {
    await goFrom(context, ghost, room, mxid)
    await database.query('delete from portal_departure where portal = $1 and matrix_room = $2', [id, room])
  }
}
