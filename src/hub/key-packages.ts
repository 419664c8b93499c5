import { decodeCredential, IdentityError, readCertificate, readEndorsement, verifyLeaf } from '../identity/index.ts'
import { type KeyPackageView, MlsError, readKeyPackage } from '../mls/public.ts'
import type { Queryable, Transaction } from '../store/index.ts'
import { freshEndorsement } from './accounts/endorsements.ts'
import { approach } from './admission.ts'
import type { Asker, HubContext } from './context.ts'
import { HubError } from './errors.ts'
import { countStranger } from './strangers.ts'
import { wake } from './wake-ups.ts'

/**
 * Adds to a device's supply, in the order given; `lastResort` takes the place of the one before it. A KeyPackage that is
 * there already is kept once.
 *
 * Errors: bad-key-package, bad-certificate, wrong-clock, too-large, unlinked.
 *
 * @returns the one-time KeyPackages that the device has now
 */
export async function publishKeyPackages(
  ctx: HubContext,
  asker: Asker,
  { keyPackages, lastResort }: { keyPackages: readonly Uint8Array[]; lastResort: Uint8Array | undefined },
): Promise<number> {
  if (keyPackages.length > ctx.settings.keyPackages) throw new HubError('too-large')
  const checked: Checked[] = []
  for (const bytes of keyPackages) checked.push(await check(ctx, asker, bytes, false))
  if (lastResort) checked.push(await check(ctx, asker, lastResort, true))
  return ctx.database.transaction(async (tx) => {
    const [device] = await tx.query<{ unlinked: boolean }>(
      'select unlinked_at is not null as unlinked from hub.device where device_id = $1 for update',
      [asker.device],
    )
    if (!device || device.unlinked) throw new HubError('unlinked')
    await tx.query(
      'delete from hub.key_package where device_id = $1 and (not_after < $2 or (last_resort and $3::boolean))',
      [asker.device, ctx.clock(), lastResort !== undefined],
    )
    for (const { bytes, view, notAfter } of checked)
      await tx.query(
        `insert into hub.key_package (device_id, reference, body, not_after, last_resort) values ($1, $2, $3, $4, $5)
          on conflict (device_id, reference) do nothing`,
        [asker.device, view.reference, bytes, notAfter * 1000, view.lastResort],
      )
    // More than a full supply: the oldest go, their private halves are the likeliest to be gone.
    await tx.query(
      `delete from hub.key_package where device_id = $1 and not last_resort and no <= (
         select no from hub.key_package where device_id = $1 and not last_resort order by no desc offset $2 limit 1)`,
      [asker.device, ctx.settings.keyPackages],
    )
    return countKeyPackages(ctx, tx, asker.device)
  })
}

/** One-time KeyPackages of a device that can still be handed out. */
export async function countKeyPackages(ctx: HubContext, tx: Queryable, device: string): Promise<number> {
  const [row] = await tx.query<{ count: number }>(
    'select count(*)::int4 as count from hub.key_package where device_id = $1 and not last_resort and not_after > $2',
    [device, ctx.clock() + ctx.settings.keyPackageMarginMs],
  )
  return row?.count ?? 0
}

interface Checked {
  bytes: Uint8Array
  view: KeyPackageView
  /** Seconds since the epoch, the end of the leaf's documents included. */
  notAfter: number
}

/** Seconds since the epoch: a KeyPackage is good for nothing once a document in its leaf has run out. */
function endOf(ctx: HubContext, { identity, notAfter }: KeyPackageView): number {
  const { certificate, endorsement } = decodeCredential(identity)
  const documents = [
    readCertificate(ctx.crypto, certificate),
    readEndorsement(ctx.crypto, endorsement, ctx.trust.providerKeys(ctx.provider)),
  ]
  return Math.min(notAfter, ...documents.map((document) => document.notAfter))
}

