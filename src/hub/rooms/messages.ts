import type { Transaction } from '../../store/index.ts'
import { refuseDirectMessage, type Standing } from '../contact.ts'
import type { Asker, HubContext } from '../context.ts'
import { HubError } from '../errors.ts'
import { pendingProposals } from './removals.ts'
import { type Accepted, append, lockRoom, nextTime, type RoomRow, readPlace } from './rows.ts'
import { acceptByWriting } from './standing.ts'
import { type MessageSubmission, readMessageHead } from './submissions.ts'

/**
 * Puts an application message (MLS PrivateMessage) into a room's log. In one transaction: the idempotency key first, then
 * the epoch, pending removals, the policy; nothing of it is visible unless all of it holds. Whoever writes into a
 * stranger's room has accepted it.
 *
 * Errors: malformed, too-large, not-found, not-allowed, wrong-epoch, pending-proposal, blocked, not-opted-in,
 * request-limit, unlinked.
 */
export async function submitMessage(ctx: HubContext, asker: Asker, submission: MessageSubmission): Promise<Accepted> {
  const epoch = readMessageHead(ctx, submission)
  const outcome = await ctx.database.transaction(async (tx) => {
    const room = await lockRoom(tx, submission.room)
    if (!room) throw new HubError('not-found')
    const place = await readPlace(tx, room.no, asker, submission.key)
    if (place.earlier) return place.earlier
    if (place.unlinked) throw new HubError('unlinked')
    if (place.standing === undefined) throw new HubError('not-found')
    if (place.leaf === undefined || place.standing === 'declined' || place.standing === 'left')
      throw new HubError('not-allowed')
    if (room.kind === 'guest' && submission.message.length > ctx.settings.guestMessageBytes)
      throw new HubError('too-large')
    if (epoch !== room.epoch) throw new HubError('wrong-epoch', { epoch: room.epoch })
    if (place.removals) return { pendingIn: room.no }
    if (room.kind === 'direct' || room.kind === 'guest') await checkPartner(tx, room, asker)
    else if (room.has_edge) await checkOptIns(tx, room, asker)
    if (place.standing === 'requested') await acceptByWriting(ctx, tx, room, asker)
    return append(ctx, tx, room, {
      kind: 'message',
      body: submission.message,
      at: nextTime(ctx, room),
      by: { device: asker.device, key: submission.key },
    })
  })
  if ('pendingIn' in outcome)
    throw new HubError('pending-proposal', { proposals: await pendingProposals(ctx, outcome.pendingIn) })
  return outcome
}

/** The other account of a direct room may have blocked, left, declined, opted out, or not yet accepted. */
async function checkPartner(tx: Transaction, room: RoomRow, asker: Asker): Promise<void> {
  const partners = await tx.query<{
    account: string
    standing: Standing
    allowance: number
    blocks: boolean
    opted_in: boolean
  }>(
    `select m.account, m.standing, m.allowance,
            exists (select 1 from hub.block b
                     where (b.owner = m.account and b.blocked = $2) or (b.owner = $2 and b.blocked = m.account)) as blocks,
            (me.kind <> 'edge' or exists (select 1 from hub.reachability r
                                           where r.account = m.account and r.network = me.network))
              and (a.kind <> 'edge' or exists (select 1 from hub.reachability r
                                                where r.account = $2 and r.network = a.network)) as opted_in
       from hub.member m
       join hub.account a on a.address = m.account
       join hub.account me on me.address = $2
      where m.room_no = $1 and m.account <> $2`,
    [room.no, asker.account],
  )
  for (const partner of partners) {
    const refused = refuseDirectMessage({
      standing: partner.standing,
      allowance: partner.allowance,
      blocksOrBlocked: partner.blocks,
      optedIn: partner.opted_in,
    })
    if (refused) throw new HubError(refused)
    if (partner.standing === 'requested')
      await tx.query('update hub.member set allowance = allowance - 1 where room_no = $1 and account = $2', [
        room.no,
        partner.account,
      ])
  }
}

/**
 * In a group with accounts behind an edge: a person writes only while opted in to all their networks, an edge only while
 * every person in the group is opted in to its own. Otherwise words would cross to or from a person who said no.
 */
async function checkOptIns(tx: Transaction, room: RoomRow, asker: Asker): Promise<void> {
  const [row] = await tx.query<{ refused: boolean }>(
    `select exists (
       select 1 from hub.member m join hub.account a on a.address = m.account
        where m.room_no = $1 and m.standing in ('requested', 'accepted') and m.account <> $2
          and ((a.kind = 'edge' and $3 <> 'edge' and not exists (
                  select 1 from hub.reachability r where r.account = $2 and r.network = a.network))
            or (a.kind <> 'edge' and $3 = 'edge' and not exists (
                  select 1 from hub.reachability r where r.account = m.account and r.network = $4)))) as refused`,
    [room.no, asker.account, asker.accountKind, asker.network ?? ''],
  )
  if (row?.refused) throw new HubError('not-opted-in')
}
