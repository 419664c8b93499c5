import { utf8 } from '../../../crypto/index.ts'
import { assertFence, type Lease } from '../../../store/index.ts'
import { isHomeserverError } from '../homeserver.ts'
import type { Context } from './context.ts'
import type { CryptoStore } from './crypto-store.ts'
import { flush } from './encrypt.ts'
import { GhostError } from './errors.ts'
import type { Loaded } from './ghost.ts'
import { endOfChanges } from './inbox.ts'
import { openMachine } from './machine.ts'
import { crossSign, deviceName } from './onboarding.ts'
import type { GhostId } from './types.ts'

/** What a ghost keeps when its device goes: what other users have verified it by. Base64. */
interface Identity {
  readonly masterKey: string
  readonly selfSigningKey: string
  readonly userSigningKey: string
}

interface Row {
  readonly device_id: string
  readonly store_key: Uint8Array
}

const place = (mxid: GhostId) => `ghost|identity|${mxid}`
const silent = { onRoomKey() {}, onDevices() {} }

/**
 * Takes a ghost's old device out of use, after the database was put back from a backup: the private halves of one-time
 * keys that were handed out since are lost, and ratchets that were used since would be used again. Only the cross-signing
 * keys stay. One transaction: before it all is old, after it nothing of the old device is left.
 *
 * @throws GhostError
 */
export async function dropDevice(
  context: Context,
  cryptoStore: CryptoStore,
  { mxid, row, lease, incarnation }: { mxid: GhostId; row: Row; lease: Lease; incarnation: number },
): Promise<void> {
  const { database, sealer, crypto, homeserver, settings } = context
  const storeKey = sealer.open(row.store_key, `ghost|store_key|${mxid}`)
  const store = await cryptoStore.open(mxid, lease, storeKey)
  const old = { user: mxid, device: row.device_id, storeKey, store, timeoutMs: settings.machineTimeoutMs, ...silent }
  const machine = await openMachine(old)
  let identity: Identity | undefined
  try {
    const found = await machine.call((olm) => olm.exportCrossSigningKeys())
    const { masterKey, self_signing_key: selfSigningKey, userSigningKey } = found ?? {}
    if (masterKey && selfSigningKey && userSigningKey) identity = { masterKey, selfSigningKey, userSigningKey }
  } finally {
    machine.close()
  }
  if (!identity) throw new GhostError('machine', false)
  try {
    await homeserver.call('DELETE', `/_matrix/client/v3/devices/${encodeURIComponent(row.device_id)}`, {
      as: { user: mxid },
      body: {},
    })
  } catch (error) {
    // Deleted before, and the transaction below did not follow.
    if (!isHomeserverError(error, 'M_NOT_FOUND')) throw error
  }
  await database.transaction(async (tx) => {
    await assertFence(tx, lease.name, lease.fence)
    for (const table of ['ghost_crypto', 'ghost_crypto_schema', 'ghost_inbox'])
      await tx.query(`delete from ${table} where mxid = $1`, [mxid])
    await tx.query(
      `update ghost set device_id = $2, store_key = $3, identity = $4, incarnation = $5,
                        since = null, pushed = 0, lists_seen = ${endOfChanges} where mxid = $1`,
      [
        mxid,
        Buffer.from(crypto.randomBytes(5)).toString('hex').toUpperCase(),
        sealer.seal(crypto.randomBytes(32), `ghost|store_key|${mxid}`),
        sealer.seal(utf8(JSON.stringify(identity)), place(mxid)),
        incarnation,
      ],
    )
  })
}

/** Gives the new device its keys and signs it with the identity that was kept. May be repeated. @throws GhostError */
export async function bringIdentity(context: Context, ghost: Loaded, sealed: Uint8Array): Promise<void> {
  const { database, sealer, homeserver } = context
  const { mxid, machine } = ghost
  const identity = JSON.parse(Buffer.from(sealer.open(sealed, place(mxid))).toString('utf8')) as Identity
  await homeserver.putDevice({ user: mxid }, machine.device, deviceName)
  await flush(context, ghost)
  await machine.tell(async (olm) => {
    // The machine takes private keys only for public ones that it has seen at the homeserver.
    const { UserId } = await import('@matrix-org/matrix-sdk-crypto-wasm')
    await olm.updateTrackedUsers([new UserId(mxid)])
  })
  await flush(context, ghost)
  const status = await machine.tell((olm) =>
    olm.importCrossSigningKeys(identity.masterKey, identity.selfSigningKey, identity.userSigningKey),
  )
  if (!status.hasMaster || !status.hasSelfSigning) throw new GhostError('machine', true)
  await crossSign(context, ghost, { published: true })
  await database.query('update ghost set identity = null, ready = true where mxid = $1', [mxid])
}
