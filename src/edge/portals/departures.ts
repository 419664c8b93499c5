import type { AccountAddress } from '../../identity/index.ts'
import type { Transaction } from '../../store/index.ts'
import type { GhostId } from '../matrix/ghosts.ts'
import type { PortalContext } from './context.ts'
import { goFrom } from './matrix-room.ts'

/** Notes that a ghost is to leave a room, in the transaction after which the room is not the portal's. */
export async function departLater(tx: Transaction, portal: number, ghost: GhostId, matrixRoom: string): Promise<void> {
  await tx.query(
    'insert into portal_departure (portal, ghost, matrix_room) values ($1, $2, $3) on conflict do nothing',
    [portal, ghost, matrixRoom],
  )
}

/** Leaves what is to be left. May be repeated. @param account of a portal of two: whose unanswered invitation is taken back */
export async function depart(
  context: PortalContext,
  { id, account }: { id: number; account?: AccountAddress },
): Promise<void> {
  const { database, users } = context
  const rows = await database.query<{ ghost: GhostId; matrix_room: string }>(
    'select ghost, matrix_room from portal_departure where portal = $1 order by matrix_room, ghost',
    [id],
  )
  if (rows.length === 0) return
  const mxid = account && (await users.mxidOf(database, account))
  for (const { ghost, matrix_room: room } of rows) {
    await goFrom(context, ghost, room, mxid)
    await database.query('delete from portal_departure where portal = $1 and matrix_room = $2 and ghost = $3', [
      ...[id, room, ghost],
    ])
  }
}
