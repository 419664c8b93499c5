import { equalBytes, toHex, utf8 } from '../../crypto/index.ts'
import { acceptManifest, encodeRoster, joinRoster, type RoomId } from '../../identity/index.ts'
import {
  type Extension,
  encodeCommitData,
  encodeState,
  epochOf,
  extensionsOf,
  groupIdOf,
  joinByWelcome,
  joinExternally,
  leavesOf,
  MlsError,
  readManifests,
  readRoom,
} from '../../mls/index.ts'
import {
  checkGroupInfo,
  openPublicGroup,
  publicEpochOf,
  publicExtensionsOf,
  publicGroupIdOf,
  publicLeaves,
} from '../../mls/public.ts'
import type { GroupInfoDocument, WelcomeEvent } from '../../protocol/index.ts'
import { credentialOf, signatureKeys } from '../account/key-packages.ts'
import { currentManifest } from '../account/manifests.ts'
import {
  type Admission,
  admission,
  identityRefusalIn,
  noteManifests,
  requireNoneBroughtBack,
} from '../account/trust.ts'
import { timeToJudge } from '../clock.ts'
import { kindOf, parseAddress, standingOf } from '../connection/wire-values.ts'
import { type Context, seconds } from '../context.ts'
import { ClientError, IdentityRefusal } from '../errors.ts'
import { invitePsks, pskForEntry, requireGuestCircle, requireInvite } from '../guests/admit.ts'
import {
  keyPackages,
  type MemberLeaf,
  type PendingCommitRecord,
  pendingCommits,
  type RoomRecord,
} from '../state/records.ts'
import type { RoomWork } from '../state/room-work.ts'
import type { RoomKind } from '../types.ts'
import { roomView, tellPosture, tellRoom } from './announce.ts'
import { noteGroup } from './group-state.ts'
import { ownLeaf, rosterAfter, statedIn } from './roster.ts'

/**
 * Takes a Welcome: the group's GroupInfo is signed by the one who invites, every leaf is verified at the log's time, and
 * every device must be listed in the manifests that the GroupInfo names. A Welcome that does not hold is told of and
 * otherwise passed over; one that this device has no key for any more is a reason to enter from outside.
 */
export async function receiveWelcome(context: Context, work: RoomWork, event: WelcomeEvent): Promise<void> {
  const known = work.record
  const seq = Number(event.seq)
  if (known?.joined && known.cursor >= seq) return
  // One that is newer than what was read: this device was taken out and is back, and was away for both.
  const returned = known?.joined === true && !known.enter
  const record = recordOf(context, event, known)
  work.begin(record)
  const admitted = admission(context, work.tx, seconds(Number(event.timestampMs)), true, { settled: true })
  let joined: Awaited<ReturnType<typeof openWelcome>>
  try {
    joined = await openWelcome(context, work, event, admitted)
  } catch (error) {
    return cannotEnter(context, work, error)
  }
  const { state, manifests, roster, usedKeyPackage, psk } = joined
  // A Welcome for the last-resort KeyPackage can be opened again. Shown as a new one it would take this device back to keys
  // that it has used.
  if (known && Number(epochOf(state)) <= (known.epoch ?? 0)) {
    work.begin(known)
    return context.events.tell('fault', new ClientError('protocol', 'a Welcome of an epoch that is past'))
  }
  if (usedKeyPackage) await keyPackages.delete(work.tx, usedKeyPackage)
  const { refused: _, ...kept } = record
  const other = otherOf(context, record, roster.leaves)
  work.begin({ ...kept, joined: true, enter: false, cursor: seq, proposals: [], ...other, ...(psk && { psk }) })
  work.advance(state, 'whole')
  work.setRoster(roster)
  await pendingCommits.delete(work.tx, work.id)
  await admitted.remember()
  await noteManifests(work.tx, manifests)
  await noteGroup(context, work)
  if (record.kind === 'group') work.update({ profileOwed: true })
  await tellRoom(context, work)
  const timestampMs = Number(event.timestampMs)
  if (returned) await context.events.run('gap', { room: work.id, seq, timestampMs }, work.tx)
  await tellPosture(context, work, undefined, roster)
  if (record.standing === 'requested' && work.record)
    await context.events.run('request', roomView(work.id, work.record), work.tx)
}

