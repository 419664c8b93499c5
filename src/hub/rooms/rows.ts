import { toHex } from '../../crypto/index.ts'
import type { RoomId } from '../../identity/index.ts'
import type { Queryable, Transaction } from '../../store/index.ts'
import type { Asker, HubContext } from '../context.ts'
import { HubError } from '../errors.ts'
import { wake } from '../wake-ups.ts'

export type RoomKind = 'direct' | 'group' | 'guest' | 'self'

export interface RoomRow {
  no: number
  id: RoomId
  kind: RoomKind
  owner: string
  epoch: number
  next_seq: number
  last_at: number
  has_edge: boolean
}

/** What the submitter of anything is told. `at` in milliseconds. */
export interface Accepted {
  seq: number
  at: number
}

/**
 * The room's row, locked until the transaction ends: everything that enters a log goes through here, one after another.
 * What is read afterwards sees all that was committed before.
 */
export async function lockRoom(tx: Transaction, room: string): Promise<RoomRow | undefined> {
  const [row] = await tx.query<RoomRow>('select * from hub.room where id = $1 for update', [room])
  return row
}

export async function lockRoomNo(tx: Transaction, roomNo: number): Promise<RoomRow | undefined> {
  const [row] = await tx.query<RoomRow>('select * from hub.room where no = $1 for update', [roomNo])
  return row
}

/** Where a submission stands: whether it was accepted before, and what the submitting device is in the room. */
export interface Place {
  /** The answer to the same submission when it came before; looked at first, whatever else has changed. */
  earlier: Accepted | undefined
  unlinked: boolean
  standing: 'requested' | 'accepted' | 'declined' | 'left' | undefined
  /** The device's leaf; undefined when it has none. */
  leaf: number | undefined
  /** Whether leaves wait to be removed. */
  removals: boolean
}

/** @param room its id; of a room that there is not, nothing is known */
export async function readPlace(tx: Queryable, room: string, asker: Asker, key: Uint8Array): Promise<Place> {
  const [row] = await tx.query<{
    earlier_seq: number | null
    earlier_at: number | null
    unlinked: boolean
    standing: NonNullable<Place['standing']> | null
    leaf: number | null
    removals: boolean
  }>(
    `select s.seq as earlier_seq, s.at as earlier_at, d.unlinked_at is not null as unlinked, m.standing, x.leaf,
            exists (select 1 from hub.removal where room_no = r.no) as removals
       from hub.device d
       left join hub.room r on r.id = $1
       left join hub.submission s on s.room_no = r.no and s.device_id = d.device_id and s.key = $3
       left join hub.member m on m.room_no = r.no and m.account = d.account
       left join hub.mailbox x on x.room_no = r.no and x.device_id = d.device_id
      where d.device_id = $2`,
    [room, asker.device, key],
  )
  if (!row) throw new HubError('unauthenticated')
  return {
    earlier: row.earlier_seq === null ? undefined : { seq: row.earlier_seq, at: row.earlier_at! },
    unlinked: row.unlinked,
    standing: row.standing ?? undefined,
    leaf: row.leaf ?? undefined,
    removals: row.removals,
  }
}

/** Milliseconds for the next entry: the clock, but never before the entry that it follows. */
export function nextTime(ctx: HubContext, room: Pick<RoomRow, 'last_at'>): number {
  return Math.max(ctx.clock(), room.last_at)
}

const entryKinds = { message: 1, commit: 2, proposal: 3 } as const

export interface NewEntry {
  kind: keyof typeof entryKinds
  body: Uint8Array
  at: number
  /** Who submits it, and under which key it will be known again; undefined: the hub. */
  by?: { device: string; key: Uint8Array }
  manifest?: Uint8Array
}

/**
 * Appends to the log of a locked room: entry, idempotency key and the room's next number in one statement. `room` is
 * brought up to date. After the commit, every device that has a mailbox in the room by now is woken.
 */
