import { isDeepStrictEqual } from 'node:util'
import type { AccountAddress, RoomId } from '../../../identity/index.ts'
import type { Queryable, Sealer, Transaction } from '../../../store/index.ts'
import { type GroupState, newState } from './state.ts'

/** A group that reaches Matrix, or is being made to. */
export interface GroupPortal {
  readonly id: number
  /** Undefined: begun on Matrix, and the messenger's group is yet to be made. */
  readonly room: RoomId | undefined
  readonly matrixRoom: string | undefined
  readonly making: string | undefined
  /** When `making` was last asked for without an answer, ms. */
  readonly makingAskedAt: number | undefined
  readonly ended: boolean
  /** Place in the messenger's log up to which the portal has come. */
  readonly seq: number
  /** Something waits that was read ahead of its turn, or somebody reads on behind what they have missed. */
  readonly ahead: boolean
  /** Messages may be missing, which is still to be told. */
  readonly gap: boolean
  /** How often something changed, and up to which of these changes all was done. */
  readonly changes: number
  readonly worked: number
  readonly posture: string | undefined
  readonly state: GroupState
}

interface Row {
  id: number
  room: RoomId | null
  matrix_room: string | null
  making: string | null
  making_asked_at: number | null
  state: string
  posture: Uint8Array | null
  seq: number
  ahead: boolean
  gap: boolean
  changes: number
  worked: number
  sealed: Uint8Array
}

/** Rows of group portals. Their places, rooms and postures are columns of `portal`, changed by `PortalTable.update`. */
export interface GroupTable {
  byId(on: Queryable, id: number): Promise<GroupPortal | undefined>
  byRoom(on: Queryable, room: RoomId): Promise<GroupPortal | undefined>
  byMatrixRoom(on: Queryable, matrixRoom: string): Promise<GroupPortal | undefined>
  /** The group's portal, made when there was none. */
  ensure(on: Queryable, at: { room: RoomId } | { matrixRoom: string }): Promise<number>
  /** Changes the state alone, whoever else wants to: the row is locked until the transaction ends. Noted where it differs. */
  change(tx: Transaction, id: number, change: (state: GroupState) => GroupState): Promise<void>
  /** Notes that something of the group changed that may need work, also should the process end before. */
  note(on: Queryable, id: number): Promise<void>
  /** Notes that the group has ended, unless something has changed since it was found to: somebody may have been added. */
  end(tx: Transaction, id: number, changes: number): Promise<boolean>
  /** Notes that a Matrix room was the group's, and was replaced. */
  noteReplaced(on: Queryable, id: number, matrixRoom: string): Promise<void>
  /** Whether a Matrix room is, or was before it was replaced, the room of a group that goes on. */
  isOfGroup(on: Queryable, matrixRoom: string): Promise<boolean>
  /** Everything up to this change was done. */
  noteWorked(on: Queryable, id: number, changes: number): Promise<void>
  /** Accounts whose devices read in the group, and of these others those that ever did; in an order that stays. */
  accounts(on: Queryable, id: number, others?: readonly AccountAddress[]): Promise<AccountAddress[]>
  /** Groups in which the account's device is or was. */
  ofAccount(on: Queryable, account: AccountAddress): Promise<number[]>
  /** Whether a Matrix room is being made for a group with one of these accounts. */
  isMaking(on: Queryable, account: AccountAddress): Promise<boolean>
}

const plain = (state: GroupState) => JSON.parse(JSON.stringify(state))
const encoder = new TextEncoder()
const decoder = new TextDecoder()