async function check(ctx: HubContext, asker: Asker, bytes: Uint8Array, lastResort: boolean): Promise<Checked> {
  const now = ctx.clock()
  try {
    const view = await readKeyPackage(ctx.mls, bytes)
    const leaf = verifyLeaf(ctx.crypto, ctx.trust, view.identity, view.signatureKey, Math.floor(now / 1000))
    const own = leaf.deviceId === asker.device && leaf.address === asker.account
    const over = view.notAfter * 1000 <= now + ctx.settings.keyPackageMarginMs
    if (view.notBefore * 1000 > now + ctx.settings.clockToleranceMs) throw new HubError('wrong-clock')
    if (!own || over || view.lastResort !== lastResort) throw new HubError('bad-key-package')
    return { bytes, view, notAfter: endOf(ctx, view) }
  } catch (cause) {
    if (cause instanceof MlsError)
      throw new HubError(cause.code === 'too-large' ? 'too-large' : 'bad-key-package', { cause })
    if (cause instanceof IdentityError)
      throw new HubError(cause.code === 'not-yet-valid' ? 'wrong-clock' : 'bad-certificate', { cause })
    throw cause
  }
}

export interface ClaimedKeyPackages {
  manifest: Uint8Array
  endorsement: Uint8Array
  keyPackages: Uint8Array[]
}

/**
 * One KeyPackage for each device of an account but the asking one. Each is handed out once; only the one of last resort
 * stays.
 *
 * Errors: not-reachable, consent-required, blocked, not-opted-in, rate-limited, no-key-packages.
 */
export async function claimKeyPackages(ctx: HubContext, asker: Asker, account: string): Promise<ClaimedKeyPackages> {
  const claimed = await ctx.database.transaction(async (tx) => {
    const target = (await approach(tx, asker, [account])).get(account)
    if (!target) throw new HubError('not-reachable')
    if (!target.decision.allowed) throw new HubError(target.decision.code)
    if (target.decision.standing === 'requested') await countStranger(ctx, tx, asker)
    return takeKeyPackages(ctx, tx, account, asker)
  })
  const { manifest, packages: keyPackages } = claimed
  return { manifest, keyPackages, endorsement: await freshEndorsement(ctx, account) }
}

/** The account's manifest and a KeyPackage of each device but the asker's, handed out. Errors: no-key-packages. */
export async function takeKeyPackages(
  ctx: HubContext,
  tx: Transaction,
  account: string,
  asker?: Pick<Asker, 'account' | 'device'>,
): Promise<{ manifest: Uint8Array; packages: Uint8Array[] }> {
  // A manifest past its time is not accepted into any room.
  const [manifest] = await tx.query<{ document: Uint8Array }>(
    `select m.document from hub.account a join hub.manifest m on m.account = a.address and m.number = a.manifest_number
      where a.address = $1 and a.manifest_until > $2`,
    [account, ctx.clock()],
  )
  if (!manifest) throw new HubError('no-key-packages')
  const devices = await tx.query<{ device_id: string }>(
    'select device_id from hub.device where account = $1 and unlinked_at is null and device_id <> $2 order by device_id',
    [account, asker?.device ?? ''],
  )
  const packages: Uint8Array[] = []
  for (const { device_id } of devices) {
    const body = await takeOne(ctx, tx, device_id)
    if (body) packages.push(body)
  }
  if (packages.length === 0 && account !== asker?.account) throw new HubError('no-key-packages')
  const low: string[] = []
  for (const { device_id } of devices)
    if ((await countKeyPackages(ctx, tx, device_id)) < ctx.settings.keyPackagesLow) low.push(device_id)
  tx.afterCommit(() => {
    for (const device of low) wake(ctx.bus, device, { kind: 'key-packages' })
  })
  return { manifest: manifest.document, packages }
}

async function takeOne(ctx: HubContext, tx: Queryable, device: string): Promise<Uint8Array | undefined> {
  const usable = ctx.clock() + ctx.settings.keyPackageMarginMs
  const [taken] = await tx.query<{ body: Uint8Array }>(
    `delete from hub.key_package where no = (
       select no from hub.key_package where device_id = $1 and not last_resort and not_after > $2
        order by no limit 1 for update skip locked) returning body`,
    [device, usable],
  )
  if (taken) return taken.body
  const [kept] = await tx.query<{ body: Uint8Array }>(
    'select body from hub.key_package where device_id = $1 and last_resort and not_after > $2 order by no desc limit 1',
    [device, usable],
  )
  return kept?.body
}
