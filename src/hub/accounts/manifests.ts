import { equalBytes } from '../../crypto/index.ts'
import {
  type AccountAddress,
  type AccountKind,
  acceptManifest,
  type DeviceId,
  deviceIdOf,
  IdentityError,
  kindsAgree,
  type Manifest,
  manifestHash,
  maxManifestDevices,
  openManifest,
  readCertificate,
} from '../../identity/index.ts'
import type { Transaction } from '../../store/index.ts'
import type { Asker, HubContext } from '../context.ts'
import { HubError } from '../errors.ts'
import { proposeRemovals } from '../rooms/removals.ts'
import { wake } from '../wake-ups.ts'
import { freshEndorsement } from './endorsements.ts'

interface AccountRow {
  address: AccountAddress
  account_key: Uint8Array
  kind: AccountKind
  manifest_number: number
  manifest_hash: Uint8Array | null
}

const accountRow = 'select address, account_key, kind, manifest_number, manifest_hash from hub.account'

interface ManifestDocuments {
  manifest: Uint8Array
  certificates: readonly Uint8Array[]
}

interface DeviceRow {
  device_id: DeviceId
  account: string
  kind: string
  unlinked_at: number | null
}

/**
 * Puts an account's next manifest in the place of the one before it. Devices new in it need a certificate; devices
 * missing in it are unlinked in the same transaction: from its commit on they are delivered nothing, and no message
 * passes in their rooms until their leaves are gone.
 *
 * Errors: malformed, not-found (no such account), bad-certificate, wrong-clock, old-manifest, not-allowed, too-large; and
 * what `admit` throws, which is asked whether the account may change: after its key was found to have signed, and not
 * for a manifest that is in force already.
 */
export async function putManifest(
  ctx: HubContext,
  documents: ManifestDocuments,
  admit: (account: AccountAddress) => void = () => undefined,
): Promise<void> {
  const { manifest, verify } = openDocuments(ctx, documents)
  // Before anything is locked: anybody can name anybody's account.
  const [account] = await ctx.database.query<AccountRow>(`${accountRow} where address = $1`, [manifest.account])
  if (!account) throw new HubError('not-found')
  reading('bad-certificate', () => verify(ctx.crypto, account.account_key))
  if (manifest.number > account.manifest_number) admit(account.address)
  const unlinked = await ctx.database.transaction((tx) => putManifestIn(ctx, tx, documents))
  // A device may have been in thousands of rooms. Until it is proposed there, whoever speaks first causes it.
  if (unlinked.devices.length > 0) ctx.later(() => proposeRemovals(ctx, unlinked.account))
}

/** The same inside a transaction. Gives the devices that were unlinked, which are told after the commit. */
export async function putManifestIn(
  ctx: HubContext,
  tx: Transaction,
  documents: ManifestDocuments,
): Promise<{ account: AccountAddress; devices: DeviceId[] }> {
  const { manifest: document } = documents
  const { manifest, verify } = openDocuments(ctx, documents)
  const now = ctx.clock()

  const [account] = await tx.query<AccountRow>(`${accountRow} where address = $1 for update`, [manifest.account])
  if (!account) throw new HubError('not-found')
  reading('bad-certificate', () => verify(ctx.crypto, account.account_key))
  const hash = manifestHash(ctx.crypto, document)
  if (account.kind === 'guest') await requireChat(tx, account.address)
  if (acceptNumber(account, manifest, hash) === 'newer') {
    checkDevices(ctx, account, manifest, now)
    await tx.query('insert into hub.manifest (account, number, hash, document) values ($1, $2, $3, $4)', [
      manifest.account,
      manifest.number,
      hash,
      document,
    ])
    await tx.query(
      'update hub.account set manifest_number = $2, manifest_hash = $3, manifest_until = $4 where address = $1',
      [manifest.account, manifest.number, hash, manifest.notAfter * 1000],
    )
    await tx.query('delete from hub.manifest where account = $1 and number <= $2', [
      manifest.account,
      manifest.number - ctx.settings.manifests,
    ])
    await ctx.audit.append(tx, {
      type: 'manifest.published',
      account: manifest.account,
      number: manifest.number,
      devices: manifest.devices.length,
    })
  }
  await linkDevices(ctx, tx, account, manifest, documents.certificates)
  const devices = await unlinkMissing(ctx, tx, manifest, now)
  // Rooms have no tolerance, and nobody could write there until the commit that takes them out may carry it.
  if (devices.length > 0 && now < manifest.notBefore * 1000) throw new HubError('wrong-clock')
  tx.afterCommit(() => {
    for (const device of devices) wake(ctx.bus, device, { kind: 'unlinked' })
  })
  return { account: manifest.account, devices }
}

