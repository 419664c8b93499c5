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
  readonly ended: boolean
  readonly seq: number
  readonly posture: string | undefined
  readonly state: GroupState
}

interface Row {
  id: number
  room: RoomId | null
  matrix_room: string | null
  making: string | null
  state: string
  posture: Uint8Array | null
  seq: number
  sealed: Uint8Array
}

/** Rows of group portals. Their places, rooms and postures are columns of `portal`, changed by `PortalTable.update`. */
export interface GroupTable {
  byId(on: Queryable, id: number): Promise<GroupPortal | undefined>
  byRoom(on: Queryable, room: RoomId): Promise<GroupPortal | undefined>
  byMatrixRoom(on: Queryable, matrixRoom: string): Promise<GroupPortal | undefined>
  /** The group's portal, made when there was none. */
  ensure(on: Queryable, at: { room: RoomId } | { matrixRoom: string }): Promise<number>
  /** Changes the state alone, whoever else wants to: the row is locked until the transaction ends. */
  change(tx: Transaction, id: number, change: (state: GroupState) => GroupState): Promise<void>
  /** Takes a place of the messenger's log: true for the first who comes to it, and for nothing before it afterwards. */
  claim(tx: Queryable, id: number, seq: number): Promise<boolean>
  addAccount(on: Queryable, id: number, account: AccountAddress): Promise<void>
  removeAccount(on: Queryable, id: number, account: AccountAddress): Promise<void>
  accounts(on: Queryable, id: number): Promise<AccountAddress[]>
  /** Groups in which the account's device is or was. */
  ofAccount(on: Queryable, account: AccountAddress): Promise<number[]>
  /** Whether a Matrix room is being made for a group with one of these accounts. */
  isMaking(on: Queryable, account: AccountAddress): Promise<boolean>
}

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
      `select p.id, p.room, p.matrix_room, p.making, p.state, p.posture, g.seq, g.state as sealed
         from portal p join group_portal g on g.portal = p.id where ${where}`,
      [parameter],
    )
    if (row === undefined) return undefined
    return {
      id: row.id,
      room: row.room ?? undefined,
      matrixRoom: row.matrix_room ?? undefined,
      making: row.making ?? undefined,
      ended: row.state === 'ended',
      seq: row.seq,
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
      if (after !== before)
        await tx.query('update group_portal set state = $2 where portal = $1', [id, seal(id, after)])
    },
    async claim(tx, id, seq) {
      const rows = await tx.query('update group_portal set seq = $2 where portal = $1 and seq < $2 returning portal', [
        id,
        seq,
      ])
      return rows.length > 0
    },
    async addAccount(on, id, account) {
      await on.query('insert into group_account (portal, account) values ($1, $2) on conflict do nothing', [
        id,
        account,
      ])
    },
    async removeAccount(on, id, account) {
      await on.query('delete from group_account where portal = $1 and account = $2', [id, account])
    },
    async accounts(on, id) {
      const rows = await on.query<{ account: AccountAddress }>(
        'select account from group_account where portal = $1 order by account',
        [id],
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
