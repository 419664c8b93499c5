import { textMessage } from '../../content/index.ts'
import type { RoomId } from '../../identity/index.ts'
import type { PortalContext } from './context.ts'
import type { MatrixUser } from './users.ts'
import { words } from './words.ts'

/**
 * Groups do not reach Matrix yet. Who is brought into one by the messenger says so there and leaves, so that its members
 * see that nobody on Matrix reads them. Also when that was broken off: each time the device has caught up.
 */
export function leaveGroups(context: Pick<PortalContext, 'counters' | 'log'>, { device }: MatrixUser) {
  const leaving = new Set<RoomId>()
  const leave = async (room: RoomId) => {
    if (leaving.has(room)) return
    leaving.add(room)
    try {
      // That they are told is worth a try; that the Matrix user is gone must not depend on it.
      await device
        .send(room, textMessage({ plain: words.noGroups() }))
        .then(({ accepted }) => accepted)
        .catch(() => {})
      await device.leave(room)
      context.counters.count('refused', { way: 'from-messenger', code: 'unsupported' })
    } catch {
      context.log.warn({ code: 'unsupported' }, 'a group could not be left; tried again when the device is back')
    } finally {
      leaving.delete(room)
    }
  }
  device.on('room', ({ id, kind, joined, standing }) => {
    // Not within the handler: the room is held by it.
    if (kind === 'group' && joined && standing !== 'left') setImmediate(() => void leave(id))
  })
  device.on('caughtUp', async () => {
    for (const { id, kind, joined, standing } of await device.rooms())
      if (kind === 'group' && joined && standing !== 'left') void leave(id)
  })
}
