import { equalBytes } from '../../crypto/index.ts'
import {
  acceptManifest,
  issueCertificate,
  issueManifest,
  type Manifest,
  type ManifestDevice,
  manifestHash,
  readManifest,
} from '../../identity/index.ts'
import { requireClock } from '../clock.ts'
import { expect } from '../connection/wire.ts'
import { type Context, seconds } from '../context.ts'
import { ClientError } from '../errors.ts'
import {
  accounts,
  type ManifestRecord,
  type NextManifestRecord,
  nextManifest,
  ownManifest,
  type SelfRecord,
} from '../state/records.ts'
import type { StorageTx } from '../types.ts'

type Issuer = Pick<Context, 'crypto' | 'settings' | 'clock'>

/** A certificate by the account key, valid from a little before now. Only the primary has the key. */
export function certify(
  issuer: Issuer,
  self: Pick<SelfRecord, 'address' | 'accountKey' | 'accountPrivateKey'>,
  { deviceKey, kind }: ManifestDevice,
): Uint8Array {
  const now = seconds(issuer.clock())
  const { clockTolerance, certificateLifetime } = issuer.settings
  return issueCertificate(issuer.crypto, accountPrivateKeyOf(self), {
    account: self.address,
    accountKey: self.accountKey,
    deviceKey,
    kind,
    notBefore: now - clockTolerance,
    notAfter: now + certificateLifetime,
  })
}

/** The manifest after `current` (number 1 without one), with these devices. */
export function nextManifestOf(
  issuer: Issuer,
  self: Pick<SelfRecord, 'address' | 'accountPrivateKey'>,
  current: { number: number; hash: Uint8Array } | undefined,
  devices: readonly ManifestDevice[],
): ManifestRecord {
  const notBefore = seconds(issuer.clock()) - issuer.settings.clockTolerance
  const number = (current?.number ?? 0) + 1
  const bytes = issueManifest(issuer.crypto, accountPrivateKeyOf(self), {
    account: self.address,
    number,
    previous: current?.hash ?? new Uint8Array(),
    devices,
    notBefore,
    notAfter: notBefore + issuer.settings.manifestLifetime,
  })
  return { bytes, number, hash: manifestHash(issuer.crypto, bytes) }
}

/** The account's own manifest as last published or received. */
export async function currentManifest(context: Context, tx: StorageTx): Promise<ManifestRecord & { read: Manifest }> {
  const record = await ownManifest.get(tx)
  if (!record) throw new ClientError('storage', 'the device has no manifest')
  return { ...record, read: readManifest(context.crypto, record.bytes, context.self.accountKey) }
}

/**
 * Makes the next manifest with changed devices and publishes it. It is durable before it is sent: after a crash the same
 * one is sent again, so that there are never two under one number. Primary only; calls must not overlap.
 */
export async function changeDevices(
  context: Context,
  change: (devices: readonly ManifestDevice[]) => readonly ManifestDevice[],
  certificates: Uint8Array[] = [],
): Promise<void> {
  await publishManifest(context)
  await requireClock(context)
  await context.storage.transaction(async (tx) => {
    const current = await currentManifest(context, tx)
    const next = nextManifestOf(context, context.self, current, change(current.read.devices))
    await nextManifest.put(tx, { ...next, certificates })
  })
  await publishManifest(context)
}

type Publisher = Pick<Context, 'storage' | 'connection' | 'crypto' | 'self' | 'settings' | 'clock'>

/** Sends the manifest that is made and not yet known to be published, if there is one. Errors: wrong-clock, … */
export async function publishManifest(context: Publisher): Promise<void> {
  const made = await context.storage.transaction((tx) => nextManifest.get(tx))
  if (!made) return
  const next = await inTime(context, made)
  const { bytes, certificates } = next
  const value = { manifest: bytes, certificates }
  expect(await context.connection.request({ case: 'putManifest', value }), 'done')
  await context.storage.transaction(async (tx) => {
    await nextManifest.delete(tx)
    await storeOwnManifest(context, tx, bytes)
  })
}

/**
 * A manifest that this device made, and then was away for longer than it holds, is taken by nobody. Somebody may have seen
 * it all the same: the one in its place comes after it.
 */
async function inTime(context: Publisher, made: NextManifestRecord): Promise<NextManifestRecord> {
  const { devices, notAfter } = readManifest(context.crypto, made.bytes, context.self.accountKey)
  if (notAfter > seconds(context.clock())) return made
  await requireClock(context)
  const next = { ...nextManifestOf(context, context.self, made, devices), certificates: made.certificates }
  await context.storage.transaction((tx) => nextManifest.put(tx, next))
  return next
}

/** A manifest of the own account that came from elsewhere: taken when it is newer. Returns whether this device is in it. */
export async function receiveOwnManifest(context: Context, bytes: Uint8Array): Promise<boolean> {
  return context.storage.transaction(async (tx) => {
    const manifest = readManifest(context.crypto, bytes, context.self.accountKey)
    const hash = manifestHash(context.crypto, bytes)
    if (manifest.account !== context.self.address)
      throw new ClientError('bad-identity', 'a manifest of another account')
    const current = await ownManifest.get(tx)
    if (acceptManifest(current, { manifest, hash }) === 'newer') await storeOwnManifest(context, tx, bytes)
    return manifest.devices.some(({ deviceKey }) => equalBytes(deviceKey, context.self.deviceKey))
  })
}

export async function storeOwnManifest(
  { crypto, self }: Pick<Context, 'crypto' | 'self'>,
  tx: StorageTx,
  bytes: Uint8Array,
): Promise<void> {
  const { number, devices } = readManifest(crypto, bytes, self.accountKey)
  const hash = manifestHash(crypto, bytes)
  await ownManifest.put(tx, { bytes, number, hash })
  const known = await accounts.get(tx, self.address)
  const seen = { number, hash, devices: devices.map(({ deviceKey }) => deviceKey) }
  await accounts.put(tx, self.address, { ...known, accountKey: self.accountKey, manifest: seen })
}

function accountPrivateKeyOf({ accountPrivateKey }: Pick<SelfRecord, 'accountPrivateKey'>): Uint8Array {
  if (!accountPrivateKey) throw new ClientError('not-primary', 'the account key is on the primary device only')
  return accountPrivateKey
}
