import { decodeRoster, rosterDocuments } from '../../identity/index.ts'
import type { Transaction } from '../../store/index.ts'
import { answeredAt } from '../consent.ts'
import type { Standing } from '../contact.ts'
import type { Asker, HubContext } from '../context.ts'
import { HubError } from '../errors.ts'
import { endGuests } from '../guests/end.ts'
import { wake } from '../wake-ups.ts'
import { proposeInRoom } from './removals.ts'
import { lockRoom, type RoomKind, type RoomRow, wakeMembers } from './rows.ts'

export interface RoomSummary {
  room: string
  kind: RoomKind
  standing: Standing
  epoch: number
  /** Of the newest entry; 0 when there is none. */
  seq: number
  /** The asking device has a leaf. */
  joined: boolean
  /** How the other account of a direct or a guest's room has answered, once it has. */
  other: Standing | null
  /** Entries with numbers between these two are lost, since the database was put back from a backup; 0: it never was. */
  lostAfter: number
  lostBefore: number
  /** The same for each time that it was put back, the oldest first; what lies between two of these is there. */
  lost: { after: number; before: number }[]
}

/** The rooms of the asking account, those that it has left too. */
export async function listRooms(ctx: HubContext, asker: Asker): Promise<RoomSummary[]> {
  return ctx.database.query<RoomSummary>(
    `select r.id as room, r.kind, m.standing, r.epoch, r.next_seq - 1 as seq, x.leaf is not null as joined,
            (select o.standing from hub.member o
              where r.kind in ('direct', 'guest') and o.room_no = r.no and o.account <> $1
                and o.standing <> 'requested' limit 1) as other,
            coalesce(r.lost_after, 0) as "lostAfter", coalesce(r.lost_before, 0) as "lostBefore",
            case when r.lost_before is null then '[]'::json else (
              select json_agg(json_build_object('after', l.after_seq, 'before', l.before_seq) order by l.after_seq)
                from hub.lost l where l.room_no = r.no) end as lost
       from hub.member m
       join hub.room r on r.no = m.room_no
       left join hub.mailbox x on x.room_no = m.room_no and x.device_id = $2
      where m.account = $1 order by m.room_no`,
    [asker.account, asker.device],
  )
}

export interface JoinDocuments {
  groupInfo: Uint8Array
  /** The manifests in force, of all accounts in the group. */
  manifests: Uint8Array[]
  /** Of the commit that made the epoch. */
  seq: number
  at: number
  /** Of a guest's room: the link by which it began; a hint at which pre-shared key is meant, no proof. */
  invite: string
}

/** What a device of a member needs to join by external commit. Errors: not-found, unlinked. */
export async function getGroupInfo(ctx: HubContext, asker: Asker, room: string): Promise<JoinDocuments> {
  const [row] = await ctx.database.query<{
    group_info: Uint8Array
    roster: Uint8Array
    seq: number
    at: number
    unlinked: boolean
    invite: string
  }>(
    `select g.group_info, g.roster, g.seq, g.at, coalesce(i.invite, '') as invite, d.unlinked_at is not null as unlinked
       from hub.room r
       join hub.room_group g on g.room_no = r.no
       join hub.member m on m.room_no = r.no and m.account = $2 and m.standing <> 'left'
       join hub.device d on d.device_id = $3
       left join hub.guest i on i.room_no = r.no
      where r.id = $1`,
    [room, asker.account, asker.device],
  )
  if (!row) throw new HubError('not-found')
  if (row.unlinked) throw new HubError('unlinked')
  const manifests = rosterDocuments(decodeRoster(row.roster))
  return { groupInfo: row.group_info, manifests, seq: row.seq, at: row.at, invite: row.invite }
}

export interface StandingNews {
  room: string
  kind: RoomKind
  account: string
  standing: Standing
}

/** Who stands where in a room, as the asker may know it: of others in a direct room how they answered, or that they left. */
export async function readStandings(ctx: HubContext, asker: Asker, roomNo: number): Promise<StandingNews[]> {
  return ctx.database.query<StandingNews>(
    `select r.id as room, r.kind, m.account, m.standing
       from hub.room r
       join hub.member mine on mine.room_no = r.no and mine.account = $2
       join hub.member m on m.room_no = r.no
      where r.no = $1
        and (m.account = $2 or (r.kind in ('direct', 'guest') and m.standing in ('accepted', 'declined', 'left')))`,
    [roomNo, asker.account],
  )
}

/**
 * The asking account accepts or declines a room. Who accepts a direct room consents to the other account from then on.
 *
 * Errors: not-found, not-allowed.
 */
export async function answerRoom(ctx: HubContext, asker: Asker, roomId: string, accept: boolean): Promise<void> {
  const outcome = await ctx.database.transaction(async (tx) => {
    const { room, standing } = await lockStanding(tx, asker, roomId)
    if (standing === 'left') throw new HubError('not-allowed')
    // Among many, declining is leaving: nobody should go on sending to somebody who does not read.
    if (!accept && (room.kind === 'group' || room.kind === 'guest')) return 'leave'
    await setStanding(ctx, tx, room, asker, accept ? 'accepted' : 'declined')
    return 'done'
  })
  if (outcome === 'leave') await leaveRoom(ctx, asker, roomId)
}

