import { equalBytes } from '../../crypto/index.ts'
import {
  type AccountAddress,
  applyManifests,
  IdentityError,
  type Roster,
  readVerifiedLeaf,
  statedManifests,
  verifyLeaf,
} from '../../identity/index.ts'
import {
  type AppliedHandshake,
  applyHandshake,
  checkGroupInfo,
  decodeCommitData,
  extensionTypes,
  judgeRoomCommit,
  type LeafView,
  type ManifestMarks,
  MlsError,
  openPublicGroup,
  type PublicGroup,
  publicEpochOf,
  publicExtensionsOf,
  publicGroupIdOf,
  publicLeaves,
  readExternalSenders,
  readManifests,
  readRoom,
} from '../../mls/public.ts'
import type { Asker, HubContext } from '../context.ts'
import { HubError, type HubErrorCode } from '../errors.ts'
import type { Evaluation, FollowedGroup, PlacedLeaf, RoomFacts } from './facts.ts'
import { checkAccounts } from './policy.ts'
import type { RoomKind } from './rows.ts'

/**
 * Follows a commit and says whether the room's rules let it pass: signatures and proofs of every new leaf at the log's
 * time `at` (milliseconds), manifests, membership, and a GroupInfo that is exactly what the hub has computed itself.
 *
 * Errors: malformed, too-large, bad-commit, bad-certificate, not-in-manifest, old-manifest, not-allowed,
 * pending-proposal.
 */
export async function evaluateCommit(
  ctx: HubContext,
  asker: Asker,
  room: RoomFacts,
  followed: FollowedGroup,
  submission: { commit: Uint8Array; groupInfo: Uint8Array },
  at: number,
): Promise<Evaluation> {
  const seconds = Math.floor(at / 1000)
  const applied = await refusing(() =>
    applyHandshake(ctx.mls, followed.group, submission.commit, authenticate(ctx, seconds)),
  )
  if (applied.kind !== 'commit') throw new HubError('bad-commit')
  // Nobody sends in another device's name, whoever holds the connection.
  if (readVerifiedLeaf(ctx.crypto, applied.committer.identity).deviceId !== asker.device)
    throw new HubError('not-allowed')
  const placed = (leaf: LeafView): PlacedLeaf => ({
    ...readVerifiedLeaf(ctx.crypto, leaf.identity),
    index: leaf.index,
  })
  const before = publicLeaves(followed.group).map(placed)
  const after = publicLeaves(applied.group).map(placed)
  const added = applied.added.map(placed)
  const removed = applied.removed.map(placed)
  for (const leaf of applied.updated.map(placed))
    if (before.find(({ index }) => index === leaf.index)?.deviceId !== leaf.deviceId) throw new HubError('bad-commit')

  const { roster, announced } = bindManifests(ctx, room, followed.roster, applied, { before, after, added }, seconds)
  const remaining = accountsOf(after)
  const evaluation: Evaluation = {
    group: applied.group,
    roster,
    before,
    after,
    added,
    removed,
    external: applied.external,
    announced,
    gone: [...accountsOf(before)].filter((account) => !remaining.has(account)),
  }
  const refused = checkAccounts(room, evaluation, ctx.settings.roomLeaves)
  if (refused) throw new HubError(refused)
  const extensions = { before: publicExtensionsOf(followed.group), after: publicExtensionsOf(applied.group) }
  const leaves = { before, after }
  if (judgeRoomCommit(applied, { extensions, sender: asker.account, leaves, leafOf: placed, roster }))
    throw new HubError('not-allowed')
  await checkStatedManifests(ctx, applied.group, roster, submission.groupInfo)
  return evaluation
}

/**
 * The group of a new room from its GroupInfo: epoch 0, the creator's leaf alone, the hub as external sender, the room's
 * own id and kind.
 *
 * Errors: malformed, too-large, bad-commit, bad-certificate.
 */
export async function openGroup(
  ctx: HubContext,
  room: { id: string; kind: RoomKind },
  groupInfo: Uint8Array,
  at: number,
): Promise<PublicGroup> {
  const group = await refusing(() => openPublicGroup(ctx.mls, groupInfo, authenticate(ctx, Math.floor(at / 1000))))
  const sound =
    publicEpochOf(group) === 0n &&
    publicLeaves(group).length === 1 &&
    new TextDecoder().decode(publicGroupIdOf(group)) === room.id
  if (!sound) throw new HubError('bad-commit')
  const { address } = readVerifiedLeaf(ctx.crypto, publicLeaves(group)[0]!.identity)
  checkFirstExtensions(ctx, room.kind, address, group)
  return group
}

