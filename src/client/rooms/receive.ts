import { ContentError, decodeContent, type MimiContent, messageId } from '../../content/index.ts'
import { equalBytes } from '../../crypto/index.ts'
import type { AccountAddress, Leaf, RoomId } from '../../identity/index.ts'
import {
  type CommitView,
  decodeCommitData,
  decodeState,
  epochOf,
  extensionsOf,
  type GroupState,
  judgeRoomCommit,
  leavesOf,
  MlsError,
  peekMessage,
  processMessage,
} from '../../mls/index.ts'
import { type Deliver, EntryKind } from '../../protocol/index.ts'
import { receiveFromPrimary } from '../account/companions.ts'
import { receiveFromOwnDevice } from '../account/own-devices.ts'
import { noteProfile } from '../account/profiles.ts'
import { admission, identityRefusalIn, noteManifests } from '../account/trust.ts'
import { type Context, seconds } from '../context.ts'
import { ClientError, IdentityRefusal } from '../errors.ts'
import { requireGuestCommit } from '../guests/admit.ts'
import { isForGuests } from '../guests/content.ts'
import { invitesIn, storeInvites } from '../guests/share.ts'
import { type MemberLeaf, type PendingCommitRecord, pendingCommits, type RosterRecord } from '../state/records.ts'
import type { RoomWork } from '../state/room-work.ts'
import type { LogPosition } from '../types.ts'
import { tellPosture, tellRoom } from './announce.ts'
import { noteCapabilities } from './capabilities.ts'
import { accountsIn, groupEpoch, tellGroup } from './group-state.ts'
import { noteReceipts } from './receipts.ts'
import { rosterAfter } from './roster.ts'
import { firstSubmission, refuseAll, settleSubmission } from './submissions.ts'

/**
 * Takes one entry of a room's log. What comes again is recognised by the cursor and passed over, so each entry has its
 * effect once, together with what the application stores about it.
 */
export async function receiveEntry(context: Context, work: RoomWork, entry: Deliver): Promise<void> {
  const seq = Number(entry.seq)
  await adoptIfTaken(context, work, entry)
  if (!work.record?.joined || work.record.enter) return
  if (seq <= work.record.cursor) {
    // One of our own is as a rule known from the answer to its submission.
    if (!entry.own) await context.events.run('repeated', { room: work.id }, work.tx)
    return
  }
  // Numbers have no holes. Where the log was shortened before this device came for it, or is kept back, that is said; a
  // missing commit shows by itself, and is told of when the device has entered anew.
  if (seq > work.record.cursor + 1) {
    const missed = Number(epochOf(await work.group()))
    if ((epochIn(entry.message) ?? 0) <= missed) {
      work.update({ missed })
      await context.events.run('gap', position(work.id, entry), work.tx)
    }
  }
  if (entry.kind === EntryKind.MESSAGE) await receiveMessage(context, work, entry)
  else if (entry.kind === EntryKind.COMMIT) await receiveCommit(context, work, entry)
  else if (entry.kind === EntryKind.PROPOSAL) await receiveProposal(context, work, entry)
  work.update({ cursor: seq })
}

const position = (room: RoomId, entry: Deliver) => ({
  room,
  seq: Number(entry.seq),
  timestampMs: Number(entry.timestampMs),
})

