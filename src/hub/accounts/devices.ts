import type { AccountAddress, AccountKind, DeviceId, DeviceKind } from '../../identity/index.ts'
import type { Asker, HubContext } from '../context.ts'
import type { GuestEnd } from '../guests/reasons.ts'

/** What the gateway needs to recognise a device. */
export interface KnownDevice extends Asker {
  deviceKey: Uint8Array
  manifestNumber: number
  keyPackages: number
  unlinked: boolean
  /** Which life of the hub's database it is, since it was put back from a backup; 0: it never was. */
  incarnation: number
  /** Of a guest whose chat is over: why. */
  ended?: GuestEnd
}

/** A device by its id; undefined when there has never been one. */
export async function findDevice(ctx: HubContext, device: string): Promise<KnownDevice | undefined> {
  const [row] = await ctx.database.query<{
    device_id: DeviceId
    device_key: Uint8Array
    kind: DeviceKind
    unlinked_at: number | null
    account: AccountAddress
    account_kind: AccountKind
    operator: string | null
    network: string | null
    manifest_number: number
    key_packages: number
    ended: GuestEnd | null
    incarnation: number
  }>(
    `select d.device_id, d.device_key, d.kind, d.unlinked_at, d.account, a.kind as account_kind, a.operator, a.network,
            a.manifest_number, g.ended, (select count(*)::int4 from hub.key_package k
                                 where k.device_id = d.device_id and not k.last_resort and k.not_after > $2) as key_packages,
            (select coalesce(max(i.no), 0) from incarnation i) as incarnation
       from hub.device d join hub.account a on a.address = d.account
       left join hub.guest g on g.device_id = d.device_id where d.device_id = $1`,
    [device, ctx.clock() + ctx.settings.keyPackageMarginMs],
  )
  if (!row) return undefined
  return {
    device: row.device_id,
    account: row.account,
    deviceKind: row.kind,
    accountKind: row.account_kind,
    ...(row.operator === null ? {} : { operator: row.operator }),
    ...(row.network === null ? {} : { network: row.network }),
    deviceKey: row.device_key,
    manifestNumber: row.manifest_number,
    keyPackages: row.key_packages,
    unlinked: row.unlinked_at !== null,
    incarnation: row.incarnation,
    ...(row.ended === null ? {} : { ended: row.ended }),
  }
}
