import { type Crypto, equalBytes, toHex } from '../crypto/index.ts'
import { type AccountAddress, parseAccountAddress } from './address.ts'
import { requireValid } from './document.ts'
import { IdentityError } from './errors.ts'
import type { Leaf } from './leaf.ts'
import { acceptManifest, deviceIn, type Manifest, type ManifestState, manifestHash, openManifest } from './manifest.ts'

/** A manifest in force in a group: what its GroupInfo states, and the document while the account has a leaf. */
export interface RosterEntry extends ManifestState {
  /** Absent once the account has left: the number stays, so that an older manifest cannot come back with it. */
  inForce?: { document: Uint8Array; manifest: Manifest }
}

/** The manifests in force in one group, by account. */
export type Roster = ReadonlyMap<AccountAddress, RosterEntry>

/** What the rule needs to know of a leaf. */
export type RosterLeaf = Pick<Leaf, 'address' | 'accountKey' | 'deviceKey' | 'deviceKind'>

/** A commit as the rule sees it. Leaves that are new or changed have passed `verifyLeaf` already. */
export interface RosterCommit {
  /** All leaves of the epoch that the commit ends. */
  before: readonly RosterLeaf[]
  /** All leaves of the epoch that it begins. */
  after: readonly RosterLeaf[]
  /** Of `after`: those that were added, or joined by an external commit. */
  added: readonly RosterLeaf[]
  /** Whether it is an external commit (RFC 9420 §12.4.3.2). */
  external: boolean
  /** Signed manifests from its authenticated data, one for an account at most. */
  manifests: readonly Uint8Array[]
  /** The log's time, seconds since the epoch. */
  at: number
}

export interface RosterOutcome {
  roster: Roster
  /** Accounts whose devices the commit changed the list of. */
  announced: AccountAddress[]
  /** Accounts that stand under another account key than before: to be shown, with a new safety number. */
  keyChanged: AccountAddress[]
}

export const emptyRoster: Roster = new Map()

/**
 * The rule by which manifests bind, the same at the hub and at every member; whoever computes it from the same log gets
 * the same answer, so they cannot split. After a commit
 * - every account with a leaf has a manifest in force, and it lists each of its leaves under the leaf's kind;
 * - that manifest was valid at the log's time when a leaf of the account was added;
 * - a device comes in by being added, never by somebody's leaf turning into it;
 * - a manifest only gives way to a newer one, signed by the account's key, that follows it;
 * - an account has one account key. It changes only by a member's commit that carries a manifest under the new key;
 * - an external commit brings a device of an account that was there before, under the same key: having a GroupInfo,
 *   which the hub hands out, makes nobody a member.
 *
 * Throws IdentityError older, conflict, malformed, bad-signature, expired, not-yet-valid, no-manifest, not-in-manifest,
 * kind-mismatch, key-mismatch, duplicate-device, unknown-account or not-a-member; the commit is to be refused then.
 */
export function applyManifests(crypto: Crypto, roster: Roster, commit: RosterCommit): RosterOutcome {
  const before = accountKeys(commit.before)
  const after = accountKeys(commit.after)
  const next = new Map(roster)
  const announced: AccountAddress[] = []
  const carried = new Set<AccountAddress>()
  for (const document of commit.manifests) {
    const { entry, manifest, verdict } = readCarried(
      crypto,
      roster,
      document,
      commit.at,
      new Map([...before, ...after]),
    )
    if (carried.has(manifest.account)) throw new IdentityError('conflict', 'two manifests of one account in a commit')
    carried.add(manifest.account)
    next.set(manifest.account, entry)
    if (verdict === 'newer') announced.push(manifest.account)
  }
  if (commit.external) requireMembers(commit.added, before)
  requireAdded(commit)
  const keyChanged = changedKeys(before, after)
  if (keyChanged.some((account) => !announced.includes(account))) {
    throw new IdentityError('no-manifest', 'a new account key without a manifest under it')
  }
  requireListed(next, commit.after)
  for (const { address } of commit.added) requireValid('manifest', next.get(address)!.inForce!.manifest, commit.at)
  for (const [account, { number, hash }] of next) if (!after.has(account)) next.set(account, { number, hash })
  return { roster: next, announced, keyChanged }
}

/**
 * The roster of one who joins, from the map in the GroupInfo (signed by the member who made it) and the documents that
 * the hub hands along, which are believed by their hash only. Their validity has been judged when they came into force.
 * Throws as `applyManifests` does.
 */