async function openWelcome(context: Context, work: RoomWork, event: WelcomeEvent, admitted: Admission) {
  const stored = await keyPackages.list(work.tx)
  const kind = kindOf(event.kind)
  const { state, usedReference, groupInfoExtensions, pskIds } = await joinByWelcome(context.mls, {
    welcome: event.welcome,
    keyPackages: stored.map(({ value }) => value),
    authenticate: admitted.authenticate,
    psks: kind === 'guest' ? await invitePsks(context, work.tx) : [],
  })
  requireRoom(work.id, kind, groupIdOf(state), extensionsOf(state))
  const leaves = leavesOf(state).map((leaf): MemberLeaf => ({ ...admitted.leafOf(leaf), index: leaf.index }))
  requireOwnCircle(context, work.record, leaves)
  requireGuestCircle(kind, leaves)
  const at = Number(event.timestampMs)
  const psk = kind === 'guest' ? await requireInvite(context, work.tx, work.id, pskIds, at) : undefined
  const manifests = await joinedRoster(context, work, groupInfoExtensions, event.manifests, leaves)
  const used = stored.find(({ key }) => key === toHex(usedReference))
  const usedKeyPackage = used && !used.value.lastResort ? used.key : undefined
  return { state, manifests, roster: { leaves, manifests: encodeRoster(manifests) }, usedKeyPackage, psk }
}

/** Prepares entering from outside (RFC 9420 §12.4.3.2), in place of an own former leaf. The same checks as for a Welcome. */
export async function prepareEntry(
  context: Context,
  work: RoomWork,
  document: GroupInfoDocument,
): Promise<PendingCommitRecord> {
  const at = seconds(Number(document.timestampMs))
  const admitted = admission(context, work.tx, at, true, { settled: true })
  const { authenticate } = admitted
  const group = await openPublicGroup(context.mls, document.groupInfo, authenticate)
  const { extensions } = await checkGroupInfo(context.mls, group, document.groupInfo)
  // In a group of before, whoever was removed since would read what this device writes.
  if (Number(publicEpochOf(group)) < (work.record?.epoch ?? 0))
    throw new ClientError('protocol', 'a group of an epoch that is past')
  const leaves = publicLeaves(group).map((leaf): MemberLeaf => ({ ...admitted.leafOf(leaf), index: leaf.index }))
  requireRoom(work.id, work.record?.kind, publicGroupIdOf(group), publicExtensionsOf(group))
  requireOwnCircle(context, work.record, leaves)
  requireGuestCircle(work.record?.kind, leaves)
  const psk = await pskForEntry(context, work.tx, work.record, document.invite)
  const manifests = await notYet(() => joinedRoster(context, work, extensions, document.manifests, leaves))
  const before = { leaves, manifests: encodeRoster(manifests) }
  const former = ownLeaf(before, context.self.deviceKey)
  const own = await currentManifest(context, work.tx)
  const inForce = manifests.get(context.self.address)
  const listed = inForce?.inForce?.manifest.devices.some((each) => equalBytes(each.deviceKey, context.self.deviceKey))
  const now = seconds(timeToJudge(context))
  const carry = !listed || (inForce?.inForce?.manifest.notAfter ?? 0) <= now
  if (carry && acceptManifest(inForce, { manifest: own.read, hash: own.hash }) === 'same' && !listed)
    throw new IdentityRefusal('not-in-manifest', context.self.address)
  const carried = carry ? [own.bytes] : []
  const identity = credentialOf(context)
  const keyPair = signatureKeys(context)
  // The leaf that will be ours is the leftmost empty one; where that is, is known when the commit is made. The rule about
  // manifests does not ask for places.
  const remaining = publicLeaves(group).filter((leaf) => leaf.index !== former?.index)
  const ownClaim = { index: former?.index ?? leaves.length, identity, signatureKey: keyPair.publicKey }
  // The present leaves were judged when the epoch began; ours enters now, and may be younger than that.
  await admission(context, work.tx, now, true).authenticate(ownClaim)
  const step = { after: [...remaining, ownClaim], added: [ownClaim], external: true, manifests: carried, at: now }
  const { roster } = await notYet(async () => rosterAfter(context, before, step, admitted))
  const result = await joinExternally(context.mls, {
    groupInfo: document.groupInfo,
    identity,
    keyPair,
    authenticate,
    aad: encodeCommitData({ manifests: carried }),
    groupInfoExtensions: statedIn(roster),
    ...(psk && { psks: [psk] }),
  })
  const placed = leavesOf(result.state).map((leaf): MemberLeaf => ({ ...admitted.leafOf(leaf), index: leaf.index }))
  await admitted.remember()
  await noteManifests(work.tx, manifests)
  if (work.record) work.update({ ...otherOf(context, work.record, leaves), ...(psk && { psk }) })
  const pending: PendingCommitRecord = {
    kind: 'join',
    key: context.crypto.randomBytes(16),
    epoch: Number(publicEpochOf(group)),
    commit: result.commit,
    groupInfo: result.groupInfo,
    ...encodeState(result.state),
    roster: { leaves: placed, manifests: roster.manifests },
  }
  if (Number(epochOf(result.state)) !== pending.epoch + 1) throw new ClientError('protocol', 'an entry skips an epoch')
  await pendingCommits.put(work.tx, work.id, pending)
  return pending
}

