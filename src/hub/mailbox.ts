import type { DeviceId, RoomId } from '../identity/index.ts'
import type { Standing } from './contact.ts'
import type { HubContext } from './context.ts'
import { unpackDocuments } from './documents.ts'
import type { RoomKind } from './rooms/rows.ts'

export interface Entry {
  room: RoomId
  seq: number
  kind: 'message' | 'commit' | 'proposal'
  message: Uint8Array
  /** The log's time, milliseconds since the epoch. */
  at: number
  /** With the proposal of a removal: the manifest that the committer puts in force. */
  manifests: Uint8Array[]
  /** Submitted by the device that reads. */
  own: boolean
}

export interface WelcomeEntry {
  no: number
  room: RoomId
  kind: RoomKind
  welcome: Uint8Array
  manifests: Uint8Array[]
  seq: number
  at: number
  standing: Standing
  inviter: string
}

const kinds = { 1: 'message', 2: 'commit', 3: 'proposal' } as const

/** Numbers of rooms that hold entries which the device has not acknowledged, ascending, after the room `after`. */
export async function roomsWithNews(ctx: HubContext, device: DeviceId, after: number, limit: number) {
  const rows = await ctx.database.query<{ room_no: number }>(
    `select m.room_no from hub.mailbox m join hub.room r on r.no = m.room_no
      where m.device_id = $1 and m.room_no > $2 and least(r.next_seq - 1, coalesce(m.until_seq, r.next_seq)) > m.acked
      order by m.room_no limit $3`,
    [device, after, limit],
  )
  return rows.map((row) => row.room_no)
}

/**
 * The entries of a room after `after` that the device has not acknowledged, in order, bounded in number and bytes (at
 * least one), and whether there may be more than these. None for a device that is no longer in the room.
 *
 * `unread`: the room has a Welcome for the device that is neither acknowledged nor among `underWay`. It goes before these
 * entries: a device that knows nothing of the room yet would acknowledge them and could never read them.
 */
export async function readRoom(
  ctx: HubContext,
  device: DeviceId,
  roomNo: number,
  after: number,
  underWay: readonly number[] = [],
): Promise<{ entries: Entry[]; more: boolean; unread: boolean }> {
  const { readEntries, readBytes } = ctx.settings
  const rows = await ctx.database.query<{
    id: RoomId
    seq: number
    kind: keyof typeof kinds
    at: number
    body: Uint8Array
    manifest: Uint8Array | null
    own: boolean
    found: number
    unread: boolean
  }>(
    `select id, seq, kind, at, body, manifest, own, found,
            -- By the device's index: a room may have a Welcome for each of thousands.
            exists (select 1 from hub.welcome w
                     where w.device_id = $1 and w.room_no + 0 = $2 and w.no <> all($6::int8[])) as unread
       from (select *, row_number() over (order by seq) as place, count(*) over () as found,
                    (sum(octet_length(body)) over (order by seq))::int8 as bytes
               from (select r.id, l.seq, l.kind, l.at, l.body, l.manifest, coalesce(l.device_id = $1, false) as own
                       from hub.mailbox m
                       join hub.room r on r.no = m.room_no
                       join hub.log l on l.room_no = m.room_no
                      where m.device_id = $1 and m.room_no = $2
                        and l.seq > greatest($3::int8, m.acked)
                        and l.seq <= coalesce(m.until_seq, r.next_seq)
                      order by l.seq limit $4) as next) as counted
      where place = 1 or bytes <= $5
      order by seq`,
    [device, roomNo, after, readEntries, readBytes, underWay],
  )
  const entries = rows.map(
    (row): Entry => ({
      room: row.id,
      seq: row.seq,
      kind: kinds[row.kind],
      message: row.body,
      at: row.at,
      manifests: row.manifest ? [row.manifest] : [],
      own: row.own,
    }),
  )
  const more = rows.length === readEntries || (rows[0]?.found ?? 0) > rows.length
  return { entries, more, unread: rows[0]?.unread ?? false }
}

/**
 * The Welcomes for a device that it has not acknowledged, without those under way to it, in the order of their numbers.
 * Not "after the last one read": a number is drawn before the commit, so of two rooms the one with the smaller number may
 * be committed later.
 */
