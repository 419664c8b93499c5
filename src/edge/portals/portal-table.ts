import type { AccountAddress, RoomId } from '../../identity/index.ts'
import type { Queryable, Sealer, Transaction } from '../../store/index.ts'
import type { GhostId } from '../matrix/ghosts.ts'

/**
 * - `wanted`: begun from Matrix; the messenger's room does not exist yet (consent was asked for, or a passing fault).
 * - `requested`: begun from Matrix; the messenger's user has not answered.
 * - `offered`: begun from the messenger; the Matrix user has not joined.
 * - `open`: both sides take part.
 * - `ended`: somebody left, declined or blocked. A new beginning uses the same row.
 */
export type PortalState = 'wanted' | 'requested' | 'offered' | 'open' | 'ended'

/** Who ended a portal, and how: names the words that the Matrix room is told. */
export type Ending = 'left-here' | 'left-there' | 'declined-here' | 'declined-there' | 'blocked-here' | 'refused'

export interface Portal {
  readonly id: number
  /** Account of the Matrix user. */
  readonly account: AccountAddress
  /** The messenger account at the other end. */
  readonly peer: AccountAddress
  readonly room: RoomId | undefined
  readonly ghost: GhostId | undefined
  readonly matrixRoom: string | undefined
  readonly state: PortalState
  readonly userIn: boolean
  readonly peerName: string | undefined
  readonly askedAs: string | undefined
  /** What the Matrix user knows the other one by. */
  readonly name: string | undefined
  readonly shownName: string | undefined
  readonly posture: string | undefined
  readonly endedBecause: Ending | undefined
  readonly making: string | undefined
  /** When `making` was last asked for without an answer, ms. */
  readonly makingAskedAt: number | undefined
  /**
   * Until when people were waited for, ms: the Matrix user, who had not come in, or the messenger's, who had not consented.
   * `held` for as long as nothing can go into the Matrix room.
   */
  readonly heldUntil: number
}

/** Of `heldUntil`: until they come, whenever that is. It stands in the index portal_held. */
export const held = Number.MAX_SAFE_INTEGER

/** A portal that has both rooms, with the Matrix user's id. */
export type OpenPortal = Portal & {
  readonly ghost: GhostId
  readonly matrixRoom: string
  readonly mxid: string
  /** Of a group that began with an invitation of a ghost: it has keys of what was said before the bot came. */
  readonly earlier?: GhostId | undefined
  /** Of a group: all Matrix users who read there. */
  readonly readers?: readonly string[]
  /** Of a group: the accounts in it, by the Matrix ids of users and ghosts. */
  readonly circle?: ReadonlyMap<string, AccountAddress>
}

interface Row {
  id: number
  account: AccountAddress
  peer: AccountAddress
  room: RoomId | null
  ghost: GhostId | null
  matrix_room: string | null
  state: PortalState
  user_in: boolean
  peer_name: Uint8Array | null
  asked_as: Uint8Array | null
  shown_name: Uint8Array | null
  posture: Uint8Array | null
  ended_because: Ending | null
  making: string | null
  making_asked_at: number | null
  held_until: number
}

export type PortalChange = Partial<{
  [K in Exclude<keyof Portal, 'id' | 'account' | 'peer' | 'name'>]: Portal[K] | undefined
}>

const columns =
  'id, account, peer, room, ghost, matrix_room, state, user_in, peer_name, asked_as, shown_name, posture, ended_because, making, making_asked_at, held_until'
const column: Readonly<Record<keyof PortalChange, string>> = {
  room: 'room',
  ghost: 'ghost',
  matrixRoom: 'matrix_room',
  state: 'state',
  userIn: 'user_in',
  peerName: 'peer_name',
  askedAs: 'asked_as',
  shownName: 'shown_name',
  posture: 'posture',
  endedBecause: 'ended_because',
  making: 'making',
  makingAskedAt: 'making_asked_at',
  heldUntil: 'held_until',
}
const sealedColumns: ReadonlySet<string> = new Set(['peerName', 'askedAs', 'shownName', 'posture'])

const encoder = new TextEncoder()
const decoder = new TextDecoder()

/** Rows of the table `portal` that are of two (groups: groups/table.ts). Every function takes the queryable that it runs on, so that it can be part of a transaction. */
export interface PortalTable {
  byId(on: Queryable, id: number): Promise<Portal | undefined>
  byRoom(on: Queryable, account: AccountAddress, room: RoomId): Promise<Portal | undefined>
  byMatrixRoom(on: Queryable, matrixRoom: string): Promise<Portal | undefined>
  byPair(on: Queryable, account: AccountAddress, peer: AccountAddress): Promise<Portal | undefined>
  ofAccount(on: Queryable, account: AccountAddress): Promise<Portal[]>
  /** Whether a Matrix room is being made for one of the account's portals: it may be there already, and not be known. */
  isMaking(on: Queryable, account: AccountAddress): Promise<boolean>
  /** The pair's portal, made in this state when there was none; a change is applied to one that was there. */
  upsert(
    on: Queryable,
    pair: { account: AccountAddress; peer: AccountAddress },
    state: PortalState,
    change?: PortalChange,
  ): Promise<Portal>
  /** For groups too. */
  update(on: Queryable, id: number, change: PortalChange): Promise<void>
  /** Notes that something holds of a portal, or was told in it; false when it was noted before. */
  noteTold(on: Queryable, id: number, what: string): Promise<boolean>
  unnoteTold(tx: Transaction, id: number, what: string): void
  /** Those of an account's portals of which it is noted. */
  toldOf(on: Queryable, account: AccountAddress, what: string): Promise<ReadonlySet<number>>
}