async function receiveMessage(context: Context, work: RoomWork, entry: Deliver): Promise<void> {
  const at = position(work.id, entry)
  if (entry.own) {
    if (at.seq <= (work.record?.settled ?? 0)) return
    // One is under way at a time, so it is the oldest, or it was settled by the provider's answer.
    const first = await firstSubmission(work)
    if (first?.value.message && equalBytes(first.value.message, entry.message))
      await settleSubmission(context, work, first.key, first.value, at)
    return
  }
  const group = await work.group()
  const epoch = Number(epochOf(group))
  // What stands behind a commit is of its epoch: this one was opened at its place, or is not the log's.
  if ((epochIn(entry.message) ?? epoch) < epoch) {
    const error = new ClientError('undecryptable', 'of an epoch that has passed')
    return context.events.run('undecryptable', { ...at, error }, work.tx)
  }
  const opened = await attempt(() => openMessage(context, group, entry.message))
  if (opened instanceof ClientError) {
    // Of an epoch that is yet to come here: a commit was kept from this device.
    if ((epochIn(entry.message) ?? 0) > epoch) return cannotFollow(context, work, opened)
    // So much was missed that nothing of this sender opens any more, and the distance only grows. Without a gap it is
    // made up: any member could drive all others out and in again with it. After a gap it works once, since the epoch ends.
    if (isTooFar(opened) && work.record?.missed === epoch) return cannotFollow(context, work, opened)
    const error = new ClientError('undecryptable', opened.message, { cause: opened })
    return context.events.run('undecryptable', { ...at, error }, work.tx)
  }
  work.advance(opened.state, 'ratchets')
  const { sender, plaintext } = opened
  const leaf = admission(context, work.tx, 0, false).leafOf(sender)
  const content = readContent(context, plaintext, { sender: leaf.address, room: work.id })
  if (content instanceof ClientError) return context.events.run('undecryptable', { ...at, error: content }, work.tx)
  const own = leaf.address === context.self.address
  if (work.record?.kind === 'self' && own && (await receiveFromOwn(context, work, leaf, content, at))) return
  if (work.record?.kind === 'guest' && !isForGuests(content)) {
    const error = new ClientError('text-only')
    return context.events.run('undecryptable', { ...at, error }, work.tx)
  }
  // Whoever writes into a room has accepted it.
  if (!own && !work.record?.answered) {
    work.update({ answered: true, otherStanding: 'accepted' })
    await tellRoom(context, work)
  }
  const guestOf = leaf.accountKind === 'guest' && !own ? work.id : undefined
  await noteProfile(context, work.tx, leaf.address, content, guestOf)
  await noteCapabilities(work.tx, leaf, content)
  const id = messageId(context.crypto, { sender: leaf.address, room: work.id, encoded: plaintext, salt: content.salt })
  const roomKind = work.record?.kind ?? 'direct'
  const received = { ...at, roomKind, sender: leaf.address, senderDevice: leaf.deviceId, own, messageId: id, content }
  await context.events.run('message', received, work.tx)
  await noteReceipts(context, work, received)
  if (!own) work.afterwards(() => context.typing.spoke(work.id, leaf.address))
}

const isTooFar = ({ cause }: ClientError) => cause instanceof MlsError && cause.code === 'too-far-ahead'

/** The content, when it can be read and says what the group says about who sent it, and where. */
function readContent(
  context: Context,
  plaintext: Uint8Array,
  truth: { sender: string; room: string },
): MimiContent | ClientError {
  try {
    if (plaintext.length > context.settings.messageBytes) return new ClientError('too-large')
    const content = decodeContent(plaintext)
    const { sender = truth.sender, room = truth.room } = content
    if (sender !== truth.sender || room !== truth.room) return new ClientError('bad-content', 'another sender or room')
    return content
  } catch (cause) {
    if (cause instanceof ContentError) return new ClientError('bad-content', cause.code, { cause })
    throw cause
  }
}

/** What other devices of this account say that is nothing for an application to show. */
async function receiveFromOwn(
  context: Context,
  work: RoomWork,
  sender: Leaf,
  content: MimiContent,
  at: LogPosition,
): Promise<boolean> {
  return (
    (await receiveInvites(context, work, content)) ||
    (await receiveFromOwnDevice(context, work, content, at)) ||
    receiveFromPrimary(context, work, sender, content)
  )
}

/** Links that another device of this account has made or revoked. */
async function receiveInvites(context: Context, work: RoomWork, content: MimiContent): Promise<boolean> {
  const bytes = invitesIn(content)
  if (!bytes) return false
  await storeInvites(work.tx, bytes)
  work.afterwards(() => context.hooks.invitesLearned?.())
  return true
}

async function openMessage(context: Context, group: GroupState, message: Uint8Array) {
  const authenticate = () => Promise.reject(new MlsError('malformed', 'a handshake among the messages'))
  const opened = await processMessage(context.mls, group, message, { authenticate })
  if (opened.kind !== 'application') throw new MlsError('malformed', 'a handshake among the messages')
  return opened
}

