import { equalBytes, toHex } from '../../crypto/index.ts'
import {
  type AccountAddress,
  acceptManifest,
  IdentityError,
  type Leaf,
  type Manifest,
  manifestHash,
  type Roster,
  readManifest,
  readVerifiedLeaf,
  verifyLeaf,
  verifySettledLeaf,
} from '../../identity/index.ts'
import type { AuthenticateLeaf, LeafClaim } from '../../mls/index.ts'
import { timeToJudge } from '../clock.ts'
import { type Context, seconds } from '../context.ts'
import { ClientError, IdentityRefusal, type IdentityRefusalCode } from '../errors.ts'
import { accounts } from '../state/records.ts'
import type { StorageTx } from '../types.ts'

/** The leaves that were looked at in one piece of work, each verified once. */
export interface Admission {
  readonly authenticate: AuthenticateLeaf
  /** A leaf that was verified here, or that lies in a group of ours and was verified when it came in. */
  leafOf(claim: LeafClaim): Leaf
  /** Accounts that presented another key than the one known here. */
  readonly changed: ReadonlySet<AccountAddress>
  /** Keeps the account keys that were seen, the changed ones included. */
  remember(): Promise<void>
}

/**
 * Verifies leaves at the log's time (seconds) and against the account keys that this device knows. `strict`: another key
 * at a known address is refused. Otherwise, where the log has decided and refusing would only split the room, it is
 * noted in `changed`, and the caller must tell. `settled`: the leaves are those of a group that is joined.
 */
export function admission(
  context: Context,
  tx: StorageTx,
  at: number,
  strict: boolean,
  { settled = false } = {},
): Admission {
  const verify = settled ? verifySettledLeaf : verifyLeaf
  const verified = new Map<string, { identity: Uint8Array; leaf: Leaf }>()
  const seen = new Map<AccountAddress, Uint8Array>()
  const changed = new Set<AccountAddress>()
  return {
    changed,
    async authenticate({ identity, signatureKey }) {
      const key = toHex(signatureKey)
      if (equalBytes(verified.get(key)?.identity ?? new Uint8Array(), identity)) return
      const leaf = verify(context.crypto, context.trust, identity, signatureKey, at)
      const { address, accountKey } = leaf
      const known = seen.get(address) ?? (await accounts.get(tx, address))?.accountKey
      if (known && !equalBytes(known, accountKey)) {
        if (strict || address === context.self.address) throw new IdentityRefusal('key-changed', address)
        changed.add(address)
      }
      seen.set(address, accountKey)
      verified.set(key, { identity, leaf })
    },
    leafOf({ identity, signatureKey }) {
      const found = verified.get(toHex(signatureKey))
      return found && equalBytes(found.identity, identity) ? found.leaf : readVerifiedLeaf(context.crypto, identity)
    },
    async remember() {
      for (const [address, accountKey] of seen) {
        const record = await accounts.get(tx, address)
        if (!record) await accounts.put(tx, address, { accountKey })
        // The manifest and the profile belonged to the old key.
        else if (changed.has(address)) await accounts.put(tx, address, { accountKey })
      }
    },
  }
}

/**
 * A manifest that the provider presents as the one in force of an account. It must be signed by the account's key, valid
 * now, and not older than any that was ever seen: the provider could otherwise bring an unlinked device back.
 */
export async function admitManifest(
  context: Context,
  tx: StorageTx,
  account: AccountAddress,
  accountKey: Uint8Array,
  bytes: Uint8Array,
): Promise<Manifest> {
  const known = await accounts.get(tx, account)
  if (known && !equalBytes(known.accountKey, accountKey)) throw new IdentityRefusal('key-changed', account)
  try {
    const manifest = readManifest(context.crypto, bytes, accountKey)
    if (manifest.account !== account) throw new IdentityError('address-mismatch', 'a manifest of another account')
    const hash = manifestHash(context.crypto, bytes)
    const verdict = acceptManifest(known?.manifest, { manifest, hash })
    const now = seconds(timeToJudge(context))
    const tolerance = context.settings.clockTolerance
    if (now > manifest.notAfter + tolerance || now < manifest.notBefore - tolerance)
      throw new IdentityError('expired', 'a manifest that is not valid now')
    if (verdict === 'newer') {
      const devices = manifest.devices.map(({ deviceKey }) => deviceKey)
      await accounts.put(tx, account, { ...known, accountKey, manifest: { number: manifest.number, hash, devices } })
    }
    return manifest
  } catch (error) {
    throw refusalOf(error, account)
  }
}

/**
 * A room states manifests of its own, which may lag behind. Where one is older than what was seen elsewhere, every leaf
 * of the account must still be listed in the newest: an unlinked device may not come back through an old room.
 */
export async function requireNoneBroughtBack(
  tx: StorageTx,
  leaves: readonly Leaf[],
  stated: ReadonlyMap<string, { number: number; hash: Uint8Array }>,
): Promise<void> {
  for (const { address, deviceKey } of leaves) {
    const newest = (await accounts.get(tx, address))?.manifest
    const inForce = stated.get(address)
    if (!newest || !inForce || inForce.number > newest.number) continue
    if (inForce.number === newest.number && !equalBytes(inForce.hash, newest.hash))
      throw new IdentityRefusal('manifest-changed', address)
    // What other devices of this account may do is the primary's to say, and it is told by the same provider.
    if (!newest.devices.some((device) => equalBytes(device, deviceKey)))
      throw new IdentityRefusal('old-manifest', address)
  }
}

/** Keeps what a room's handshakes put in force, where it is newer than anything seen before. */
export async function noteManifests(tx: StorageTx, roster: Roster): Promise<void> {
  for (const [address, { number, hash, inForce }] of roster) {
    const known = await accounts.get(tx, address)
    if (!known || !inForce || (known.manifest && known.manifest.number >= number)) continue
    const devices = inForce.manifest.devices.map(({ deviceKey }) => deviceKey)
    await accounts.put(tx, address, { ...known, manifest: { number, hash, devices } })
  }
}

const codes: Partial<Record<IdentityError['code'], IdentityRefusalCode>> = {
  older: 'old-manifest',
  conflict: 'manifest-changed',
  'not-in-manifest': 'not-in-manifest',
}

/** What lies behind a failure, as far as it concerns who somebody is; undefined when it does not. */
export function identityRefusalIn(error: unknown, account?: AccountAddress): IdentityRefusal | undefined {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    if (cause instanceof IdentityRefusal) return cause
    if (cause instanceof IdentityError) return new IdentityRefusal(codes[cause.code] ?? 'bad-identity', account, error)
  }
  return undefined
}

/** The error as this room's: an identity that does not hold, or what it was. */
export function refusalOf(error: unknown, account?: AccountAddress): ClientError {
  const refusal = identityRefusalIn(error, account)
  if (refusal) return refusal
  return error instanceof ClientError ? error : new ClientError('bad-identity', undefined, { cause: error })
}
