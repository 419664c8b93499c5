import { equalBytes } from '../../crypto/index.ts'
import { acceptManifest, decodeRoster, manifestHash, readManifest, unlistedLeaves } from '../../identity/index.ts'
import {
  createCommit,
  encodeCommitData,
  encodeState,
  epochOf,
  leavesOf,
  ownLeafIndex,
  pendingProposals,
} from '../../mls/index.ts'
import { credentialOf } from '../account/key-packages.ts'
import { currentManifest } from '../account/manifests.ts'
import { admission } from '../account/trust.ts'
import { timeToJudge } from '../clock.ts'
import { type Context, seconds } from '../context.ts'
import { ClientError } from '../errors.ts'
import { type PendingCommitRecord, pendingCommits, type RosterRecord } from '../state/records.ts'
import type { RoomWork } from '../state/room-work.ts'
import { rosterAfter, statedIn } from './roster.ts'

/**
 * Makes the commit that the room needs, if it needs one: removals that the hub proposed, own devices that were unlinked,
 * a renewed certificate. It is kept with the state that it leads to, and becomes the room's when the log has it.
 */
export async function commitIfDue(context: Context, work: RoomWork): Promise<PendingCommitRecord | undefined> {
  const group = await work.group()
  const proposed = pendingProposals(group)
  if (proposed.length === 0 && !work.record?.commitDue) return undefined
  const roster = await work.roster()
  const own = await currentManifest(context, work.tx)
  const remove = unlistedLeaves(own.read, roster.leaves).map(({ index }) => index)
  const leaves = leavesOf(group)
  const index = ownLeafIndex(group)
  const identity = credentialOf(context)
  const renewed = leaves.some((leaf) => leaf.index === index && !equalBytes(leaf.identity, identity))
  if (proposed.length === 0 && remove.length === 0 && !renewed) {
    work.update({ commitDue: false })
    return undefined
  }
  if (remove.includes(index)) throw new ClientError('unlinked')
  const gone = new Set([...remove, ...proposed.flatMap((each) => (each.type === 'remove' ? [each.index] : []))])
  const after = leaves
    .filter((leaf) => !gone.has(leaf.index))
    .map((leaf) => (leaf.index === index ? { ...leaf, identity } : leaf))
  const proposedManifests = (work.record?.proposals ?? []).flatMap(({ manifests }) => manifests)
  const at = seconds(timeToJudge(context))
  const manifests = newestOf(context, roster, [own.bytes, ...proposedManifests], at)
  const admitted = admission(context, work.tx, at, true)
  const next = rosterAfter(context, roster, { after, added: [], external: false, manifests, at }, admitted)
  const result = await createCommit(context.mls, group, {
    remove: remove.filter((leaf) => !proposed.some((each) => each.type === 'remove' && each.index === leaf)),
    aad: encodeCommitData({ manifests }),
    groupInfoExtensions: statedIn(next.roster),
    ...(renewed && { identity }),
  })
  if (leavesOf(result.state).length !== after.length) throw new ClientError('bad-commit', 'proposals that contradict')
  const pending: PendingCommitRecord = {
    kind: 'commit',
    key: context.crypto.randomBytes(16),
    epoch: Number(epochOf(group)),
    commit: result.commit,
    groupInfo: result.groupInfo,
    ...encodeState(result.state),
    roster: next.roster,
  }
  await pendingCommits.put(work.tx, work.id, pending)
  return pending
}

/**
 * Of each account in the room the newest of these documents, where it is newer than what is in force and valid at this time.
 * Of one whose last leaf goes as well: that its device is gone is in force only with the manifest that says so.
 */
function newestOf(
  { crypto }: Pick<Context, 'crypto'>,
  { manifests, leaves }: RosterRecord,
  documents: readonly Uint8Array[],
  at: number,
): Uint8Array[] {
  const newest = new Map(decodeRoster(manifests))
  const carried = new Map<string, Uint8Array>()
  for (const document of documents)
    for (const { address, accountKey } of leaves) {
      try {
        const manifest = readManifest(crypto, document, accountKey)
        if (manifest.account !== address) continue
        if (manifest.notBefore > at || manifest.notAfter < at) break
        const hash = manifestHash(crypto, document)
        if (acceptManifest(newest.get(manifest.account), { manifest, hash }) !== 'newer') break
        newest.set(manifest.account, { number: manifest.number, hash })
        carried.set(address, document)
        break
      } catch {
        // Not this member's, or older than what is in force: nothing to carry.
      }
    }
  return [...carried.values()]
}
