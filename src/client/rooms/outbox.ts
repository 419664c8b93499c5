import type { RoomId } from '../../identity/index.ts'
import { epochOf, MlsError } from '../../mls/index.ts'
import { sendContactsIfOwed } from '../account/companions.ts'
import { sendProfileIfOwed } from '../account/profiles.ts'
import { identityRefusalIn } from '../account/trust.ts'
import { refreshManifest } from '../account/upkeep.ts'
import { clockFault } from '../clock.ts'
import { backOff } from '../connection/pause.ts'
import { expect, ProviderRefusal } from '../connection/wire.ts'
import { wireKind } from '../connection/wire-values.ts'
import type { Context } from '../context.ts'
import { asClientError, ClientError, IdentityRefusal, notAboutIt, passing } from '../errors.ts'
import { ownManifest, type PendingCommitRecord, pendingCommits, rooms, submissions } from '../state/records.ts'
import { inRoom, lookIntoRoom, type RoomWork } from '../state/room-work.ts'
import type { RoomKind } from '../types.ts'
import { tellCapabilitiesIfOwed } from './capabilities.ts'
import { commitIfDue } from './commits.ts'
import { cannotEnter, prepareEntry } from './enter.ts'
import { nextChange } from './next-change.ts'
import { sendReceiptsIfOwed } from './receipts.ts'
import { adoptPending } from './receive.ts'
import { messagesAtOnce, sendMessages, type Waiting, waitingMessages } from './send-messages.ts'
import { refuseAll, refuseSubmission } from './submissions.ts'

/** What a room has to send next; nothing leaves that is not durable. */
type Next =
  | { what: 'nothing' }
  /** Something is with the provider and its place in the log is still to come. */
  | { what: 'wait' }
  | { what: 'enter' }
  | { what: 'commit'; pending: PendingCommitRecord }
  | { what: 'messages'; batch: readonly Waiting[] }

/** How an attempt ended: go on, or try with one message alone, or wait for the log to explain the refusal, or a while. */
type Outcome = 'done' | 'wait for log' | 'one by one' | { again: ClientError }

/** How sending waits; both end early when the device has logged in again. */
export interface Waits {
  /** Until the room's log has moved, or that many milliseconds. */
  changed(milliseconds: number): Promise<void>
  sleep(milliseconds: number): Promise<void>
}

/**
 * Sends what a room has to send, one thing at a time and in order, until there is nothing left or no link. What fails for
 * a reason that passes is tried for as long as it takes; a refusal that the log never explains means that this device and
 * the hub have different groups, and the room is entered anew.
 */
export async function sendAll(context: Context, room: RoomId, waits: Waits): Promise<void> {
  const { attempts, retryFirst, retryMost } = context.settings
  let failures = 0
  /** What was found in the very transaction that settled what was sent before it. */
  let found: Found | undefined
  let single = false
  while (context.online() && !context.signal.aborted) {
    let next: Next = { what: 'wait' }
    let mark = ''
    let outcome: Outcome
    try {
      // After a failure one at a time, so that what is refused does not keep the others.
      const most = failures > 0 || single ? 1 : await messagesAtOnce(context)
      const look = async (work: RoomWork): Promise<Found> => ({
        next: await nextOf(context, work, most),
        mark: await markOf(work),
      })
      ;({ next, mark } = found ?? (await inRoom(context, room, look)))
      found = undefined
      if (next.what === 'nothing') return
      if (next.what === 'wait') outcome = 'wait for log'
      else
        outcome = await attemptNext(context, room, next, async (work) => {
          found = await look(work)
        })
      // The transaction that it was looked for in may have been undone: then what it encrypted was never durable.
      if (outcome !== 'done') found = undefined
    } catch (error) {
      found = undefined
      outcome = { again: asClientError(clockFault(context, error), 'storage') }
    }
    if (outcome === 'done' || outcome === 'one by one') {
      single = outcome === 'one by one'
      failures = 0
      continue
    }
    failures++
    const blocked = outcome === 'wait for log' || (next.what === 'commit' && !outcome.again.retry)
    if (blocked && failures > attempts) {
      await giveUp(context, room, next, new ClientError('wrong-epoch'))
      failures = 0
    } else if (outcome === 'wait for log') await logMoves(context, room, mark, waits)
    else {
      if (!passing.has(outcome.again.code)) context.events.tell('fault', outcome.again)
      await waits.sleep(Math.max(outcome.again.retryAfterMs, backOff(failures, retryFirst, retryMost)))
    }
  }
}

interface Found {
  readonly next: Next
  readonly mark: string
}

/**
 * Waits for what explains a refusal: the room is no longer at the mark that the attempt was made at, perhaps since before
 * the answer came. Or long enough.
 */