/** Whoever writes in a room, or tries to open a direct one that exists, wants it: that accepts it. The room is locked. */
export async function acceptByWriting(ctx: HubContext, tx: Transaction, room: RoomRow, asker: Asker): Promise<void> {
  const [member] = await tx.query<{ standing: Standing }>(
    'select standing from hub.member where room_no = $1 and account = $2',
    [room.no, asker.account],
  )
  if (member && member.standing !== 'accepted' && member.standing !== 'left')
    await setStanding(ctx, tx, room, asker, 'accepted')
}

/**
 * Takes the asking account out of a room. Delivery ends with this transaction; the hub proposes the removal of its
 * leaves, which whoever speaks next has to commit.
 *
 * Errors: not-found, not-allowed (self).
 */
export async function leaveRoom(ctx: HubContext, asker: Asker, roomId: string): Promise<void> {
  const roomNo = await ctx.database.transaction(async (tx) => {
    const { room, standing } = await lockStanding(tx, asker, roomId)
    if (room.kind === 'self') throw new HubError('not-allowed')
    if (standing === 'left') return undefined
    if (room.kind === 'guest') {
      await endGuests(ctx, tx, { room: room.no }, 'left')
      return undefined
    }
    await tx.query(
      `insert into hub.removal (room_no, device_id, account, leaf, manifest_number)
        select room_no, device_id, account, leaf, 0 from hub.mailbox
         where room_no = $1 and account = $2 and leaf is not null
        on conflict (room_no, device_id) do nothing`,
      [room.no, asker.account],
    )
    for (const table of ['mailbox', 'welcome'])
      await tx.query(
        `delete from hub.${table} where room_no = $1
            and device_id in (select device_id from hub.device where account = $2)`,
        [room.no, asker.account],
      )
    await tx.query("update hub.member set standing = 'left' where room_no = $1 and account = $2", [
      room.no,
      asker.account,
    ])
    await tx.query('delete from hub.direct_pair where room_no = $1', [room.no])
    if (room.kind !== 'group')
      await tx.query(
        `delete from hub.consent where owner = $2
            and peer in (select account from hub.member where room_no = $1 and account <> $2)`,
        [room.no, asker.account],
      )
    await wakeStanding(ctx, tx, room, asker)
    return (await deleteWhenEmpty(tx, room)) ? undefined : room.no
  })
  if (roomNo !== undefined) await proposeInRoom(ctx, roomNo)
}

async function lockStanding(tx: Transaction, asker: Asker, roomId: string) {
  const room = await lockRoom(tx, roomId)
  if (!room) throw new HubError('not-found')
  const [member] = await tx.query<{ standing: Standing }>(
    'select standing from hub.member where room_no = $1 and account = $2',
    [room.no, asker.account],
  )
  if (!member) throw new HubError('not-found')
  return { room, standing: member.standing }
}

async function setStanding(ctx: HubContext, tx: Transaction, room: RoomRow, asker: Asker, standing: Standing) {
  await tx.query('update hub.member set standing = $3 where room_no = $1 and account = $2', [
    room.no,
    asker.account,
    standing,
  ])
  if (standing === 'accepted' && room.kind === 'direct')
    await tx.query(
      `insert into hub.consent (owner, peer, state, at)
        select $2, account, 'granted', 0 from hub.member where room_no = $1 and account <> $2
        on conflict (owner, peer) do update set state = 'granted', at = ${answeredAt('$3')}`,
      [room.no, asker.account, ctx.clock()],
    )
  await wakeStanding(ctx, tx, room, asker)
}

/** Everybody in a direct room, and the devices of the account itself in any. */
async function wakeStanding(ctx: HubContext, tx: Transaction, room: RoomRow, asker: Asker): Promise<void> {
  if (room.kind !== 'group') await wakeMembers(ctx, tx, room)
  const own = await tx.query<{ device_id: string }>(
    'select device_id from hub.device where account = $1 and unlinked_at is null',
    [asker.account],
  )
  tx.afterCommit(() => {
    for (const { device_id } of own) wake(ctx.bus, device_id, { kind: 'standing', room: room.no })
  })
}

/** A room in which nobody is left has nobody to commit a removal. Its log goes with cleaning. */
async function deleteWhenEmpty(tx: Transaction, room: RoomRow): Promise<boolean> {
  const remaining = await tx.query('select from hub.mailbox where room_no = $1 and leaf is not null limit 1', [room.no])
  if (remaining.length > 0) return false
  for (const table of ['room_group', 'member', 'removal', 'mailbox', 'welcome', 'welcome_body', 'lost'])
    await tx.query(`delete from hub.${table} where room_no = $1`, [room.no])
  await tx.query('delete from hub.room where no = $1', [room.no])
  return true
}
