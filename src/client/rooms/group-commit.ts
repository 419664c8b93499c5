import { type GroupRoom, judgeCommit, sameRoom, withoutAbsent } from '../../identity/index.ts'
import {
  createCommit,
  encodeCommitData,
  encodeState,
  epochOf,
  extensionsOf,
  leavesOf,
  withRoom,
} from '../../mls/index.ts'
import { admission } from '../account/trust.ts'
import { timeToJudge } from '../clock.ts'
import { type Context, seconds } from '../context.ts'
import { ClientError } from '../errors.ts'
import { type MemberLeaf, type PendingCommitRecord, pendingCommits } from '../state/records.ts'
import type { RoomWork } from '../state/room-work.ts'
import { forbidden, type GroupIntent, type Invitation } from './changes.ts'
import { accountsIn, groupEpoch } from './group-state.ts'
import { rosterAfter, statedIn } from './roster.ts'

/**
 * The commit that carries out a change of a group in its present epoch, kept with the state that it leads to; undefined
 * when there is nothing to change any more. Judged here by the rule that hub and members apply. Errors: not-allowed,
 * not-found, not-joined, too-large, old-manifest, bad-identity.
 */
export async function commitChange(
  context: Context,
  work: RoomWork,
  intent: GroupIntent,
): Promise<PendingCommitRecord | undefined> {
  const epoch = await groupEpoch(work)
  if (!epoch) throw new ClientError('not-allowed', 'no group')
  const { room, accounts } = epoch
  const before = await work.roster()
  const invited = intent.what === 'add' ? intent.invitations.filter(({ address }) => !accounts.has(address)) : []
  const removed = intent.what === 'remove' ? before.leaves.filter(({ address }) => address === intent.account) : []
  if (intent.what === 'role' && !accounts.has(intent.account)) throw new ClientError('not-found')
  const wanted = changed(room, intent)
  if (invited.length + removed.length === 0 && sameRoom(room, wanted)) return undefined

  const at = seconds(timeToJudge(context))
  const admitted = admission(context, work.tx, at, true)
  const group = await work.group()
  const added = invited.flatMap(({ keyPackages }) => keyPackages.map(({ claim }) => ({ ...claim, index: 0 })))
  for (const leaf of added) await admitted.authenticate(leaf)
  const remaining = leavesOf(group).filter(({ index }) => !removed.some((leaf) => leaf.index === index))
  const manifests = invited.map(({ manifest }) => manifest)
  const step = { after: [...remaining, ...added], added, external: false, manifests, at }
  const { roster, outcome } = rosterAfter(context, before, step, admitted)
  const after = rolesFor(room, wanted, accountsIn(roster), invited)
  const refusal = judgeCommit({
    before: room,
    after,
    otherwiseChanged: false,
    sender: context.self.address,
    external: false,
    proposals: [],
    leavesBefore: before.leaves,
    leavesAfter: roster.leaves,
    removed: removed.map((leaf) => ({ leaf, proposed: false })),
    roster: outcome.roster,
  })
  if (refusal) throw forbidden(refusal)
  const result = await createCommit(context.mls, group, {
    add: invited.flatMap(({ keyPackages }) => keyPackages.map(({ bytes }) => bytes)),
    remove: removed.map(({ index }) => index),
    aad: encodeCommitData({ manifests }),
    groupInfoExtensions: statedIn(roster),
    forcePath: true,
    ...(!sameRoom(room, after) && { extensions: withRoom(extensionsOf(group), after) }),
  })
  const leaves = leavesOf(result.state).map((leaf): MemberLeaf => ({ ...admitted.leafOf(leaf), index: leaf.index }))
  const pending: PendingCommitRecord = {
    kind: 'commit',
    key: context.crypto.randomBytes(16),
    epoch: Number(epochOf(group)),
    commit: result.commit,
    ...(result.welcome && { welcome: result.welcome }),
    groupInfo: result.groupInfo,
    ...encodeState(result.state),
    roster: { leaves, manifests: roster.manifests },
    removes: [...new Set(removed.map(({ address }) => address))],
  }
  await pendingCommits.put(work.tx, work.id, pending)
  await admitted.remember()
  return pending
}

function changed(room: GroupRoom, intent: GroupIntent): GroupRoom {
  if (intent.what === 'rename') return { ...room, name: intent.name }
  if (intent.what !== 'role') return room
  const roles = new Map(room.roles)
  if (intent.role === 'member') roles.delete(intent.account)
  else roles.set(intent.account, intent.role)
  return { ...room, roles }
}

/** Roles of accounts that have gone are dropped with the next change of the state, and before one of them comes back. */
function rolesFor(
  room: GroupRoom,
  wanted: GroupRoom,
  accounts: ReturnType<typeof accountsIn>,
  invited: readonly Invitation[],
): GroupRoom {
  const returns = invited.some(({ address }) => room.roles.has(address))
  const goes = [...room.roles.keys()].some((account) => !accounts.has(account))
  if (!returns && !goes && sameRoom(room, wanted)) return room
  const without = new Set([...accounts].filter((account) => !invited.some(({ address }) => address === account)))
  return withoutAbsent(wanted, without)
}
