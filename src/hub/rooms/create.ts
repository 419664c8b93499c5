import { emptyRoster, IdentityError, parseRoomId, providerOf } from '../../identity/index.ts'
import type { Transaction } from '../../store/index.ts'
import { answeredAt } from '../consent.ts'
import type { Asker, HubContext } from '../context.ts'
import { HubError } from '../errors.ts'
import { evaluateCommit, openGroup } from './evaluate.ts'
import { recordCommit } from './record.ts'
import { type Accepted, lockRoom, type RoomKind, type RoomRow, readPlace, wakeAgain } from './rows.ts'
import { acceptByWriting } from './standing.ts'
import { type CommitSubmission, readCommitHead, requireGroupInfo } from './submissions.ts'

export interface RoomCreation {
  room: string
  kind: RoomKind
  /** Of epoch 0. */
  groupInfo: Uint8Array
  commit: CommitSubmission
}

/** Another creation has claimed the pair between our looking and our claiming: look again. */
class Overtaken extends Error {}

/**
 * Creates a room in epoch 0 and applies its first commit, in one transaction. A direct room claims its two accounts, a
 * self room its one: of two at once the second is told of the first.
 *
 * Errors: as submitCommit; direct-room-exists, unsupported.
 */
export async function createRoom(ctx: HubContext, asker: Asker, creation: RoomCreation): Promise<Accepted> {
  // A guest's room comes with its account (guests/create.ts), and a guest has no other.
  if (creation.kind === 'guest' || asker.accountKind === 'guest') throw new HubError('not-allowed')
  checkCreation(ctx, creation)
  const earlier = await earlierCreation(ctx, asker, creation)
  if (earlier) return earlier
  const at = ctx.clock()
  const group = await openGroup(ctx, { id: creation.room, kind: creation.kind }, creation.groupInfo, at)
  const facts = { kind: creation.kind, owner: asker.account, accounts: undefined, removals: [] }
  const followed = { group, roster: emptyRoster }
  const evaluation = await evaluateCommit(ctx, asker, facts, followed, creation.commit, at)
  if (evaluation.external) throw new HubError('bad-commit')
  const accounts = [...new Set(evaluation.after.map(({ address }) => address))].sort()

  for (let attempt = 0; attempt < ctx.settings.commitAttempts; attempt++) {
    try {
      const outcome = await ctx.database.transaction(async (tx) => {
        const pair = claimOf(creation.kind, accounts)
        const existing = pair && (await pairedRoom(tx, pair))
        if (existing) {
          await acceptByWriting(ctx, tx, existing, asker)
          return { exists: existing.id }
        }
        const room = await insertRoom(tx, asker, creation, at)
        if (!room) throw new Overtaken()
        if (pair && !(await claimPair(tx, pair, room))) throw new Overtaken()
        await insertCreator(tx, room, asker, evaluation.before[0]!.index, accounts)
        return recordCommit(ctx, tx, { room, asker, submission: creation.commit, evaluation, at, standing: undefined })
      })
      if ('exists' in outcome) throw new HubError('direct-room-exists', { room: outcome.exists })
      return outcome
    } catch (error) {
      if (!(error instanceof Overtaken)) throw error
      const same = await earlierCreation(ctx, asker, creation)
      if (same) return same
    }
  }
  throw new HubError('unavailable')
}

/** Errors: malformed, wrong-epoch, too-large. */
export function checkCreation(ctx: HubContext, { room, groupInfo, commit }: RoomCreation): void {
  try {
    if (providerOf(parseRoomId(room)) !== ctx.provider || commit.room !== room) throw new HubError('malformed')
  } catch (cause) {
    if (cause instanceof IdentityError) throw new HubError('malformed', { cause })
    throw cause
  }
  if (readCommitHead(ctx, commit) !== 0) throw new HubError('wrong-epoch')
  if (groupInfo.length > ctx.settings.firstGroupInfoBytes) throw new HubError('too-large')
  requireGroupInfo(groupInfo)
}

/** The answer to the same creation when it came before. A room of somebody else's by that id is refused. */
export async function earlierCreation(ctx: HubContext, asker: Asker, { room, commit }: RoomCreation) {
  return ctx.database.transaction(async (tx) => {
    const existing = await lockRoom(tx, room)
    if (!existing) return undefined
    const { earlier } = await readPlace(tx, room, asker, commit.key)
    if (!earlier) throw new HubError('not-allowed')
    await wakeAgain(ctx, tx, existing.no)
    return earlier
  })
}

type Pair = readonly [string, string]

function claimOf(kind: RoomKind, accounts: readonly string[]): Pair | undefined {
  if (kind === 'self') return [accounts[0]!, accounts[0]!]
  return kind === 'direct' ? [accounts[0]!, accounts[1]!] : undefined
}

async function pairedRoom(tx: Transaction, [first, second]: Pair): Promise<RoomRow | undefined> {
  const [room] = await tx.query<RoomRow>(
    `select r.* from hub.direct_pair p join hub.room r on r.no = p.room_no
      where p.first = $1 and p.second = $2 for update of r`,
    [first, second],
  )
  return room
}

async function claimPair(tx: Transaction, [first, second]: Pair, room: RoomRow): Promise<boolean> {
  const claimed = await tx.query(
    'insert into hub.direct_pair (first, second, room_no) values ($1, $2, $3) on conflict do nothing returning room_no',
    [first, second, room.no],
  )
  return claimed.length > 0
}

export async function insertRoom(
  tx: Transaction,
  asker: Asker,
  { room, kind }: RoomCreation,
  at: number,
): Promise<RoomRow | undefined> {
  const [row] = await tx.query<RoomRow>(
    `insert into hub.room (id, kind, owner, epoch, next_seq, last_at, has_edge) values ($1, $2, $3, 0, 1, $4, false)
      on conflict (id) do nothing returning *`,
    [room, kind, asker.account, at],
  )
  return row
}

/** The creator reads its own log from the start. Whoever opens a direct room consents to the other. */
export async function insertCreator(
  tx: Transaction,
  room: RoomRow,
  asker: Asker,
  leaf: number,
  accounts: readonly string[],
) {
  await tx.query(
    "insert into hub.member (room_no, account, standing, allowance, inviter) values ($1, $2, 'accepted', 0, $2)",
    [room.no, asker.account],
  )
  await tx.query('insert into hub.mailbox (device_id, room_no, account, leaf, acked) values ($1, $2, $3, $4, 0)', [
    asker.device,
    room.no,
    asker.account,
    leaf,
  ])
  const other = room.kind === 'direct' && accounts.find((account) => account !== asker.account)
  if (other)
    await tx.query(
      `insert into hub.consent (owner, peer, state, at) values ($1, $2, 'granted', 0)
        on conflict (owner, peer) do update set state = 'granted', at = ${answeredAt('$3')}`,
      [asker.account, other, room.last_at],
    )
}