/** Errors: malformed, too-large. */
function openDocuments(ctx: HubContext, { manifest, certificates }: ManifestDocuments) {
  const all = [manifest, ...certificates]
  if (all.length > 1 + maxManifestDevices) throw new HubError('malformed')
  if (all.some((each) => each.length > ctx.settings.documentBytes)) throw new HubError('too-large')
  return reading('malformed', () => openManifest(manifest))
}

/** A guest is somebody for as long as the chat goes on, and does not come back with another device. Errors: not-allowed. */
async function requireChat(tx: Transaction, address: AccountAddress): Promise<void> {
  const ended = await tx.query('select 1 from hub.guest where account = $1 and ended is not null', [address])
  if (ended.length > 0) throw new HubError('not-allowed')
}

function acceptNumber(account: AccountRow, manifest: Manifest, hash: Uint8Array): 'same' | 'newer' {
  const { manifest_number: number, manifest_hash: current } = account
  return reading('old-manifest', () =>
    acceptManifest(current ? { number, hash: current } : undefined, { manifest, hash }),
  )
}

function checkDevices(ctx: HubContext, account: AccountRow, manifest: Manifest, now: number): void {
  const seconds = now / 1000
  if (seconds < manifest.notBefore - ctx.settings.clockToleranceMs / 1000) throw new HubError('wrong-clock')
  if (seconds > manifest.notAfter) throw new HubError('bad-certificate')
  const most = account.kind === 'guest' ? 1 : ctx.settings.devices
  if (account.kind !== 'business' && manifest.devices.length > most) throw new HubError('not-allowed')
  if (manifest.devices.some(({ kind }) => !kindsAgree(account.kind, kind))) throw new HubError('bad-certificate')
}

/** Every listed device is known by a certificate of this account, given now or earlier. */
async function linkDevices(
  ctx: HubContext,
  tx: Transaction,
  account: AccountRow,
  manifest: Manifest,
  certificates: readonly Uint8Array[],
): Promise<void> {
  const given = new Map<DeviceId, Uint8Array>()
  for (const bytes of certificates) {
    const certificate = reading('bad-certificate', () => readCertificate(ctx.crypto, bytes))
    const listed = manifest.devices.find(({ deviceKey }) => equalBytes(deviceKey, certificate.deviceKey))
    const sound =
      certificate.account === account.address &&
      equalBytes(certificate.accountKey, account.account_key) &&
      certificate.notAfter * 1000 > ctx.clock() &&
      listed?.kind === certificate.kind
    if (!sound) throw new HubError('bad-certificate')
    given.set(deviceIdOf(ctx.crypto, certificate.deviceKey), bytes)
  }
  const ids = manifest.devices.map(({ deviceKey }) => deviceIdOf(ctx.crypto, deviceKey))
  const known = await tx.query<DeviceRow>(
    'select device_id, account, kind, unlinked_at from hub.device where device_id = any($1::text[])',
    [ids],
  )
  for (const [index, { deviceKey, kind }] of manifest.devices.entries()) {
    const id = ids[index]!
    const row = known.find((each) => each.device_id === id)
    // A key that was unlinked, or is somebody else's, comes back under no account: its holder links a new one.
    if (row && (row.account !== account.address || row.unlinked_at !== null)) throw new HubError('not-allowed')
    // Its leaves say the kind that it had, so no room could take a manifest that says another.
    if (row && row.kind !== kind) throw new HubError('bad-certificate')
    const certificate = given.get(id)
    if (!certificate) {
      if (row) continue
      throw new HubError('bad-certificate')
    }
    const stored = await tx.query(
      `insert into hub.device (device_id, account, device_key, kind, certificate, linked_at)
        values ($1, $2, $3, $4, $5, $6)
        on conflict (device_id) do update set certificate = excluded.certificate
          where hub.device.account = excluded.account
        returning device_id`,
      [id, account.address, deviceKey, kind, certificate, ctx.clock()],
    )
    if (stored.length === 0) throw new HubError('not-allowed')
    if (!row)
      await ctx.audit.append(tx, { type: 'device.linked', account: account.address, device: id, deviceKind: kind })
  }
}