async function logMoves(context: Context, room: RoomId, mark: string, waits: Waits): Promise<void> {
  const deadline = Date.now() + context.settings.logWait
  while (Date.now() < deadline && context.online() && !context.signal.aborted) {
    // Listened to first, so that no change between looking and waiting is missed.
    const change = waits.changed(deadline - Date.now())
    if ((await inRoom(context, room, markOf)) !== mark) return
    await change
  }
}

/** Where a room stands, as far as sending depends on it: epoch, proposals, a commit of ours. */
async function markOf(work: RoomWork): Promise<string> {
  if (!work.record?.joined || work.record.enter) return 'out'
  const pending = await pendingCommits.get(work.tx, work.id)
  return `${epochOf(await work.group())} ${work.record.proposals?.length ?? 0} ${pending !== undefined}`
}

async function nextOf(context: Context, work: RoomWork, most: number): Promise<Next> {
  const { record } = work
  if (!record || record.standing === 'left' || record.standing === 'declined') return ended(context, work)
  const pending = await pendingCommits.get(work.tx, work.id)
  if (pending) return pending.accepted ? { what: 'wait' } : { what: 'commit', pending }
  if (record.enter) return { what: 'enter' }
  if (!record.joined) return ended(context, work)
  const due = await commitIfDue(context, work)
  if (due) return { what: 'commit', pending: due }
  const change = await nextChange(context, work, isAboutIt)
  if (change) return { what: 'commit', pending: change }
  await sendProfileIfOwed(context, work)
  await sendContactsIfOwed(context, work)
  await tellCapabilitiesIfOwed(context, work)
  await sendReceiptsIfOwed(context, work)
  const batch = await waitingMessages(context, work, most)
  return batch.length === 0 ? { what: 'nothing' } : { what: 'messages', batch }
}

/** A room of which this device is no part: nobody waits for a change of it, and once it is over for no message either. */
async function ended(context: Context, work: RoomWork): Promise<Next> {
  context.changes.end(new ClientError('not-joined'), work.id)
  const { standing } = work.record ?? {}
  if (standing === 'left' || standing === 'declined') await refuseAll(context, work, new ClientError('ended'))
  return { what: 'nothing' }
}

async function attemptNext(
  context: Context,
  room: RoomId,
  next: Exclude<Next, { what: 'nothing' | 'wait' }>,
  afterwards: (work: RoomWork) => Promise<void>,
): Promise<Outcome> {
  try {
    if (next.what === 'enter') return await enter(context, room)
    if (next.what === 'commit') return await sendCommit(context, room, next.pending)
    return (await sendMessages(context, room, next.batch, afterwards)) ? 'done' : 'wait for log'
  } catch (failure) {
    const error = clockFault(context, failure)
    if (!isAboutIt(context, error)) return { again: asClientError(error, 'handler') }
    if (error instanceof ClientError && error.retry) return afterFailure(context, room, next, error)
    return afterFailure(context, room, next, identityRefusalIn(error) ?? asClientError(error, 'bad-commit'))
  }
}

/**
 * Whether a failure says something about what was to be sent. A storage or an application that failed does not, nor does
 * a device that was closed, unlinked or logged out meanwhile: what is queued stays.
 */
function isAboutIt(context: Context, error: unknown): boolean {
  if (!context.online()) return false
  if (error instanceof MlsError || identityRefusalIn(error)) return true
  return error instanceof ClientError && !notAboutIt.has(error.code)
}

async function enter(context: Context, room: RoomId): Promise<Outcome> {
  const answer = await context.request({ case: 'getGroupInfo', value: { room } })
  const document = expect(answer, 'groupInfo')
  await inRoom(context, room, (work) => prepareEntry(context, work, document))
  return 'done'
}

async function sendCommit(context: Context, room: RoomId, pending: PendingCommitRecord): Promise<Outcome> {
  await sendPending(context, room, pending)
  return 'done'
}

function submissionOf(room: RoomId, { key, commit, welcome, groupInfo }: PendingCommitRecord) {
  return { room, idempotencyKey: key, commit, groupInfo, ...(welcome && { welcome }) }
}

/** A room with its first commit, as the provider is asked to take it. */
export function creationOf(room: RoomId, kind: RoomKind, pending: PendingCommitRecord) {
  const groupInfo = pending.firstGroupInfo ?? pending.groupInfo
  return { room, kind: wireKind(kind), groupInfo, commit: submissionOf(room, pending) }
}