async function receiveProposal(context: Context, work: RoomWork, entry: Deliver): Promise<void> {
  const admitted = admission(context, work.tx, seconds(Number(entry.timestampMs)), false)
  const done = await attempt(async () => {
    const processed = await processMessage(context.mls, await work.group(), entry.message, admitted)
    // A proposal that was kept would go into the next commit of this device, whoever made it.
    if (processed.kind === 'proposal' && processed.sender.type === 'external' && processed.proposal.type === 'remove')
      return processed
    throw new MlsError('invalid-proposal', 'a proposal other than a removal by the hub')
  })
  // Should a commit take up what we could not, that commit is what cannot be followed.
  if (done instanceof ClientError) return context.events.tell('fault', done)
  // What is proposed here is committed by the next who speaks, so it is taken for nothing but what the hub is there for.
  if (done.kind !== 'proposal' || done.proposal.type !== 'remove')
    return context.events.tell('fault', new ClientError('protocol', 'a proposal that is no removal'))
  work.advance(done.state, 'whole')
  work.update({ proposals: [...(work.record?.proposals ?? []), { manifests: entry.manifests }] })
}

async function receiveCommit(context: Context, work: RoomWork, entry: Deliver): Promise<void> {
  const before = await work.roster()
  const group = await work.group()
  const at = seconds(Number(entry.timestampMs))
  const admitted = admission(context, work.tx, at, false)
  const step = await attempt(async () => {
    // A commit of an epoch that is past here was taken in when this device entered.
    if ((peekMessage(entry.message).epoch ?? 0n) < epochOf(group)) return undefined
    const psks = work.record?.psk ? [work.record.psk] : []
    const done = await processMessage(context.mls, group, entry.message, { ...admitted, psks })
    if (done.kind !== 'commit') throw new MlsError('invalid-commit', 'not a commit')
    if (done.selfRemoved) {
      const stays = (leaf: MemberLeaf) => !done.removed.some(({ index }) => index === leaf.index)
      const own = before.leaves.filter(({ address }) => address === context.self.address)
      return { removedBy: admitted.leafOf(done.committer).address, account: !own.some(stays) }
    }
    requireGuestCommit(context, work.record, done, admitted.leafOf)
    const { manifests } = decodeCommitData(done.aad)
    const { added, external } = done
    const after = leavesOf(done.state)
    const next = rosterAfter(context, before, { after, added, external, manifests, at }, admitted)
    const by = admitted.leafOf(done.committer).address
    const refusal = judgeRoomCommit(done, {
      extensions: { before: extensionsOf(group), after: extensionsOf(done.state) },
      sender: by,
      leaves: { before: before.leaves, after: next.roster.leaves },
      leafOf: admitted.leafOf,
      roster: next.outcome.roster,
    })
    return { done, by, refusal, ...next }
  })
  if (step === undefined) return
  if (step instanceof ClientError) return cannotFollow(context, work, step)
  const earlier = await groupEpoch(work)
  if ('removedBy' in step) {
    await leaveGroup(context, work)
    // Else the account is still in it, and this device comes back.
    if (step.account) await leftOut(context, work)
    if (!earlier || !step.account) return
    const nothing = { added: [], left: [], roles: [] }
    const change = { ...position(work.id, entry), by: step.removedBy, removed: [context.self.address], ...nothing }
    return context.events.run('group', change, work.tx)
  }
  const { done, by, refusal, roster, outcome } = step
  if (refusal) return refuseRoom(context, work, by, refusal)
  work.advance(done.state, 'whole')
  work.setRoster(roster)
  work.update({ proposals: [] })
  // A commit of ours was made for the epoch that has just ended: lost, and made again if it is still wanted.
  await pendingCommits.delete(work.tx, work.id)
  await admitted.remember()
  if (outcome.announced.length > 0) await noteManifests(work.tx, outcome.roster)
  for (const account of new Set([...outcome.keyChanged, ...admitted.changed]))
    await context.events.run('keyChanged', { room: work.id, account }, work.tx)
  if (work.record?.kind === 'self' && context.self.kind === 'primary' && done.added.length > 0)
    work.update({ contactsOwed: true })
  const left = new Set(goneByProposal(done, before))
  await tellGroup(context, work, earlier, { ...position(work.id, entry), by, left })
  await tellPosture(context, work, before, roster)
}

/** Whom the hub's proposals took out: those who left, and those whose device was unlinked. */
function goneByProposal({ external, proposals }: CommitView, { leaves }: RosterRecord): AccountAddress[] {
  const places = new Set(
    proposals.flatMap((each) => (each.type === 'remove' && !external && each.by === undefined ? [each.index] : [])),
  )
  return leaves.filter(({ index }) => places.has(index)).map(({ address }) => address)
}