export async function readWelcomes(
  ctx: HubContext,
  device: DeviceId,
  underWay: readonly number[],
): Promise<WelcomeEntry[]> {
  const rows = await ctx.database.query<{
    no: number
    id: RoomId
    kind: RoomKind
    welcome: Uint8Array
    manifests: Uint8Array
    seq: number
    at: number
    standing: Standing
    inviter: string
  }>(
    `select w.no, r.id, r.kind, b.welcome, b.manifests, b.seq, b.at, m.standing, w.inviter
       from hub.welcome w
       join hub.welcome_body b on b.room_no = w.room_no and b.seq = w.seq
       join hub.room r on r.no = w.room_no
       join hub.mailbox x on x.device_id = w.device_id and x.room_no = w.room_no
       join hub.member m on m.room_no = w.room_no and m.account = x.account
      where w.device_id = $1 and w.no <> all($2::int8[])
      order by w.no limit 8`,
    [device, underWay],
  )
  return rows.map(({ id, manifests, ...row }) => ({
    ...row,
    room: id,
    manifests: unpackDocuments(manifests),
  }))
}

/**
 * Takes note of what a device has stored for good. Numbers beyond the log, or of rooms it is not in, are ignored.
 *
 * @returns the rooms whose log may have become shorter
 */
export async function acknowledge(
  ctx: HubContext,
  device: DeviceId,
  cursors: readonly { room: string; seq: number }[],
  welcomes: readonly number[],
): Promise<number[]> {
  const furthest = new Map<string, number>()
  for (const { room, seq } of cursors) furthest.set(room, Math.max(seq, furthest.get(room) ?? 0))
  if (welcomes.length > 0)
    // The last one to have it takes the body along; of two at the same moment neither does, and its age will.
    await ctx.database.query(
      `with done as (
         delete from hub.welcome where device_id = $1 and no = any($2::int8[]) returning room_no, seq
       )
       delete from hub.welcome_body b using done
        where b.room_no = done.room_no and b.seq = done.seq
          and not exists (select 1 from hub.welcome w
                           where w.room_no = b.room_no and w.seq = b.seq and w.device_id <> $1)`,
      [device, welcomes],
    )
  if (furthest.size === 0) return []
  // One statement is its own transaction. Where a device's part of a log ends and it has all of it, its mailbox goes.
  const moved = await ctx.database.query<{ room_no: number }>(
    `with told as (
       select r.no as room_no,
              coalesce(case when r.lost_before is not null then
                         (select l.before_seq - 1 from hub.lost l
                           where l.room_no = r.no and c.seq >= l.after_seq and c.seq < l.before_seq
                           order by l.after_seq desc limit 1) end,
                       least(c.seq, r.next_seq - 1)) as seq
         from unnest($2::text[], $3::int8[]) as c (room, seq) join hub.room r on r.id = c.room
     ), over as (
       delete from hub.mailbox m using told
        where m.device_id = $1 and m.room_no = told.room_no and m.acked < told.seq and m.until_seq <= told.seq
        returning m.room_no
     ), moved as (
       update hub.mailbox m set acked = told.seq from told
        where m.device_id = $1 and m.room_no = told.room_no and m.acked < told.seq
          and (m.until_seq is null or m.until_seq > told.seq)
        returning m.room_no
     )
     select room_no from over union all select room_no from moved`,
    [device, [...furthest.keys()], [...furthest.values()]],
  )
  return moved.map((row) => row.room_no)
}

/** Of these devices, those of an operator's accounts in a network, and whether something waits for each. */
export async function lookForNews(
  ctx: HubContext,
  { operator, network }: { operator: string; network: string },
  devices: readonly string[],
): Promise<{ device: DeviceId; waits: boolean }[]> {
  return ctx.database.query<{ device: DeviceId; waits: boolean }>(
    `select d.device_id as device,
            exists (select 1 from hub.mailbox m join hub.room r on r.no = m.room_no
                     where m.device_id = d.device_id
                       and least(r.next_seq - 1, coalesce(m.until_seq, r.next_seq)) > m.acked)
            or exists (select 1 from hub.welcome w where w.device_id = d.device_id) as waits
       from hub.device d join hub.account a on a.address = d.account
      where d.device_id = any($1) and a.kind = 'edge' and a.operator = $2 and a.network = $3 and d.unlinked_at is null`,
    [devices, operator, network],
  )
}