export async function append(ctx: HubContext, tx: Transaction, room: RoomRow, entry: NewEntry): Promise<Accepted> {
  const { no, next_seq: seq } = room
  const { kind, body, at, by, manifest } = entry
  const readers = await tx.query<{ device_id: string }>(
    `with entry as (
       insert into hub.log (room_no, seq, kind, at, device_id, body, manifest) values ($1, $2, $3, $4, $5, $6, $7)
     ), known as (
       insert into hub.submission (room_no, device_id, key, seq, at)
         select $1, $5, $8, $2, $4 where $8::bytea is not null
     ), moved as (
       update hub.room set next_seq = $2 + 1, last_at = $4 where no = $1
     )
     select device_id from hub.mailbox where room_no = $1`,
    [no, seq, entryKinds[kind], at, by?.device ?? null, body, manifest ?? null, by?.key ?? null],
  )
  room.next_seq = seq + 1
  room.last_at = at
  tx.afterCommit(() => {
    ctx.metrics.count('entries', { kind })
    wakeReaders(ctx, no, readers, by?.device)
  })
  return { seq, at }
}

/** Appends messages of one device to the log of a locked room, one after the other, in one statement. As `append`. */
export function appendMessages(
  ctx: HubContext,
  tx: Transaction,
  room: RoomRow,
  device: string,
  messages: readonly { key: Uint8Array; message: Uint8Array }[],
): Accepted[] {
  const { no, next_seq: first } = room
  const at = nextTime(ctx, room)
  let readers: { device_id: string }[] = []
  tx.write<{ device_id: string }>(
    `with new as (
       select key, body, n from unnest($5::bytea[], $6::bytea[]) with ordinality as given (key, body, n)
     ), entry as (
       insert into hub.log (room_no, seq, kind, at, device_id, body)
         select $1, $2 + n - 1, ${entryKinds.message}, $3, $4, body from new
     ), known as (
       insert into hub.submission (room_no, device_id, key, seq, at) select $1, $4, key, $2 + n - 1, $3 from new
     ), moved as (
       update hub.room set next_seq = $2 + (select count(*) from new), last_at = $3 where no = $1
     )
     select device_id from hub.mailbox where room_no = $1`,
    [no, first, at, device, messages.map(({ key }) => key), messages.map(({ message }) => message)],
    (rows) => {
      readers = rows
    },
  )
  room.next_seq = first + messages.length
  room.last_at = at
  tx.afterCommit(() => {
    for (const _ of messages) ctx.metrics.count('entries', { kind: 'message' })
    wakeReaders(ctx, no, readers, device)
  })
  return messages.map((_, index) => ({ seq: first + index, at }))
}

/** Who wrote it learns its place from the answer, and is last: the others' mailboxes are read first. */
function wakeReaders(ctx: HubContext, room: number, readers: readonly { device_id: string }[], author?: string): void {
  const tell = (device: string) => wake(ctx.bus, device, { kind: 'room', room })
  for (const { device_id } of readers) if (device_id !== author) tell(device_id)
  if (readers.some(({ device_id }) => device_id === author)) tell(author!)
}

/** Which of these keys of a device were accepted in the room before, by the key in hexadecimal. */
export async function readEarlier(
  tx: Queryable,
  room: string,
  device: string,
  keys: readonly Uint8Array[],
): Promise<Map<string, Accepted>> {
  const rows = await tx.query<{ key: Uint8Array; seq: number; at: number }>(
    `select s.key, s.seq, s.at from hub.room r
       join hub.submission s on s.room_no = r.no and s.device_id = $2 and s.key = any($3::bytea[])
      where r.id = $1`,
    [room, device, keys],
  )
  return new Map(rows.map(({ key, seq, at }) => [toHex(key), { seq, at }]))
}

const devicesOf = (on: Queryable, room: number) =>
  on.query<{ device_id: string }>('select device_id from hub.mailbox where room_no = $1', [room])

/** After the commit, wakes every device of the room to look at who stands where in it. */
export async function wakeMembers(ctx: HubContext, tx: Transaction, room: RoomRow): Promise<void> {
  const devices = await devicesOf(tx, room.no)
  tx.afterCommit(() => {
    for (const { device_id } of devices) wake(ctx.bus, device_id, { kind: 'standing', room: room.no })
  })
}

/**
 * Wakes every device of the room for what was accepted before. Its sender has come again, so it was not told; the
 * connection to the database may have broken while it was committed, and then nobody was.
 */
export async function wakeAgain(ctx: HubContext, on: Queryable, room: number): Promise<void> {
  for (const { device_id } of await devicesOf(on, room)) {
    wake(ctx.bus, device_id, { kind: 'room', room })
    wake(ctx.bus, device_id, { kind: 'welcome' })
  }
}
