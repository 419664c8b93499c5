import type { AccountAddress } from '../../../identity/index.ts'
import { isStoreError, type Queryable } from '../../../store/index.ts'
import type { Context } from './context.ts'
import { flush } from './encrypt.ts'
import { GhostError } from './errors.ts'
import type { Loaded } from './ghost.ts'
import { endOfChanges } from './inbox.ts'
import { type MachineRequest, masquerade, sendRequest } from './requests.ts'
import type { GhostId } from './types.ts'

/** Shown to other users as the name of a ghost's device. */
export const deviceName = 'Silta'

export interface GhostRow {
  readonly mxid: GhostId
  readonly account: AccountAddress
  readonly device_id: string
  readonly ready: boolean
  readonly incarnation: number
}

export async function ghostRow(on: Queryable, by: 'account' | 'mxid', value: string): Promise<GhostRow | undefined> {
  const rows = await on.query<GhostRow>(
    `select mxid, account, device_id, ready, incarnation from ghost where ${by} = $1`,
    [value],
  )
  return rows[0]
}

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')

/** What the bot's row has in place of an account; no address looks like this. */
export const botAccount = 'bot' as AccountAddress

/**
 * The account's row, made if there is none. A ghost's localpart has an opaque random name after the prefix: an address must
 * not be readable from an id.
 */
export async function claimRow(
  { database, sealer, crypto, homeserver, incarnation }: Context,
  account: AccountAddress,
  localpart: { prefix: string } | { whole: string },
): Promise<GhostRow> {
  const known = await ghostRow(database, 'account', account)
  if (known) return known
  const name = 'whole' in localpart ? localpart.whole : `${localpart.prefix}${hex(crypto.randomBytes(10))}`
  const mxid = `@${name}:${homeserver.domain}`
  const storeKey = sealer.seal(crypto.randomBytes(32), `ghost|store_key|${mxid}`)
  try {
    await database.query(
      `insert into ghost (mxid, account, device_id, store_key, incarnation, lists_seen)
       values ($1, $2, $3, $4, $5, ${endOfChanges})`,
      [mxid, account, hex(crypto.randomBytes(5)).toUpperCase(), storeKey, incarnation],
    )
  } catch (error) {
    // Somebody else was first.
    if (!isStoreError(error, 'conflict')) throw error
  }
  return (await ghostRow(database, 'account', account))!
}

/** Account and device at the homeserver. All calls may be repeated. */
export async function registerGhost({ homeserver }: Context, row: GhostRow): Promise<void> {
  const { mxid, device_id: device } = row
  await homeserver.registerUser(mxid.slice(1, mxid.indexOf(':')))
  if (row.account !== botAccount) {
    // A homeserver names new users after their localpart; a ghost has a name in rooms that accepted it, and nowhere else.
    const path = `/_matrix/client/v3/profile/${encodeURIComponent(mxid)}/displayname`
    await homeserver.call('PUT', path, { as: { user: mxid }, body: { displayname: '' } })
  }
  await homeserver.putDevice({ user: mxid }, device, deviceName)
}

/**
 * Uploads device keys and cross-signing keys and signs the device, in the order that the homeserver needs. May be
 * repeated, also over a crash: the machine keeps its identity and gives the same requests again.
 *
 * @param published the homeserver has the cross-signing keys, so that only this device is signed: they are signed by the
 *   ghost's former device, which the homeserver no longer knows, and would be refused
 */
export async function crossSign(context: Context, ghost: Loaded, { published = false } = {}): Promise<void> {
  const { homeserver } = context
  const as = masquerade(ghost.machine)
  await flush(context, ghost)
  const bootstrap = await ghost.machine.call((olm) => olm.bootstrapCrossSigning(false))
  if (bootstrap.uploadKeysRequest)
    await sendRequest(homeserver, ghost.machine, bootstrap.uploadKeysRequest as MachineRequest)
  const keys = JSON.parse(bootstrap.uploadSigningKeysRequest.body) as { master_key: SigningKey }
  await refuseForeignIdentity(context, ghost, keys.master_key)
  if (!published) await homeserver.call('POST', '/_matrix/client/v3/keys/device_signing/upload', { as, body: keys })
  const signatures = bootstrap.uploadSignaturesRequest as unknown as MachineRequest
  const answer = await homeserver.call('POST', '/_matrix/client/v3/keys/signatures/upload', {
    as,
    body: signatures.body,
  })
  // This call answers 200 with what it refused.
  if (Object.keys(answer.failures ?? {}).length > 0) throw new GhostError('homeserver', true, 'SILTA_SIGNATURE_REFUSED')
  await flush(context, ghost)
}

interface SigningKey {
  readonly keys: Record<string, string>
}

/**
 * An appservice may replace cross-signing keys without being asked for anything, and everybody who talks to the ghost
 * would see a changed identity. So keys that are there already must be ours.
 */
async function refuseForeignIdentity({ homeserver }: Context, ghost: Loaded, own: SigningKey): Promise<void> {
  const { mxid, machine } = ghost
  const answer = await homeserver.call<{ master_keys?: Record<string, SigningKey> }>(
    'POST',
    '/_matrix/client/v3/keys/query',
    { as: masquerade(machine), body: { device_keys: { [mxid]: [] } } },
  )
  const present = Object.values(answer.master_keys?.[mxid]?.keys ?? {})
  if (present.length > 0 && !present.some((key) => Object.values(own.keys).includes(key)))
    throw new GhostError('machine', false)
}
