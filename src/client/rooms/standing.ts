import type { RoomUpdated } from '../../protocol/index.ts'
import { standingOf } from '../connection/wire-values.ts'
import type { Context } from '../context.ts'
import type { RoomWork } from '../state/room-work.ts'
import { tellRoom } from './announce.ts'

/** What the provider says of an account's standing in a room that is known here. */
export async function receiveUpdate(context: Context, work: RoomWork, event: RoomUpdated): Promise<void> {
  const { record } = work
  if (!record) return
  const standing = standingOf(event.standing)
  if (event.account === context.self.address) {
    if (record.standing === standing) return
    work.update({ standing })
    // Over, and the provider has nothing of it any more.
    if (record.kind === 'guest' && standing === 'left') {
      work.update({ joined: false, enter: false })
      work.forgetGroup()
    }
  } else {
    if (record.otherStanding === standing) return
    work.update({ answered: standing === 'accepted', otherStanding: standing })
  }
  await tellRoom(context, work)
}