export function joinRoster(
  crypto: Crypto,
  stated: ReadonlyMap<string, ManifestState>,
  documents: readonly Uint8Array[],
  leaves: readonly RosterLeaf[],
): Roster {
  const keys = accountKeys(leaves)
  const byHash = new Map(documents.map((document) => [toHex(manifestHash(crypto, document)), document]))
  const roster = new Map<AccountAddress, RosterEntry>()
  for (const [address, { number, hash }] of stated) {
    const account = parseAccountAddress(address)
    const accountKey = keys.get(account)
    const document = byHash.get(toHex(hash))
    if (!accountKey) roster.set(account, { number, hash })
    if (!accountKey || !document) continue
    const { manifest, verify } = openManifest(document)
    verify(crypto, accountKey)
    if (manifest.account !== account || manifest.number !== number) {
      throw new IdentityError('conflict', 'a manifest that is not the one stated for the account')
    }
    roster.set(account, { number, hash, inForce: { document, manifest } })
  }
  requireListed(roster, leaves)
  return roster
}

/** Number and hash of every manifest, as a GroupInfo states them. */
export function statedManifests(roster: Roster): Map<AccountAddress, ManifestState> {
  return new Map([...roster].map(([account, { number, hash }]) => [account, { number, hash }]))
}

/** The documents to hand to one who joins. */
export function rosterDocuments(roster: Roster): Uint8Array[] {
  return [...roster.values()].flatMap(({ inForce }) => (inForce ? [inForce.document] : []))
}

/** The leaves that have to go in the commit that puts this manifest in force. */
export function unlistedLeaves<T extends RosterLeaf>(manifest: Manifest, leaves: readonly T[]): T[] {
  return leaves.filter((leaf) => leaf.address === manifest.account && !deviceIn(manifest, leaf.deviceKey))
}

function readCarried(
  crypto: Crypto,
  roster: Roster,
  document: Uint8Array,
  at: number,
  keys: ReadonlyMap<AccountAddress, Uint8Array>,
) {
  const { manifest, verify } = openManifest(document)
  const accountKey = keys.get(manifest.account)
  if (!accountKey) throw new IdentityError('unknown-account', 'a manifest of an account without a leaf in the group')
  verify(crypto, accountKey)
  requireValid('manifest', manifest, at)
  const hash = manifestHash(crypto, document)
  const verdict = acceptManifest(roster.get(manifest.account), { manifest, hash })
  const entry: RosterEntry = { number: manifest.number, hash, inForce: { document, manifest } }
  return { entry, manifest, verdict }
}

/** Each account's key. Throws IdentityError 'key-mismatch' when two leaves of one account state different ones. */
function accountKeys(leaves: readonly RosterLeaf[]): Map<AccountAddress, Uint8Array> {
  const keys = new Map<AccountAddress, Uint8Array>()
  for (const { address, accountKey } of leaves) {
    const known = keys.get(address)
    if (known && !equalBytes(known, accountKey)) {
      throw new IdentityError('key-mismatch', 'two leaves of one account under different account keys')
    }
    keys.set(address, accountKey)
  }
  return keys
}

function requireMembers(added: readonly RosterLeaf[], before: ReadonlyMap<AccountAddress, Uint8Array>): void {
  for (const { address, accountKey } of added) {
    const known = before.get(address)
    if (!known || !equalBytes(known, accountKey)) {
      throw new IdentityError('not-a-member', 'an external commit by an account that is not in the group')
    }
  }
}

/** An update of a leaf renews it. Were it to name another device, that one would be in without a commit that adds it. */
function requireAdded({ before, after, added }: RosterCommit): void {
  const known = new Set([...before, ...added].map(({ address, deviceKey }) => `${address} ${toHex(deviceKey)}`))
  if (after.some(({ address, deviceKey }) => !known.has(`${address} ${toHex(deviceKey)}`))) {
    throw new IdentityError('not-a-member', 'a leaf that was updated to another device')
  }
}

function changedKeys(
  before: ReadonlyMap<AccountAddress, Uint8Array>,
  after: ReadonlyMap<AccountAddress, Uint8Array>,
): AccountAddress[] {
  return [...after].flatMap(([account, key]) => {
    const old = before.get(account)
    return old && !equalBytes(old, key) ? [account] : []
  })
}

function requireListed(roster: ReadonlyMap<AccountAddress, RosterEntry>, leaves: readonly RosterLeaf[]): void {
  const seen = new Set<string>()
  for (const { address, deviceKey, deviceKind } of leaves) {
    const inForce = roster.get(address)?.inForce
    if (!inForce) throw new IdentityError('no-manifest', 'an account without a manifest in force')
    const device = deviceIn(inForce.manifest, deviceKey)
    if (!device) throw new IdentityError('not-in-manifest', 'a device that its manifest in force does not list')
    if (device.kind !== deviceKind) throw new IdentityError('kind-mismatch', 'certificate and manifest differ in kind')
    const key = toHex(deviceKey)
    if (seen.has(key)) throw new IdentityError('duplicate-device', 'a device with two leaves')
    seen.add(key)
  }
}