export function groupTable(sealer: Sealer, clock: () => number): GroupTable {
  const place = (id: number) => `group_portal|state|${id}`
  const seal = (id: number, state: GroupState) => sealer.seal(encoder.encode(JSON.stringify(state)), place(id))
  const open = (id: number, sealed: Uint8Array): GroupState => ({
    ...newState,
    ...JSON.parse(decoder.decode(sealer.open(sealed, place(id)))),
  })
  const one = async (on: Queryable, where: string, parameter: unknown): Promise<GroupPortal | undefined> => {
    const [row] = await on.query<Row>(
      `select p.id, p.room, p.matrix_room, p.making, p.making_asked_at, p.state, p.posture, g.seq, g.gap, g.changes, g.worked, g.state as sealed,
              exists (select 1 from portal_ahead h where h.portal = p.id)
                or exists (select 1 from group_account a
                            where a.portal = p.id and a.missed_from is not null and a.since_seq > g.seq) as ahead
         from portal p join group_portal g on g.portal = p.id where ${where}`,
      [parameter],
    )
    if (row === undefined) return undefined
    return {
      id: row.id,
      room: row.room ?? undefined,
      matrixRoom: row.matrix_room ?? undefined,
      making: row.making ?? undefined,
      makingAskedAt: row.making_asked_at ?? undefined,
      ended: row.state === 'ended',
      seq: row.seq,
      ahead: row.ahead,
      gap: row.gap,
      changes: row.changes,
      worked: row.worked,
      posture: row.posture === null ? undefined : decoder.decode(sealer.open(row.posture, `portal|posture|${row.id}`)),
      state: open(row.id, row.sealed),
    }
  }
  return {
    byId: (on, id) => one(on, 'p.id = $1', id),
    byRoom: (on, room) => one(on, 'p.room = $1', room),
    byMatrixRoom: (on, matrixRoom) => one(on, 'p.matrix_room = $1', matrixRoom),
    async ensure(on, at) {
      const [name, value, state] = 'room' in at ? ['room', at.room, 'open'] : ['matrix_room', at.matrixRoom, 'wanted']
      await on.query(
        `insert into portal (kind, ${name}, state, changed_at) values ('group', $1, $2, $3) on conflict (${name}) do nothing`,
        [value, state, clock()],
      )
      const [row] = await on.query<{ id: number }>(`select id from portal where ${name} = $1`, [value])
      if (row === undefined) throw new Error('a portal vanished while it was made')
      await on.query('insert into group_portal (portal, state) values ($1, $2) on conflict do nothing', [
        row.id,
        seal(row.id, newState),
      ])
      return row.id
    },
    async change(tx, id, change) {
      const [row] = await tx.query<{ state: Uint8Array }>(
        'select state from group_portal where portal = $1 for update',
        [id],
      )
      if (row === undefined) return
      const before = open(id, row.state)
      const after = change(before)
      if (after !== before && !isDeepStrictEqual(plain(after), plain(before)))
        await tx.query('update group_portal set state = $2, changes = changes + 1 where portal = $1', [
          id,
          seal(id, after),
        ])
    },
    async note(on, id) {
      await on.query('update group_portal set changes = changes + 1 where portal = $1', [id])
    },
    async end(tx, id, changes) {
      const same = await tx.query('select 1 from group_portal where portal = $1 and changes = $2 for update', [
        id,
        changes,
      ])
      if (same.length === 0) return false
      await tx.query("update portal set state = 'ended', changed_at = $2 where id = $1", [id, clock()])
      return true
    },
    async noteReplaced(on, id, matrixRoom) {
      await on.query('insert into portal_replaced (matrix_room, portal) values ($1, $2) on conflict do nothing', [
        matrixRoom,
        id,
      ])
    },
    async isOfGroup(on, matrixRoom) {
      const rows = await on.query(
        `select 1 from portal where kind = 'group' and matrix_room = $1 and state <> 'ended'
         union all
         select 1 from portal_replaced r join portal p on p.id = r.portal where r.matrix_room = $1 and p.state <> 'ended'`,
        [matrixRoom],
      )
      return rows.length > 0
    },
    async noteWorked(on, id, changes) {
      await on.query('update group_portal set worked = $2 where portal = $1 and worked < $2', [id, changes])
    },
    async accounts(on, id, others = []) {
      const rows = await on.query<{ account: AccountAddress }>(
        `select account from group_account
          where portal = $1 and (since_seq is not null or account = any($2)) order by account`,
        [id, others],
      )
      return rows.map((row) => row.account)
    },
    async ofAccount(on, account) {
      const rows = await on.query<{ portal: number }>('select portal from group_account where account = $1', [account])
      return rows.map((row) => row.portal)
    },
    async isMaking(on, account) {
      const rows = await on.query(
        `select 1 from group_account a join portal p on p.id = a.portal
          where a.account = $1 and p.making is not null and p.matrix_room is null limit 1`,
        [account],
      )
      return rows.length > 0
    },
  }
}