/** A device that was unlinked has a leaf in the room still: a member has to remove it first, and will. */
async function notYet<T>(fn: () => Promise<T>): Promise<T> {
  try {
    return await fn()
  } catch (cause) {
    const code = identityRefusalIn(cause)?.code
    if (code !== 'old-manifest' && code !== 'not-in-manifest') throw cause
    throw new ClientError('not-in-manifest', 'the room does not fit the manifests yet', { cause, retry: true })
  }
}

async function joinedRoster(
  context: Context,
  work: RoomWork,
  extensions: readonly Extension[],
  documents: readonly Uint8Array[],
  leaves: readonly MemberLeaf[],
) {
  const stated = readManifests(extensions)
  await requireNoneBroughtBack(work.tx, leaves, stated)
  return joinRoster(context.crypto, stated as Parameters<typeof joinRoster>[1], documents, leaves)
}

/** What the provider says of a room must be what its members said when they made it. */
function requireRoom(
  room: RoomId,
  kind: RoomKind | undefined,
  groupId: Uint8Array,
  extensions: readonly Extension[],
): void {
  if (!equalBytes(groupId, groupIdFor(room))) throw new ClientError('protocol', 'the group of another room')
  if (kind && readRoom(extensions)?.kind !== kind) throw new ClientError('protocol', 'a room of another kind')
}

/**
 * A self room is of one account, a direct room with one other for good. Whoever knows a KeyPackage of ours can make a
 * group under any name and with us in it: handed out as such a room, it would put its maker in the place of the other, or
 * among our own devices.
 */
function requireOwnCircle(context: Context, record: RoomRecord | undefined, leaves: readonly MemberLeaf[]): void {
  if (!record || record.kind === 'group') return
  const others = new Set(leaves.map(({ address }) => address).filter((address) => address !== context.self.address))
  if (record.other) others.delete(record.other)
  const most = record.kind === 'self' || record.other ? 0 : 1
  if (others.size > most) throw new IdentityRefusal('bad-identity', [...others][0])
}

/** The MLS group of a room is named as the room is. */
export function groupIdFor(room: RoomId): Uint8Array {
  return utf8(room)
}

function otherOf(context: Context, { kind }: RoomRecord, leaves: readonly MemberLeaf[]): Partial<RoomRecord> {
  if (kind !== 'direct' && kind !== 'guest') return {}
  const other = leaves.find(({ address }) => address !== context.self.address)?.address
  return other ? { other } : {}
}

function recordOf(context: Context, event: WelcomeEvent, known: RoomRecord | undefined): RoomRecord {
  const inviter = event.inviter ? parseAddress(event.inviter) : undefined
  return {
    answered: inviter !== undefined && inviter !== context.self.address,
    joined: false,
    cursor: 0,
    ...known,
    kind: kindOf(event.kind),
    standing: standingOf(event.standing),
    ...(inviter && { inviter }),
  }
}

/** Nothing of the room was kept; why is told. Storage and application failures come through and undo everything. */
export async function cannotEnter(context: Context, work: RoomWork, error: unknown): Promise<void> {
  const refusal = identityRefusalIn(error)
  const lost = error instanceof MlsError && error.code === 'no-key-package'
  if (!refusal && !lost && !(error instanceof MlsError) && !(error instanceof ClientError && error.code === 'protocol'))
    throw error
  if (lost) return work.update({ enter: true })
  // The link may still be on its way from another device of this account.
  if (error instanceof MlsError && error.code === 'missing-psk' && work.record?.kind === 'guest')
    return work.update({ awaitsInvite: true, enter: false })
  if (refusal?.code === 'not-invited') work.update({ awaitsInvite: true })
  const told = refusal ?? new ClientError('bad-commit', undefined, { cause: error })
  work.update({ refused: told.code, enter: false })
  const account = refusal?.account
  await context.events.run('refused', { room: work.id, ...(account && { account }), error: told }, work.tx)
}