export function portalTable(sealer: Sealer, clock: () => number): PortalTable {
  const place = (id: number, field: string) => `portal|${field}|${id}`
  const open = (id: number, field: string, value: Uint8Array | null) =>
    value === null ? undefined : decoder.decode(sealer.open(value, place(id, field)))
  const read = (row: Row): Portal => {
    const peerName = open(row.id, 'peer_name', row.peer_name)
    const askedAs = open(row.id, 'asked_as', row.asked_as)
    return {
      id: row.id,
      account: row.account,
      peer: row.peer,
      room: row.room ?? undefined,
      ghost: row.ghost ?? undefined,
      matrixRoom: row.matrix_room ?? undefined,
      state: row.state,
      userIn: row.user_in,
      peerName,
      askedAs,
      // Before the Matrix user has accepted, a stranger has no name here, whatever they sent.
      name: (row.state === 'offered' ? undefined : peerName) ?? askedAs,
      shownName: open(row.id, 'shown_name', row.shown_name),
      posture: open(row.id, 'posture', row.posture),
      endedBecause: row.ended_because ?? undefined,
      making: row.making ?? undefined,
      makingAskedAt: row.making_asked_at ?? undefined,
      heldUntil: row.held_until,
    }
  }
  const one = async (on: Queryable, where: string, parameters: readonly unknown[]) => {
    const [row] = await on.query<Row>(`select ${columns} from portal where kind = 'direct' and ${where}`, parameters)
    return row && read(row)
  }
  const table: PortalTable = {
    byId: (on, id) => one(on, 'id = $1', [id]),
    byRoom: (on, account, room) => one(on, 'account = $1 and room = $2', [account, room]),
    byMatrixRoom: (on, matrixRoom) => one(on, 'matrix_room = $1', [matrixRoom]),
    byPair: (on, account, peer) => one(on, 'account = $1 and peer = $2', [account, peer]),
    async ofAccount(on, account) {
      const rows = await on.query<Row>(`select ${columns} from portal where account = $1 order by id`, [account])
      return rows.map(read)
    },
    async isMaking(on, account) {
      const rows = await on.query('select 1 from portal where account = $1 and making is not null limit 1', [account])
      return rows.length > 0
    },
    async upsert(on, { account, peer }, state, change = {}) {
      await on.query(
        `insert into portal (account, peer, state, changed_at) values ($1, $2, $3, $4)
         on conflict (account, peer) do nothing`,
        [account, peer, state, clock()],
      )
      const found = await table.byPair(on, account, peer)
      if (found === undefined) throw new Error('a portal vanished while it was made')
      // What was written on Matrix before the messenger's user had consented can go from now on.
      const answered = found.state === 'wanted' && state !== 'wanted' && found.heldUntil !== held
      await table.update(on, found.id, { state, ...change, ...(answered ? { heldUntil: clock() } : {}) })
      return (await table.byId(on, found.id)) ?? found
    },
    async update(on, id, change) {
      // What was encrypted for one room cannot be read in another: it has to be made anew.
      if ('matrixRoom' in change) {
        await on.query(
          `update portal_outbox set sealed_event = null, first_put_at = null
           where portal = $1 and sealed_event is not null
             and (select matrix_room from portal where id = $1) is distinct from $2::text`,
          [id, change.matrixRoom ?? null],
        )
      }
      const sets: string[] = []
      const parameters: unknown[] = [id, clock()]
      for (const [field, value] of Object.entries(change) as [
        keyof PortalChange,
        string | boolean | number | undefined,
      ][]) {
        const name = column[field]
        const sealed = sealedColumns.has(field) && typeof value === 'string'
        parameters.push(sealed ? sealer.seal(encoder.encode(value), place(id, name)) : (value ?? null))
        sets.push(`${name} = $${parameters.length}`)
      }
      if (sets.length > 0)
        await on.query(`update portal set ${sets.join(', ')}, changed_at = $2 where id = $1`, parameters)
    },
    async noteTold(on, id, what) {
      const first = await on.query(
        'insert into portal_told (portal, what) values ($1, $2) on conflict do nothing returning what',
        [id, what],
      )
      return first.length > 0
    },
    unnoteTold(tx, id, what) {
      tx.write('delete from portal_told where portal = $1 and what = $2', [id, what])
    },
    async toldOf(on, account, what) {
      const rows = await on.query<{ portal: number }>(
        'select t.portal from portal_told t join portal p on p.id = t.portal where p.account = $1 and t.what = $2',
        [account, what],
      )
      return new Set(rows.map(({ portal }) => portal))
    },
  }
  return table
}
