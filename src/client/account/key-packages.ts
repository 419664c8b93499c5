import { toHex } from '../../crypto/index.ts'
import { encodeCredential } from '../../identity/index.ts'
import { generateKeyPackage } from '../../mls/index.ts'
import { requireClock } from '../clock.ts'
import { expect } from '../connection/wire.ts'
import { type Context, seconds } from '../context.ts'
import { keyPackages } from '../state/records.ts'

/** The identity of this device's leaves. */
export function credentialOf({ self }: Pick<Context, 'self'>): Uint8Array {
  return encodeCredential({ certificate: self.certificate, endorsement: self.endorsement })
}

export function signatureKeys({ self }: Pick<Context, 'self'>) {
  return { publicKey: self.deviceKey, privateKey: self.devicePrivateKey }
}

/**
 * Fills the provider's supply of one-time KeyPackages up to the setting and keeps a last-resort one there. Private parts
 * are durable before anything is published. `available`: what the provider still has.
 */
export async function refillKeyPackages(context: Context, available: number): Promise<void> {
  // Nobody adds a guest to anything.
  if (context.self.kind === 'guest') return
  const { settings, mls, storage } = context
  const now = seconds(context.clock())
  const stored = await storage.transaction((tx) => keyPackages.list(tx))
  // Halfway through its life a last-resort KeyPackage gets a successor; the old one may still be in somebody's hands.
  const lastResortHolds = stored.some(
    ({ value }) => value.lastResort && value.published && value.notAfter - now > settings.keyPackageLifetime / 2,
  )
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
  const oneTime = []
  for (let i = 0; i < missing; i++) oneTime.push(await make(false))
  const lastResort = lastResortHolds ? undefined : await make(true)
  const made = [...oneTime, ...(lastResort ? [lastResort] : [])]
  await storage.transaction(async (tx) => {
    for (const { key, value } of made) await keyPackages.put(tx, key, value)
    for (const { key, value } of stored) if (value.notAfter < now) await keyPackages.delete(tx, key)
  })
  const value = {
    keyPackages: oneTime.map(({ value }) => value.publicPart),
    lastResort: lastResort?.value.publicPart ?? new Uint8Array(),
  }
  expect(await context.request({ case: 'publishKeyPackages', value }), 'keyPackageCount')
  await storage.transaction(async (tx) => {
    for (const { key, value } of made) await keyPackages.put(tx, key, { ...value, published: true })
  })
}