/** Sends a commit of ours, or a room with its first one, and keeps what the provider says. Errors: the provider's. */
export async function sendPending(context: Context, room: RoomId, pending: PendingCommitRecord): Promise<void> {
  const kind = await lookIntoRoom(context, room, async ({ record }) => record?.kind ?? 'direct')
  const answer = await context.request(
    pending.kind === 'create'
      ? { case: 'createRoom', value: creationOf(room, kind, pending) }
      : { case: 'submitCommit', value: submissionOf(room, pending) },
  )
  const { seq, timestampMs } = expect(answer, 'accepted')
  await inRoom(context, room, async (work) => {
    const still = await pendingCommits.get(work.tx, room)
    if (!still || still.epoch !== pending.epoch) return
    const at = { seq: Number(seq), timestampMs: Number(timestampMs) }
    // Entries of the old epoch that stand before it in the log have to be read with the old state.
    const nothingBefore = (work.record?.cursor ?? 0) >= at.seq - 1
    if (pending.kind !== 'commit' || nothingBefore) await adoptPending(context, work, still, at)
    else await pendingCommits.put(work.tx, room, { ...still, accepted: true })
  })
}

async function afterFailure(
  context: Context,
  room: RoomId,
  next: Exclude<Next, { what: 'nothing' | 'wait' }>,
  error: ClientError,
): Promise<Outcome> {
  const behind = error instanceof ProviderRefusal && (error.code === 'wrong-epoch' || error.code === 'pending-proposal')
  if (behind && next.what === 'messages') return 'wait for log'
  if (behind && next.what === 'commit') {
    const { pending } = next
    const overtaken = await inRoom(context, room, async (work) => {
      // Entering is prepared again from the GroupInfo of now. A commit is kept until the log shows which one won, but not
      // one that lacks a proposal that it has to take up.
      const { joined } = work.record ?? {}
      const past = joined && Number(epochOf(await work.group())) > pending.epoch
      if (pending.kind === 'join' || past || error.code === 'pending-proposal') {
        await pendingCommits.delete(work.tx, room)
        return pending.kind === 'join' || past
      }
      return false
    })
    return overtaken ? { again: error } : 'wait for log'
  }
  if (error.retry) return { again: error }
  const entering = next.what === 'enter' || (next.what === 'commit' && next.pending.kind === 'join')
  if (error.code === 'wrong-clock' && entering) {
    // Made anew until somebody has set the clock.
    await inRoom(context, room, ({ tx }) => pendingCommits.delete(tx, room))
    return { again: error }
  }
  if (next.what !== 'messages' && stale.has(error.code) && (await learnNewerManifest(context))) {
    // Made with a manifest that has been overtaken: made again with the newest.
    if (next.what === 'commit') await inRoom(context, room, ({ tx }) => pendingCommits.delete(tx, room))
    return 'done'
  }
  if (next.what === 'commit' && next.pending.kind === 'commit') {
    const needed = await inRoom(context, room, async (work) => {
      await pendingCommits.delete(work.tx, room)
      work.update({ commitDue: false })
      return (work.record?.proposals ?? []).length > 0
    })
    const told = context.changes.decided(room, next.pending.key, error)
    // Nothing else can be sent before the proposals are committed; without any, the room goes on as it is.
    if (needed) return { again: error }
    if (!told) context.events.tell('fault', error)
    return 'done'
  }
  // Which of them it is shows when they are sent one by one.
  if (next.what === 'messages' && next.batch.length > 1) return 'one by one'
  await giveUp(context, room, next, error)
  return 'done'
}

const stale: ReadonlySet<string> = new Set(['old-manifest', 'not-in-manifest', 'bad-certificate'])

/** Whether the provider has a newer manifest of the account than this device had. */
async function learnNewerManifest(context: Context): Promise<boolean> {
  const number = () => context.storage.transaction(async (tx) => (await ownManifest.get(tx))?.number)
  const before = await number()
  return (await refreshManifest(context)) && (await number()) !== before
}

/** The provider does not take it: it is put away, and who cares is told. */
async function giveUp(context: Context, room: RoomId, next: Next, error: ClientError): Promise<void> {
  await inRoom(context, room, async (work) => {
    if (error.code === 'wrong-epoch' && next.what !== 'enter') {
      // The log does not explain why: this device and the hub have different groups.
      await pendingCommits.delete(work.tx, room)
      return work.update({ enter: true, commitDue: false })
    }
    if (next.what === 'messages') {
      const [{ key }] = next.batch as [Waiting]
      const value = await submissions.get(work.tx, key)
      if (value) await refuseSubmission(context, work, key, value, error)
    } else if (next.what === 'enter') {
      if (error instanceof IdentityRefusal) await cannotEnter(context, work, error)
      else work.update({ enter: false })
    } else if (next.what === 'commit' && next.pending.kind === 'create') {
      await pendingCommits.delete(work.tx, room)
      await rooms.delete(work.tx, room)
    } else {
      // Not let in. The provider's list of rooms says, after the next log-in, whether to try again.
      await pendingCommits.delete(work.tx, room)
      work.update({ enter: false })
    }
  })
  if (next.what !== 'messages') context.events.tell('fault', error)
}
