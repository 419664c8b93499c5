import { type RoomId, readEndorsement } from '../../identity/index.ts'
import { requireClock } from '../clock.ts'
import { expect } from '../connection/wire.ts'
import { type Context, seconds } from '../context.ts'
import { ClientError } from '../errors.ts'
import { lastForgotten, selfRecord, sentKeys } from '../state/records.ts'
import { renewCertificates, renewLeaves } from './companions.ts'
import { refillKeyPackages } from './key-packages.ts'
import { changeDevices, currentManifest, publishManifest, receiveOwnManifest } from './manifests.ts'

/**
 * What a device looks after whenever the provider has recognised it: its account's manifest, its endorsement and the
 * certificates, and after these, since they stand in every one of them, the supply of KeyPackages. Gives the rooms in which the own leaf has to be
 * renewed; undefined when this device no longer belongs to the account.
 */
export async function keepUp(
  context: Context,
  authenticated: { manifestNumber: number; keyPackages: number },
): Promise<RoomId[] | undefined> {
  const own = await context.storage.transaction((tx) => currentManifest(context, tx))
  if (authenticated.manifestNumber > own.number && !(await refreshManifest(context))) return undefined
  await requireClock(context)
  await renewManifest(context)
  const renewed = [...(await renewEndorsement(context)), ...(await renewCertificates(context))]
  await refillKeyPackages(context, authenticated.keyPackages)
  return renewed
}

/** Takes the account's newest manifest from the provider. Returns whether this device is in it. */
export async function refreshManifest(context: Context): Promise<boolean> {
  const value = { account: context.self.address, number: 0n }
  const document = expect(await context.request({ case: 'getManifest', value }), 'manifest')
  return receiveOwnManifest(context, document.manifest)
}

/** Primary: publishes what is not published yet, and the next manifest in time before the present one ends. */
async function renewManifest(context: Context): Promise<void> {
  if (!context.self.accountPrivateKey) return
  await context.alone('manifest', async () => {
    await publishManifest(context)
    const { read } = await context.storage.transaction((tx) => currentManifest(context, tx))
    if (read.notAfter - seconds(context.clock()) > context.settings.manifestRenewal) return
    await changeDevices(context, (devices) => devices)
  })
}

/**
 * A fresh endorsement before the present one ends. It goes into new KeyPackages at once, and into the device's leaves by
 * a commit in each room. Gives those rooms.
 */
async function renewEndorsement(context: Context): Promise<RoomId[]> {
  const { self, crypto, settings } = context
  const keys = context.trust.providerKeys(self.provider)
  const now = seconds(context.clock())
  if (readEndorsement(crypto, self.endorsement, keys).notAfter - now > settings.endorsementRenewal) return []
  const value = { account: self.address, number: 0n }
  const { endorsement } = expect(await context.request({ case: 'getManifest', value }), 'manifest')
  const fresh = readEndorsement(crypto, endorsement, keys)
  const same = fresh.account === self.address && fresh.accountKey.join() === self.accountKey.join()
  if (!same) throw new ClientError('bad-identity', 'an endorsement of something else')
  if (fresh.notAfter - now <= settings.endorsementRenewal) return []
  const joined = await context.storage.transaction(async (tx) => {
    await selfRecord.put(tx, { ...self, endorsement })
    return renewLeaves(tx)
  })
  self.endorsement = endorsement
  return joined
}

/** Forgets callers' keys of messages sent so long ago that nobody comes again with them. Looks once in a while only. */
export async function forgetSentKeys(context: Context): Promise<void> {
  const { sentKeyMemory } = context.settings
  const now = context.clock()
  const before = now - sentKeyMemory
  await context.storage.transaction(async (tx) => {
    const last = (await lastForgotten.get(tx))?.at ?? 0
    if (now - last < sentKeyMemory / 30) return
    await lastForgotten.put(tx, { at: now })
    for (const { key, value } of await sentKeys.list(tx)) if (value.at < before) await sentKeys.delete(tx, key)
  })
}
