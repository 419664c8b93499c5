import { equalBytes, toHex } from '../../crypto/index.ts'
import { encodeCredential } from '../../identity/index.ts'
import { generateKeyPackage, readKeyPackage } from '../../mls/index.ts'
import { requireClock } from '../clock.ts'
import { expect, ProviderRefusal } from '../connection/wire.ts'
import { type Context, seconds } from '../context.ts'
import { notAboutIt } from '../errors.ts'
import { type KeyPackageRecord, keyPackages } from '../state/records.ts'

/** The identity of this device's leaves. */
export function credentialOf({ self }: Pick<Context, 'self'>): Uint8Array {
  return encodeCredential({ certificate: self.certificate, endorsement: self.endorsement })
}

export function signatureKeys({ self }: Pick<Context, 'self'>) {
  return { publicKey: self.deviceKey, privateKey: self.devicePrivateKey }
}

/**
 * Fills the provider's supply of one-time KeyPackages up to the setting and keeps a last-resort one there. Private parts
 * are durable before anything is published. Those of an attempt whose answer did not come are published again, so that
 * however many attempts it takes, one supply is made. `available`: what the provider still has.
 */
export async function refillKeyPackages(context: Context, available: number): Promise<void> {
  // Nobody adds a guest to anything.
  if (context.self.kind === 'guest') return
  const { settings, mls, storage } = context
  const now = seconds(context.clock())
  const stored = await storage.transaction((tx) => keyPackages.list(tx))
  // Halfway through its life a last-resort KeyPackage gets a successor; the old one may still be in somebody's hands.
  const young = ({ notAfter }: KeyPackageRecord) => notAfter - now > settings.keyPackageLifetime / 2
  const lastResortHolds = stored.some(({ value }) => value.lastResort && value.published && young(value))
  const missing = available < settings.keyPackagesLow ? settings.keyPackages - available : 0
  if (missing === 0 && lastResortHolds) return
  await requireClock(context)
  const identity = credentialOf(context)
  const make = async (lastResort: boolean) => {
    const notAfter = now + settings.keyPackageLifetime
    const keyPair = signatureKeys(context)
    const notBefore = now - settings.clockTolerance
    const made = await generateKeyPackage(mls, { identity, keyPair, notBefore, notAfter, lastResort })
    const { publicPart, privatePart } = made
    return { key: toHex(made.reference), value: { publicPart, privatePart, notAfter, lastResort, published: false } }
  }
  const supply = async (lastResort: boolean, count: number) => {
    const all = []
    for (const each of stored) {
      const { value } = each
      if (all.length >= count || value.published || value.lastResort !== lastResort || !young(value)) continue
      // Certificate and endorsement in it may have been renewed since.
      if (equalBytes((await readKeyPackage(mls, value.publicPart)).identity, identity)) all.push(each)
    }
    while (all.length < count) all.push(await make(lastResort))
    return all
  }
  const oneTime = await supply(false, missing)
  const [lastResort] = await supply(true, lastResortHolds ? 0 : 1)
  const made = [...oneTime, ...(lastResort ? [lastResort] : [])]
  await storage.transaction(async (tx) => {
    for (const each of made) if (!stored.includes(each)) await keyPackages.put(tx, each.key, each.value)
    for (const { key, value } of stored) if (value.notAfter < now) await keyPackages.delete(tx, key)
  })
  const value = {
    keyPackages: oneTime.map(({ value }) => value.publicPart),
    lastResort: lastResort?.value.publicPart ?? new Uint8Array(),
  }
  try {
    expect(await context.request({ case: 'publishKeyPackages', value }), 'keyPackageCount')
  } catch (error) {
    // Refused for good: the next attempt is made with others.
    if (error instanceof ProviderRefusal && !error.retry && !notAboutIt.has(error.code))
      await storage.transaction(async (tx) => {
        for (const { key } of made) await keyPackages.delete(tx, key)
      })
    throw error
  }
  await storage.transaction(async (tx) => {
    // One that a Welcome has used up meanwhile is gone for good.
    for (const { key, value } of made)
      if (await keyPackages.get(tx, key)) await keyPackages.put(tx, key, { ...value, published: true })
  })
}
