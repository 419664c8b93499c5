import { transactionId } from '../matrix/find-sent.ts'
import { type GhostId, isUnreadable } from '../matrix/ghosts.ts'
import { isHomeserverError } from '../matrix/homeserver.ts'
import { asGhost, type PortalContext } from './context.ts'

/** As `sayInRoom`; a room in which nobody could hear it, or where it may not be said, is left in silence. */
export async function sayIfPossible(...[context, ...what]: Parameters<typeof sayInRoom>): Promise<void> {
  try {
    await sayInRoom(context, ...what)
  } catch (error) {
    const refused = isHomeserverError(error) && !error.retry && error.status !== 401
    if (!refused && !isUnreadable(error)) throw error
  }
}

/**
 * Says a sentence as a ghost (or the bot) in a room that has no outbox: encrypted where the room is. The same `cause` in
 * the same room says it once, as long as the homeserver remembers.
 */
export async function sayInRoom(
  context: Pick<PortalContext, 'homeserver' | 'ghosts'>,
  ghost: GhostId,
  room: string,
  said: string | { body: string; formatted_body: string },
  cause: string,
): Promise<void> {
  const { homeserver, ghosts } = context
  const as = await asGhost(context, ghost)
  const words = typeof said === 'string' ? { body: said } : { ...said, format: 'org.matrix.custom.html' }
  const content = { msgtype: 'm.notice', ...words, 'm.mentions': {} }
  const transaction = transactionId(ghost, cause.replace(/[^A-Za-z0-9_-]/g, ''), 'said')
  const encryption = await homeserver.getState(as, room, 'm.room.encryption')
  if (encryption === undefined) {
    await homeserver.putEvent(as, room, 'm.room.message', transaction, content)
    return
  }
  const members = Object.keys(await homeserver.joinedMembers(as, room))
  const sealed = await ghosts.encrypt(ghost, room, 'm.room.message', content, members)
  await homeserver.putEvent(as, room, 'm.room.encrypted', transaction, sealed)
}