/**
 * The provider let a commit pass that the room's rule forbids. Entering anew would be to accept what it made of the room,
 * so this device takes no further part in it, until somebody adds it again.
 */
async function refuseRoom(context: Context, work: RoomWork, account: AccountAddress, refusal: string): Promise<void> {
  const error = new ClientError('policy-broken', refusal)
  work.forgetGroup()
  work.update({ joined: false, enter: false, refused: error.code, proposals: [] })
  await leftOut(context, work)
  await tellRoom(context, work)
  await context.events.run('refused', { room: work.id, account, error }, work.tx)
}

/** What the log's bytes make impossible comes back as an error; a failing storage or application comes through. */
async function attempt<T>(fn: () => Promise<T>): Promise<T | ClientError> {
  try {
    return await fn()
  } catch (error) {
    const refusal = identityRefusalIn(error)
    if (refusal) return refusal
    if (error instanceof MlsError) return new ClientError('bad-commit', error.code, { cause: error })
    throw error
  }
}

/**
 * A handshake that this device cannot or will not follow. The room is entered anew from outside, where every leaf is
 * looked at again, so that neither a fault nor a lie of the provider leaves the device in a group of its own.
 */
async function cannotFollow(context: Context, work: RoomWork, error: ClientError): Promise<void> {
  work.update({ enter: true })
  await pendingCommits.delete(work.tx, work.id)
  if (!(error instanceof IdentityRefusal)) return context.events.tell('fault', error)
  const { account } = error
  await context.events.run('refused', { room: work.id, ...(account && { account }), error }, work.tx)
}

/** This device's leaf was removed. Whether it may come back is seen when the provider is asked for the rooms. */
async function leaveGroup(context: Context, work: RoomWork): Promise<void> {
  work.forgetGroup()
  work.update({ joined: false, enter: false, proposals: [] })
  await tellRoom(context, work)
}

/** What waits to be sent is not kept for a day on which somebody adds this account again. */
function leftOut(context: Context, work: RoomWork): Promise<void> {
  return refuseAll(context, work, new ClientError('not-joined'))
}

/** Our own commit came back in its place: the state that was kept with it is the room's now. */
async function adoptIfTaken(context: Context, work: RoomWork, entry: Deliver): Promise<void> {
  const pending = await pendingCommits.get(work.tx, work.id)
  if (!pending) return
  const isIt = entry.kind === EntryKind.COMMIT && equalBytes(entry.message, pending.commit)
  // Entering from outside, the first that is heard may be what came after it: only its takers can have made that.
  const follows = pending.kind !== 'commit' && !isIt && epochIn(entry.message) === pending.epoch + 1
  if (isIt) await adoptPending(context, work, pending, position(work.id, entry))
  else if (follows)
    await adoptPending(context, work, pending, { ...position(work.id, entry), seq: Number(entry.seq) - 1 })
}

function epochIn(message: Uint8Array): number | undefined {
  try {
    return Number(peekMessage(message).epoch)
  } catch {
    return undefined
  }
}

/** Makes the state of our commit the room's. `at`: its place in the log. */
export async function adoptPending(
  context: Context,
  work: RoomWork,
  pending: PendingCommitRecord,
  at: { seq: number; timestampMs: number },
): Promise<void> {
  const follows = work.record?.joined === true && !work.record.enter
  const before = follows ? await work.roster() : undefined
  const earlier = follows && pending.kind === 'commit' ? await groupEpoch(work) : undefined
  const entering = pending.kind !== 'commit'
  const rejoined = pending.kind === 'join' && work.record !== undefined && work.record.cursor > 0
  work.update({ joined: true, cursor: Math.max(at.seq, work.record?.cursor ?? 0), proposals: [], commitDue: false })
  if (entering) work.update({ creating: false, enter: false })
  work.advance(decodeState(pending), 'whole')
  work.setRoster(pending.roster)
  await pendingCommits.delete(work.tx, work.id)
  work.afterwards(() => void context.changes.decided(work.id, pending.key))
  const { address } = context.self
  const after = accountsIn(pending.roster)
  const left = [...(earlier?.accounts ?? [])].filter((each) => !after.has(each) && !pending.removes?.includes(each))
  await tellGroup(context, work, earlier, { ...at, by: address, left: new Set(left) })
  if (entering) await tellRoom(context, work)
  if (rejoined) await context.events.run('gap', { room: work.id, ...at }, work.tx)
  await tellPosture(context, work, before, pending.roster)
}
