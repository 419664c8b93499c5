import type { Asker, HubContext } from '../context.ts'
import { HubError } from '../errors.ts'
import { wake } from '../wake-ups.ts'

/**
 * Hands an ephemeral frame to the connected devices of the other accounts that have accepted the room. Nothing is stored
 * or counted. Where a message would be refused the frame is dropped without a word: that a frame was not shown is no
 * news to anybody.
 *
 * Errors: malformed, too-large, not-found, not-allowed.
 */
export async function sendEphemeral(ctx: HubContext, asker: Asker, roomId: string, frame: Uint8Array): Promise<void> {
  if (frame.length === 0) throw new HubError('malformed')
  if (frame.length > ctx.settings.ephemeralBytes) throw new HubError('too-large')
  const [room] = await ctx.database.query<{ no: number; standing: string; in_it: boolean; held: boolean }>(
    `select r.no, m.standing, x.leaf is not null as in_it,
            exists (select 1 from hub.removal where room_no = r.no) as held
       from hub.room r
       join hub.member m on m.room_no = r.no and m.account = $2
       left join hub.mailbox x on x.room_no = r.no and x.device_id = $3
      where r.id = $1`,
    [roomId, asker.account, asker.device],
  )
  if (!room) throw new HubError('not-found')
  if (!room.in_it || room.standing !== 'accepted') throw new HubError('not-allowed')
  // A device that has to go could read it still.
  if (room.held) return
  const readers = await ctx.database.query<{ device_id: string }>(
    `select x.device_id from hub.mailbox x
       join hub.member m on m.room_no = x.room_no and m.account = x.account and m.standing = 'accepted'
       join hub.account a on a.address = x.account
      where x.room_no = $1 and x.leaf is not null and x.account <> $2
        and not exists (select 1 from hub.block b
                         where (b.owner = x.account and b.blocked = $2) or (b.owner = $2 and b.blocked = x.account))
        and (a.kind <> 'edge' or $3 = 'edge' or exists (
              select 1 from hub.reachability p where p.account = $2 and p.network = a.network))
        and (a.kind = 'edge' or $3 <> 'edge' or exists (
              select 1 from hub.reachability p where p.account = x.account and p.network = $4))
      limit $5`,
    [room.no, asker.account, asker.accountKind, asker.network ?? '', ctx.settings.ephemeralReaders + 1],
  )
  if (readers.length > ctx.settings.ephemeralReaders) return
  for (const { device_id } of readers) wake(ctx.bus, device_id, { kind: 'ephemeral', roomId, frame })
}
