import type { AccountAddress } from '../../../identity/index.ts'
import type { Queryable, Transaction } from '../../../store/index.ts'
import type { OutboxKind, OutboxTable } from '../outbox-table.ts'
import { words } from '../words.ts'

/**
 * Whose turn it is at a place of a group's log. All of the edge's devices in a group read the same log, each from where it
 * came in and at its own speed; what stands at a place is for the portal once, and in the log's order.
 *
 * The portal has come up to a place (`group_portal.seq`). Whoever was in the group there already has read all that follows,
 * so the first of those to read a place takes it. What is read by somebody who came in later waits until one of those, or
 * the work on the portal when there is none, says that nothing before it is still to come.
 */
export interface Turns {
  /** A device reads what comes after this place: it has come in, or it has missed what was before. */
  enter(tx: Transaction, portal: number, account: AccountAddress, since: number, missed?: boolean): Promise<void>
  /**
   * A device could not read what stands at a place.
   * @returns whether none can, of those that have come to it or are still to come
   */
  cannotRead(tx: Transaction, portal: number, account: AccountAddress, seq: number): Promise<boolean>
  /** A device reads no more. */
  leave(tx: Transaction, portal: number, account: AccountAddress): Promise<void>
  /** Runs `work` for a place unless it was taken; what it adds goes into the portal's outbox in the place's turn. */
  take(tx: Transaction, at: Place, work: (add: Add) => Promise<void>): Promise<void>
  /**
   * No device of ours is still to come in at a place before those that are in: what nobody has read is passed over. Where
   * somebody was in the group then and has missed it, that is told in its place.
   */
  go(tx: Transaction, portal: number): Promise<void>
}

export interface Place {
  readonly portal: number
  readonly account: AccountAddress
  readonly seq: number
  /** Up to where the portal had come when it was looked at; may be behind. */
  readonly known: number
}

export type Add = (kind: OutboxKind, body: Uint8Array | string, messageId?: Uint8Array) => Promise<void>

interface Reader {
  account: AccountAddress
  since_seq: number | null
  read_seq: number | null
  missed_from: number | null
}

/** How far back it is remembered which places could not be read: devices that are there come to a place within moments. */
const unreadPlaces = 1000

export function turns(outbox: OutboxTable): Turns {
  const readersOf = (tx: Queryable, portal: number) =>
    tx.query<Reader>('select account, since_seq, read_seq, missed_from from group_account where portal = $1', [portal])
  const waits = async (on: Queryable, portal: number) =>
    (await on.query('select 1 from portal_ahead where portal = $1 limit 1', [portal])).length > 0
  /** Up to where the portal has come; nobody else moves it until the transaction ends. */
  const lock = async (tx: Transaction, portal: number) => {
    const [row] = await tx.query<{ seq: number }>('select seq from group_portal where portal = $1 for update', [portal])
    return row?.seq
  }
  const moveTo = async (tx: Transaction, portal: number, seq: number) => {
    await outbox.release(tx, portal, seq)
    await tx.query('update group_portal set seq = $2 where portal = $1 and seq < $2', [portal, seq])
    await tx.query('update group_account set read_seq = null where portal = $1 and read_seq <= $2', [portal, seq])
  }
  /** What those have read ahead who are next: after a move of the portal, or of one of them. */
  const catchUp = async (tx: Transaction, portal: number, from: number, pass: boolean) => {
    const reading = (await readersOf(tx, portal)).filter(({ since_seq }) => since_seq !== null)
    let seq = from
    for (let before = -1; before !== seq; ) {
      before = seq
      const next = reading.filter(({ since_seq }) => since_seq! <= seq)
      if (next.length === 0 && pass && reading.length > 0) {
        if (reading.some(({ missed_from }) => missed_from !== null && missed_from <= before)) {
          await outbox.release(tx, portal, seq)
          await outbox.add(tx, portal, 'notice', words.gap())
        }
        seq = Math.min(...reading.map(({ since_seq }) => since_seq!))
      } else seq = Math.max(seq, ...next.map(({ read_seq }) => read_seq ?? 0))
    }
    if (seq > from) await moveTo(tx, portal, seq)
  }

  return {
    async enter(tx, portal, account, since, missed = false) {
      await tx.query(
        `insert into group_account (portal, account, since_seq) values ($1, $2, $3)
         on conflict (portal, account) do update set since_seq = excluded.since_seq, read_seq = null,
           missed_from = case when $4 then coalesce(group_account.missed_from, group_account.since_seq) end
           where group_account.since_seq is null or $4`,
        [portal, account, since, missed],
      )
      if (!(await waits(tx, portal))) return
      const seq = await lock(tx, portal)
      if (seq !== undefined) await catchUp(tx, portal, seq, false)
    },
    async cannotRead(tx, portal, account, seq) {
      await tx.query('delete from group_unread where portal = $1 and place < $2', [portal, seq - unreadPlaces])
      await tx.query('insert into group_unread (portal, place, account) values ($1, $2, $3) on conflict do nothing', [
        portal,
        seq,
        account,
      ])
      const others = await tx.query(
        `select 1 from group_account a where portal = $1 and since_seq < $2 and account <> $3
            and not exists (select 1 from group_unread u where u.portal = $1 and u.place = $2 and u.account = a.account)
          limit 1`,
        [portal, seq, account],
      )
      return others.length === 0
    },
    async leave(tx, portal, account) {
      await tx.query(
        `update group_account set since_seq = null, read_seq = null, missed_from = null
          where portal = $1 and account = $2`,
        [portal, account],
      )
      if (!(await waits(tx, portal))) return
      const seq = await lock(tx, portal)
      if (seq !== undefined) await catchUp(tx, portal, seq, false)
    },
    async take(tx, { portal, account, seq, known }, work) {
      if (seq <= known) return
      const add: Add = (kind, body, messageId) => outbox.add(tx, portal, kind, body, messageId)
      const moved = await tx.query(
        `update group_portal g set seq = $3 where portal = $1 and seq < $3
            and exists (select 1 from group_account where portal = $1 and account = $2 and since_seq <= g.seq)
            and not exists (select 1 from group_account where portal = $1 and read_seq is not null)
            and not exists (select 1 from portal_ahead where portal = $1)
          returning seq`,
        [portal, account, seq],
      )
      if (moved.length > 0) return work(add)
      const from = await lock(tx, portal)
      if (from === undefined || seq <= from) return
      const own = (await readersOf(tx, portal)).find((reader) => reader.account === account)
      if (own === undefined) return
      // Of before it was noted where a device came in: it was there.
      const since = own.since_seq ?? from
      if (own.since_seq === null) await this.enter(tx, portal, account, since)
      const [taken] = await tx.query('select 1 from portal_ahead where portal = $1 and place = $2 limit 1', [
        portal,
        seq,
      ])
      if (since <= from) {
        await moveTo(tx, portal, seq)
        if (taken === undefined) await work(add)
        return catchUp(tx, portal, seq, false)
      }
      await tx.query(
        'update group_account set read_seq = greatest(coalesce(read_seq, 0), $3) where portal = $1 and account = $2',
        [portal, account, seq],
      )
      if (taken === undefined)
        await work((kind, body, messageId) => outbox.addAhead(tx, portal, seq, kind, body, messageId))
    },
    async go(tx, portal) {
      const seq = await lock(tx, portal)
      if (seq !== undefined) await catchUp(tx, portal, seq, true)
    },
  }
}
