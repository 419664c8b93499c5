import { type Homeserver, isHomeserverError, type Json, type Masquerade } from './homeserver.ts'
import type { MatrixSettings } from './settings.ts'

/**
 * What was written into a room after an invitation of one of ours and before that one had joined, oldest first. The homeserver
 * pushes it to nobody: it tells us of rooms that one of ours is in. People write at once, and we may have been down. Some
 * of it may have been pushed all the same, when the join was noted in between. Nothing where we may not look: a room
 * whose history is for those alone who were in it.
 *
 * @param as who was invited, and has joined
 * @param from whose words are looked for
 * @param since the event id of the invitation
 * @throws HomeserverError that is worth a retry
 */
export async function missedEvents(
  homeserver: Pick<Homeserver, 'messages'>,
  { as, room, from: isOf, since }: { as: Masquerade; room: string; from(sender: string): boolean; since: string },
  settings: Pick<MatrixSettings, 'findPages'>,
): Promise<Json[]> {
  const missed: Json[] = []
  let joined = false
  let from: string | undefined
  for (let page = 0; page < settings.findPages; page++) {
    const { chunk, end } = await homeserver.messages(as, room, from).catch((error: unknown) => {
      if (!isHomeserverError(error) || error.retry || error.status === 401) throw error
      return { chunk: [], end: undefined }
    })
    for (const event of chunk) {
      if (event.event_id === since) return missed.reverse()
      if (joined && event.state_key === undefined && isOf(String(event.sender)))
        missed.push({ ...event, room_id: room })
      if (event.type === 'm.room.member' && event.state_key === as.user) joined = true
    }
    if (end === undefined) break
    from = end
  }
  return missed.reverse()
}
