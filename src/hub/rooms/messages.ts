import { toHex } from '../../crypto/index.ts'
import type { Transaction } from '../../store/index.ts'
import { refuseDirectMessage, type Standing } from '../contact.ts'
import type { Asker, HubContext } from '../context.ts'
import { HubError } from '../errors.ts'
import { pendingProposals } from './removals.ts'
import { type Accepted, appendMessages, lockRoom, type RoomRow, readEarlier, readPlace, wakeAgain } from './rows.ts'
import { acceptByWriting } from './standing.ts'
import { type MessagesSubmission, readMessageHead } from './submissions.ts'

/**
 * Puts application messages (MLS PrivateMessage) of one device into a room's log, in their order. In one transaction: the
 * idempotency keys first, then the epoch, pending removals, the policy; nothing of any of them is visible unless all of it
 * holds for all that are new. Whoever writes into a stranger's room has accepted it.
 *
 * Errors: malformed, too-large, not-found, not-allowed, wrong-epoch, pending-proposal, blocked, not-opted-in,
 * request-limit, unlinked.
 */
export async function submitMessages(
  ctx: HubContext,
  asker: Asker,
  { room: id, messages }: MessagesSubmission,
): Promise<Accepted[]> {
  const epoch = readHeads(ctx, id, messages)
  const outcome = await ctx.database.transaction(async (tx) => {
    const keys = messages.map(({ key }) => key)
    // Asked for at once: what comes after the lock sees what its holder before us has done.
    const [room, place, earlier, partners] = await Promise.all([
      lockRoom(tx, id),
      readPlace(tx, id, asker, messages[0].key),
      messages.length > 1 ? readEarlier(tx, id, asker.device, keys) : new Map<string, Accepted>(),
      readPartners(tx, id, asker),
    ])
    if (!room) throw new HubError('not-found')
    const pair = room.kind === 'direct' || room.kind === 'guest'
    if (place.earlier) earlier.set(toHex(messages[0].key), place.earlier)
    const fresh = messages.filter(({ key }) => !earlier.has(toHex(key)))
    if (fresh.length < messages.length) await wakeAgain(ctx, tx, room.no)
    if (fresh.length > 0) {
      if (place.unlinked) throw new HubError('unlinked')
      if (place.standing === undefined) throw new HubError('not-found')
      if (place.leaf === undefined || place.standing === 'declined' || place.standing === 'left')
        throw new HubError('not-allowed')
      if (room.kind === 'guest' && fresh.some(({ message }) => message.length > ctx.settings.guestMessageBytes))
        throw new HubError('too-large')
      if (epoch !== room.epoch) throw new HubError('wrong-epoch', { epoch: room.epoch })
      if (place.removals) return { pendingIn: room.no }
      if (pair) checkPartners(tx, room, partners, fresh.length)
      else if (room.has_edge) await checkOptIns(tx, room, asker)
      if (place.standing === 'requested') await acceptByWriting(ctx, tx, room, asker)
      const accepted = appendMessages(ctx, tx, room, asker.device, fresh)
      for (const [index, { key }] of fresh.entries()) earlier.set(toHex(key), accepted[index]!)
    }
    return messages.map(({ key }) => earlier.get(toHex(key))!)
  })
  if ('pendingIn' in outcome)
    throw new HubError('pending-proposal', { proposals: await pendingProposals(ctx, outcome.pendingIn) })
  return outcome
}

/** The epoch that all of them are of. */
function readHeads(ctx: HubContext, room: string, messages: MessagesSubmission['messages']): number {
  if (messages.length > ctx.settings.messagesAtOnce) throw new HubError('malformed')
  const epochs = new Set(messages.map((message) => readMessageHead(ctx, { room, ...message })))
  const keys = new Set(messages.map(({ key }) => toHex(key)))
  const [epoch] = epochs
  if (epoch === undefined || epochs.size > 1 || keys.size < messages.length) throw new HubError('malformed')
  return epoch
}

interface Partner {
  account: string
  standing: Standing
  allowance: number
  blocks: boolean
  opted_in: boolean
}

/** The other account of a room of two, and what stands between the two; of other rooms nothing. */
function readPartners(tx: Transaction, room: string, asker: Asker): Promise<Partner[]> {
  return tx.query<Partner>(
    `select m.account, m.standing, m.allowance,
            exists (select 1 from hub.block b
                     where (b.owner = m.account and b.blocked = $2) or (b.owner = $2 and b.blocked = m.account)) as blocks,
            (me.kind <> 'edge' or exists (select 1 from hub.reachability r
                                           where r.account = m.account and r.network = me.network))
              and (a.kind <> 'edge' or exists (select 1 from hub.reachability r
                                                where r.account = $2 and r.network = a.network)) as opted_in
       from hub.room r
       join hub.member m on m.room_no = r.no and m.account <> $2
       join hub.account a on a.address = m.account
       join hub.account me on me.address = $2
      where r.id = $1 and r.kind in ('direct', 'guest')`,
    [room, asker.account],
  )
}

/** It may have blocked, left, declined, opted out, or not yet accepted. */
function checkPartners(tx: Transaction, room: RoomRow, partners: readonly Partner[], messages: number): void {
  for (const partner of partners) {
    const refused = refuseDirectMessage({
      standing: partner.standing,
      allowance: partner.allowance,
      blocksOrBlocked: partner.blocks,
      optedIn: partner.opted_in,
    })
    if (refused) throw new HubError(refused)
    if (partner.standing !== 'requested') continue
    // Its sender tries again with fewer.
    if (partner.allowance < messages) throw new HubError('request-limit')
    tx.write('update hub.member set allowance = allowance - $3 where room_no = $1 and account = $2', [
      room.no,
      partner.account,
      messages,
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