function authenticate(ctx: HubContext, seconds: number) {
  return ({ identity, signatureKey }: { identity: Uint8Array; signatureKey: Uint8Array }): void => {
    verifyLeaf(ctx.crypto, ctx.trust, identity, signatureKey, seconds)
  }
}

/**
 * The hub, and nobody else, may propose from outside; a group belongs to who makes it. None of it changes later but a
 * group's name and roles (`judgeRoomCommit`), so it is looked at once.
 */
function checkFirstExtensions(ctx: HubContext, kind: RoomKind, creator: AccountAddress, group: PublicGroup): void {
  const extensions = publicExtensionsOf(group)
  const external = extensions.find(({ type }) => type === extensionTypes.externalSenders)
  const senders = external ? reading(() => readExternalSenders(external.data)) : []
  const own = senders.length === 1 && equalBytes(senders[0]!.signatureKey, ctx.providerKeyPair.publicKey)
  const room = reading(() => readRoom(extensions))
  const owned = room?.kind !== 'group' || (room.roles.size === 1 && room.roles.get(creator) === 'owner')
  const known = extensions.every(({ type }) => firstExtensions.has(type))
  if (!own || room?.kind !== kind || !owned || !known) throw new HubError('bad-commit')
}

const firstExtensions: ReadonlySet<number> = new Set([
  extensionTypes.externalSenders,
  extensionTypes.requiredCapabilities,
  extensionTypes.siltaRoom,
])

function bindManifests(
  ctx: HubContext,
  room: RoomFacts,
  roster: Roster,
  applied: Extract<AppliedHandshake, { kind: 'commit' }>,
  leaves: Pick<Evaluation, 'before' | 'after' | 'added'>,
  at: number,
) {
  const { manifests } = reading(() => decodeCommitData(applied.aad))
  try {
    return applyManifests(ctx.crypto, roster, { ...leaves, external: applied.external, manifests, at })
  } catch (cause) {
    if (!(cause instanceof IdentityError)) throw cause
    const { code } = cause
    // Somebody else's removal is in the way: the manifest cannot come into force before it.
    if (code === 'not-in-manifest' && room.removals.length > 0) throw new HubError('pending-proposal', { cause })
    throw new HubError(manifestErrors[code], { cause })
  }
}

const manifestErrors: Record<IdentityError['code'], HubErrorCode> = {
  malformed: 'malformed',
  'bad-signature': 'bad-certificate',
  expired: 'bad-certificate',
  'not-yet-valid': 'bad-certificate',
  'key-mismatch': 'bad-certificate',
  'kind-mismatch': 'bad-certificate',
  'unknown-provider': 'bad-certificate',
  'address-mismatch': 'bad-certificate',
  older: 'old-manifest',
  conflict: 'old-manifest',
  'no-manifest': 'not-in-manifest',
  'not-in-manifest': 'not-in-manifest',
  'duplicate-device': 'bad-commit',
  'unknown-account': 'bad-commit',
  'not-a-member': 'not-allowed',
}

/** Joiners take the manifests in force from the GroupInfo: it must state what every member has computed. */
async function checkStatedManifests(ctx: HubContext, group: PublicGroup, roster: Roster, groupInfo: Uint8Array) {
  const { extensions } = await refusing(() => checkGroupInfo(ctx.mls, group, groupInfo))
  const stated: ManifestMarks = reading(() => readManifests(extensions))
  const computed = statedManifests(roster)
  const same =
    stated.size === computed.size &&
    [...computed].every(([account, { number, hash }]) => {
      const mark = stated.get(account)
      return mark !== undefined && mark.number === number && equalBytes(mark.hash, hash)
    })
  if (!same) throw new HubError('bad-commit')
}

function accountsOf(leaves: readonly PlacedLeaf[]): Set<AccountAddress> {
  return new Set(leaves.map(({ address }) => address))
}

/** What the MLS room refuses becomes the hub's error. */
async function refusing<T>(call: () => Promise<T>): Promise<T> {
  try {
    return await call()
  } catch (cause) {
    throw refusal(cause)
  }
}

function reading<T>(call: () => T): T {
  try {
    return call()
  } catch (cause) {
    throw refusal(cause)
  }
}

function refusal(cause: unknown): unknown {
  if (!(cause instanceof MlsError)) return cause
  if (cause.code === 'malformed' || cause.code === 'too-large') return new HubError(cause.code, { cause })
  return new HubError(cause.code === 'refused-leaf' ? 'bad-certificate' : 'bad-commit', { cause })
}