/**
 * Invariant: with the manifest, every device that it no longer lists is cut off from delivery, and every room in which it
 * has a leaf holds a removal. The account's row is locked, so no commit can add the device meanwhile (rooms/record.ts).
 */
async function unlinkMissing(ctx: HubContext, tx: Transaction, manifest: Manifest, now: number): Promise<DeviceId[]> {
  const kept = manifest.devices.map(({ deviceKey }) => deviceIdOf(ctx.crypto, deviceKey))
  const gone = await tx.query<{ device_id: DeviceId }>(
    `update hub.device set unlinked_at = $3
      where account = $1 and unlinked_at is null and device_id <> all($2::text[]) returning device_id`,
    [manifest.account, kept, now],
  )
  const devices = gone.map((row) => row.device_id)
  if (devices.length === 0) return devices
  for (const device of devices)
    await ctx.audit.append(tx, { type: 'device.unlinked', account: manifest.account, device })
  // The leaves as they are once the mailboxes are ours: a commit under way may just be taking one out.
  await tx.query(
    `with closed as (
       delete from hub.mailbox where device_id = any($1::text[]) returning room_no, device_id, account, leaf
     )
     insert into hub.removal (room_no, device_id, account, leaf, manifest_number)
       select room_no, device_id, account, leaf, $2 from closed where leaf is not null
       on conflict (room_no, device_id) do nothing`,
    [devices, manifest.number],
  )
  for (const table of ['welcome', 'key_package'])
    await tx.query(`delete from hub.${table} where device_id = any($1::text[])`, [devices])
  return devices
}

/**
 * A manifest of an account that the asker is, or shares a room with. Number 0: the newest.
 *
 * Errors: not-found.
 */
export async function getManifest(ctx: HubContext, asker: Asker, account: string, number: number) {
  const [row] = await ctx.database.query<{ document: Uint8Array }>(
    `select m.document from hub.account a
       join hub.manifest m on m.account = a.address and m.number = case when $3 = 0 then a.manifest_number else $3 end
      where a.address = $2
        and (a.address = $1 or exists (
          select 1 from hub.member mine join hub.member theirs on theirs.room_no = mine.room_no
           where mine.account = $1 and theirs.account = $2 and mine.standing in ('requested', 'accepted')))`,
    [asker.account, account, number],
  )
  if (!row) throw new HubError('not-found')
  return { manifest: row.document, endorsement: await freshEndorsement(ctx, account) }
}

/** What the identity room refuses becomes the hub's error; a kind or a date that does not fit is a bad certificate. */
function reading<T>(code: 'malformed' | 'bad-certificate' | 'old-manifest', read: () => T): T {
  try {
    return read()
  } catch (cause) {
    if (!(cause instanceof IdentityError)) throw cause
    throw new HubError(cause.code === 'kind-mismatch' ? 'bad-certificate' : code, { cause })
  }
}
