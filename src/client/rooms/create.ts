import { equalBytes } from '../../crypto/index.ts'
import {
  type AccountAddress,
  emptyRoster,
  encodeRoster,
  IdentityError,
  newRoomId,
  type RoomId,
  type RoomState,
  readEndorsement,
  verifyLeaf,
} from '../../identity/index.ts'
import {
  createCommit,
  createGroup,
  encodeCommitData,
  encodeState,
  epochOf,
  extensionTypes,
  externalSenderExtension,
  groupInfoOf,
  leavesOf,
  type Psk,
  readKeyPackage,
  requiredExtensionsExtension,
  roomExtension,
} from '../../mls/index.ts'
import type { ClaimedKeyPackages } from '../../protocol/index.ts'
import { credentialOf, signatureKeys } from '../account/key-packages.ts'
import { currentManifest } from '../account/manifests.ts'
import { admission, admitManifest, refusalOf } from '../account/trust.ts'
import { clockFault, timeToJudge } from '../clock.ts'
import { expect } from '../connection/wire.ts'
import { type Context, seconds } from '../context.ts'
import { ClientError, IdentityRefusal } from '../errors.ts'
import { accounts, pendingCommits } from '../state/records.ts'
import { inRoom } from '../state/room-work.ts'
import type { StorageTx } from '../types.ts'
import type { Invitation } from './changes.ts'
import { groupIdFor } from './enter.ts'
import { groupIn } from './group-state.ts'
import { rosterAfter, statedIn } from './roster.ts'

/**
 * Claims a KeyPackage of every device of an account. Nothing that the provider hands out is believed: the endorsement
 * must be of this account and its known key, the manifest signed by that key and no older than any seen before, and every
 * KeyPackage of a device that it lists. Errors: no-key-packages, consent-required, …; key-changed, old-manifest,
 * manifest-changed, not-in-manifest, bad-identity, wrong-clock.
 */
export async function claim(context: Context, address: AccountAddress): Promise<Invitation> {
  const request = { case: 'claimKeyPackages', value: { account: address } } as const
  const claimed = expect(await context.request(request), 'claimedKeyPackages')
  const invitation = await context.storage.transaction((tx) => admitClaim(context, tx, address, claimed))
  if (address !== context.self.address && invitation.keyPackages.length === 0) throw new ClientError('no-key-packages')
  return invitation
}

/** Looks at what the provider hands out of an account. */
export async function admitClaim(
  context: Context,
  tx: StorageTx,
  address: AccountAddress,
  claimed: Pick<ClaimedKeyPackages, 'manifest' | 'endorsement' | 'keyPackages'>,
): Promise<Invitation> {
  const now = seconds(timeToJudge(context))
  try {
    const provider = context.trust.providerKeys(context.self.provider)
    const endorsement = readEndorsement(context.crypto, claimed.endorsement, provider)
    if (endorsement.account !== address) throw new IdentityRefusal('bad-identity', address)
    const manifest = await admitManifest(context, tx, address, endorsement.accountKey, claimed.manifest)
    const devices = new Set<string>()
    const keyPackages = []
    for (const bytes of claimed.keyPackages) {
      const view = await readKeyPackage(context.mls, bytes)
      const leaf = verifyLeaf(context.crypto, context.trust, view.identity, view.signatureKey, now)
      if (leaf.address !== address || !equalBytes(leaf.accountKey, endorsement.accountKey))
        throw new IdentityRefusal('bad-identity', address)
      const listed = manifest.devices.some(({ deviceKey }) => equalBytes(deviceKey, leaf.deviceKey))
      if (!listed) throw new IdentityRefusal('not-in-manifest', address)
      if (view.notAfter < now) throw new IdentityError('expired', 'a KeyPackage that is over')
      if (devices.has(leaf.deviceId)) throw new IdentityRefusal('bad-identity', address)
      devices.add(leaf.deviceId)
      keyPackages.push({ bytes, claim: { identity: view.identity, signatureKey: view.signatureKey } })
    }
    const known = await accounts.get(tx, address)
    if (!known) await accounts.put(tx, address, { accountKey: endorsement.accountKey })
    return { address, manifest: claimed.manifest, keyPackages }
  } catch (error) {
    throw clockFault(context, refusalOf(error, address))
  }
}

