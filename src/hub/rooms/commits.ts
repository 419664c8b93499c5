import type { Transaction } from '../../store/index.ts'
import type { Asker, HubContext } from '../context.ts'
import { HubError } from '../errors.ts'
import { evaluateCommit } from './evaluate.ts'
import type { Evaluation } from './facts.ts'
import { loadRoom, type RoomSnapshot } from './load.ts'
import { recordCommit } from './record.ts'
import { pendingProposals, proposeInRoom } from './removals.ts'
import { type Accepted, lockRoom, nextTime, type Place, type RoomRow, readPlace, wakeAgain } from './rows.ts'
import { type CommitSubmission, readCommitHead } from './submissions.ts'

/** What the transaction of a submission comes to when it is not refused. */
type Outcome = { accepted: Accepted; removals: boolean } | { pendingIn: number } | { moved: true }

/**
 * Puts a commit (MLS PublicMessage) into a room's log. It is judged against the group as it stands, without holding
 * anything; then one transaction looks at the idempotency key first, at the epoch second (compare and set), and stores all
 * of it. When the room has moved between the two without a new epoch, it is judged anew.
 *
 * Errors: malformed, too-large, not-found, not-allowed, wrong-epoch, pending-proposal, bad-commit, bad-certificate,
 * not-in-manifest, old-manifest, not-reachable, consent-required, blocked, not-opted-in, unlinked, unavailable.
 */
export async function submitCommit(ctx: HubContext, asker: Asker, submission: CommitSubmission): Promise<Accepted> {
  const epoch = readCommitHead(ctx, submission)
  for (let attempt = 0; attempt < ctx.settings.commitAttempts; attempt++) {
    const seen = await loadRoom(ctx, submission.room)
    if (!seen) throw new HubError('not-found')
    const outcome = await attemptCommit(ctx, asker, submission, epoch, seen)
    if ('moved' in outcome) continue
    if ('pendingIn' in outcome) await refusePending(ctx, outcome.pendingIn)
    else {
      // An external commit ends the epoch that the hub's proposals were made for.
      if (outcome.removals) await proposeInRoom(ctx, seen.no)
      return outcome.accepted
    }
  }
  throw new HubError('unavailable')
}

async function attemptCommit(
  ctx: HubContext,
  asker: Asker,
  submission: CommitSubmission,
  epoch: number,
  seen: RoomSnapshot,
): Promise<Outcome> {
  const before = await readPlace(ctx.database, submission.room, asker, submission.key)
  if (before.earlier) {
    await wakeAgain(ctx, ctx.database, seen.no)
    return { accepted: before.earlier, removals: false }
  }
  checkPlace(seen, before, epoch)
  const at = nextTime(ctx, seen)
  const evaluation = await evaluateCommit(ctx, asker, seen.facts, seen.followed, submission, at).catch((error) => {
    if (error instanceof HubError && error.code === 'pending-proposal') return undefined
    throw error
  })
  if (!evaluation) return { pendingIn: seen.no }
  return ctx.database.transaction(async (tx) => {
    const room = await lockRoom(tx, submission.room)
    if (!room) throw new HubError('not-found')
    const place = await readPlace(tx, submission.room, asker, submission.key)
    if (place.earlier) {
      await wakeAgain(ctx, tx, room.no)
      return { accepted: place.earlier, removals: false }
    }
    checkPlace(room, place, epoch)
    if (!evaluation.external && place.leaf === undefined) throw new HubError('not-allowed')
    if (room.last_at > at || !(await isVersion(tx, room, seen.version))) return { moved: true }
    const pending = await checkRemovals(tx, room, evaluation, at)
    if (pending === 'uncovered') return { pendingIn: room.no }
    const accepted = await recordCommit(ctx, tx, { room, asker, submission, evaluation, at, standing: place.standing })
    return { accepted, removals: pending === 'left-over' }
  })
}

function checkPlace(room: Pick<RoomRow, 'epoch'>, place: Place, epoch: number): void {
  if (place.unlinked) throw new HubError('unlinked')
  if (place.standing === undefined) throw new HubError('not-found')
  if (place.standing === 'left') throw new HubError('not-allowed')
  if (epoch !== room.epoch) throw new HubError('wrong-epoch', { epoch: room.epoch })
}

async function isVersion(tx: Transaction, room: RoomRow, version: number): Promise<boolean> {
  const [row] = await tx.query<{ version: number }>('select version from hub.room_group where room_no = $1', [room.no])
  return row?.version === version
}

/**
 * A member's commit takes out every leaf that has to go, and puts in force the manifest that dropped it unless nobody has
 * a valid one any more. An external commit cannot: what it leaves is proposed again for its epoch.
 */
async function checkRemovals(
  tx: Transaction,
  room: RoomRow,
  { removed, external, roster }: Evaluation,
  at: number,
): Promise<'none' | 'uncovered' | 'left-over'> {
  const rows = await tx.query<{
    device_id: string
    account: string
    manifest_number: number
    proposed: boolean
    renewable: boolean
  }>(
    `select r.device_id, r.account, r.manifest_number, r.proposal is not null as proposed, a.manifest_until > $2 as renewable
       from hub.removal r join hub.account a on a.address = r.account where r.room_no = $1`,
    [room.no, at],
  )
  const gone = new Set<string>(removed.map(({ deviceId }) => deviceId))
  const covered = rows.filter(({ device_id }) => gone.has(device_id))
  const rest = rows.filter(({ device_id }) => !gone.has(device_id))
  if (!external && rest.some(({ proposed }) => proposed || covered.length === 0)) return 'uncovered'
  for (const { account, manifest_number, renewable } of covered) {
    const inForce = [...roster].find(([address]) => address === account)?.[1].number ?? 0
    if (renewable && inForce < manifest_number) throw new HubError('old-manifest')
  }
  return rest.length > 0 ? 'left-over' : 'none'
}

async function refusePending(ctx: HubContext, roomNo: number): Promise<never> {
  throw new HubError('pending-proposal', { proposals: await pendingProposals(ctx, roomNo) })
}