/**
 * Makes a room's group with these accounts in it and keeps it, durable, until the provider has taken it. The first commit
 * adds everybody and puts the manifests in force; the hub is named as the one outside who may propose removals. `psk`: of
 * the link by which a guest makes it. `within`:
 * of the application, in the transaction that stores it.
 */
export async function prepareRoom(
  context: Context,
  state: RoomState,
  hubKey: Uint8Array,
  invitations: readonly Invitation[],
  { psk, within }: { psk?: Psk; within?: ((tx: StorageTx, room: RoomId) => Promise<void>) | undefined } = {},
): Promise<RoomId> {
  const room = newRoomId(context.crypto, context.self.provider)
  const { kind } = state
  const ofTwo = kind === 'direct' || kind === 'guest'
  const other = ofTwo ? invitations.find(({ address }) => address !== context.self.address)?.address : undefined
  const identity = credentialOf(context)
  const prepared = inRoom(context, room, async (work) => {
    const group = await createGroup(context.mls, {
      groupId: groupIdFor(room),
      identity,
      keyPair: signatureKeys(context),
      extensions: [
        externalSenderExtension(hubKey, new TextEncoder().encode(context.self.provider)),
        requiredExtensionsExtension([extensionTypes.siltaRoom]),
        roomExtension(state),
      ],
    })
    const at = seconds(timeToJudge(context))
    const admitted = admission(context, work.tx, at, true)
    const own = await currentManifest(context, work.tx)
    const others = invitations.filter(({ address }) => address !== context.self.address)
    const manifests = [own.bytes, ...others.map(({ manifest }) => manifest)]
    const added = invitations.flatMap(({ keyPackages }) => keyPackages)
    const [self] = leavesOf(group)
    const leaves = [self!, ...added.map(({ claim }, i) => ({ ...claim, index: i + 1 }))]
    for (const leaf of leaves) await admitted.authenticate(leaf)
    const before = { leaves: [], manifests: encodeRoster(emptyRoster) }
    const step = { after: leaves, added: leaves, external: false, manifests, at }
    const { roster } = rosterAfter(context, before, step, admitted)
    const result = await createCommit(context.mls, group, {
      add: added.map(({ bytes }) => bytes),
      aad: encodeCommitData({ manifests }),
      groupInfoExtensions: statedIn(roster),
      forcePath: true,
      ...(psk && { psks: [psk] }),
    })
    work.begin({
      kind,
      standing: 'accepted',
      // Who is in a group has accepted it.
      answered: kind === 'group',
      joined: false,
      cursor: 0,
      creating: true,
      ...(other && { other }),
      ...(kind === 'self' ? { contactsOwed: true } : { profileOwed: true }),
      ...groupIn(state),
      ...(psk && { psk }),
    })
    await pendingCommits.put(work.tx, room, {
      kind: 'create',
      key: context.crypto.randomBytes(16),
      epoch: Number(epochOf(group)),
      commit: result.commit,
      ...(result.welcome && { welcome: result.welcome }),
      groupInfo: result.groupInfo,
      firstGroupInfo: await groupInfoOf(context.mls, group),
      ...encodeState(result.state),
      roster: {
        leaves: leavesOf(result.state).map((leaf) => ({ ...admitted.leafOf(leaf), index: leaf.index })),
        manifests: roster.manifests,
      },
    })
    await within?.(work.tx, room)
  })
  await prepared.catch((error: unknown) => Promise.reject(clockFault(context, error)))
  return room
}
