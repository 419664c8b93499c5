import {
  type Connection,
  type Device,
  type DeviceOptions,
  type GroupCache,
  hasDevice,
  openDevice,
  registerPrimary,
} from '../../client/index.ts'
import { type RecordCache, sqlStorage } from '../../client/storage/sql.ts'
import { type Crypto, equalBytes, toBase64Url, utf8 } from '../../crypto/index.ts'
import type { AccountAddress } from '../../identity/index.ts'
import type { Database, Queryable, Sealer, Transaction } from '../../store/index.ts'
import { createLocks } from '../matrix/locks.ts'
import type { Steps } from '../matrix/steps.ts'
import { matrixCapabilities } from '../matrix/translate/index.ts'
import { EdgeError } from './errors.ts'
import type { Held, HeldLeases } from './leases.ts'
import type { PortalSettings } from './settings.ts'
import { type Sleeping, sleeping } from './sleeping.ts'

/** A Matrix user who talks to the messenger: an account of kind edge whose one device is here. */
export interface MatrixUser {
  readonly mxid: string
  readonly account: AccountAddress
  readonly device: Device
}

export interface MatrixUsers {
  /** The user's account and device, made when they are new to the messenger. */
  ensure(mxid: string): Promise<MatrixUser>
  find(mxid: string): Promise<MatrixUser | undefined>
  /** The account of a Matrix id that has one, whoever has its device. */
  accountOf(mxid: string): Promise<AccountAddress | undefined>
  /** The user's name, as their homeserver shows it, goes to those they talk to; again when it has changed. */
  noteName(user: MatrixUser, name: unknown): Promise<void>
  /** Throws EdgeError `elsewhere` when another process has the device. */
  byAccount(account: AccountAddress): Promise<MatrixUser>
  /** The Matrix id behind an account, whoever has its device. */
  mxidOf(on: Queryable, account: AccountAddress): Promise<string | undefined>
  /**
   * For every transaction that writes for the user's portals: it fails with LeaseLost, at the latest when it commits, unless
   * the user's device is still ours.
   */
  check(tx: Transaction, account: AccountAddress): void
  /** A lease went to another process: what it protects stops here. */
  lost(lease: string): Promise<void>
  /** From now on devices are opened for which something waits, and closed when nothing happens with them. */
  start(): void
  served: Sleeping['served']
  waiting: Sleeping['waiting']
  close(): Promise<void>
}

export interface MatrixUsersOptions {
  connection: Connection
  database: Database
  sealer: Sealer
  crypto: Crypto
  mls: DeviceOptions['mls']
  groupCache: GroupCache
  /** Of all devices together. */
  recordCache: RecordCache
  settings?: DeviceOptions['settings']
  trust?: DeviceOptions['trust']
  /** A token by which the messenger takes the subject as an account of this edge. */
  tokenFor(subject: string): Promise<string>
  leases: HeldLeases
  /** How the user's homeserver calls them, if it says so. */
  displayNameOf(mxid: string): Promise<string | undefined>
  /** Called before a device starts, so that it can be listened to. */
  onDevice(user: MatrixUser): void
  onFault(error: unknown): void
  portalSettings: Pick<PortalSettings, 'openingAtOnce' | 'userLeaseMs' | 'idleUserMs' | 'userDueMs'>
  /** Which life of the database it is, since it was put back from a backup. */
  incarnation: number
  clock: () => number
  steps: Steps
}

interface Open {
  readonly user: MatrixUser
  readonly lease: Held
  /** When something last happened with it, or somebody asked for it. */
  usedAt: number
}

/** What a device does that shows that it is not idle. */
const eventsOfUse = ['message', 'room', 'group', 'receipt', 'typing', 'consent'] as const

interface Row {
  lookup: Uint8Array
  mxid: Uint8Array
  account: AccountAddress | null
}

/** UTF-16 units of a name that are passed on, as a profile takes them. */
const longestName = 256

/** A random key that this edge made on its first start, kept sealed. */
async function edgeKey(database: Database, sealer: Sealer, crypto: Crypto, name: string): Promise<Uint8Array> {
  const place = `edge_key|value|${name}`
  await database.query('insert into edge_key (name, value) values ($1, $2) on conflict (name) do nothing', [
    name,
    sealer.seal(crypto.randomBytes(32), place),
  ])
  const [row] = await database.query<{ value: Uint8Array }>('select value from edge_key where name = $1', [name])
  if (row === undefined) throw new Error('the edge key vanished while it was made')
  return sealer.open(row.value, place)
}

export async function matrixUsers(options: MatrixUsersOptions): Promise<MatrixUsers> {
  const { database, sealer, crypto, clock } = options
  const lookupKey = await edgeKey(database, sealer, crypto, 'matrix-user-lookup')
  const locks = createLocks()
  const open = new Map<string, Open>()
  const byAddress = new Map<AccountAddress, string>()
  /** Devices that are open here. */
  const devices = new Set<string>()
  let closed = false

  const used = (entry: Open | undefined) => {
    if (entry !== undefined) entry.usedAt = options.clock()
    return entry
  }
  const lookupOf = (mxid: string) => crypto.hmacSha256(lookupKey, utf8(mxid))
  // The same for one person in every life of this edge, and nothing that tells who: it names the storage and the subject.
  const nameOf = (lookup: Uint8Array) => toBase64Url(lookup)
  const mxidPlace = (name: string) => `matrix_user|mxid|${name}`
  const rowOf = async (on: Queryable, where: 'lookup' | 'account', value: Uint8Array | string) => {
    const [row] = await on.query<Row>(`select lookup, mxid, account from matrix_user where ${where} = $1`, [value])
    return row
  }
  const mxidIn = (row: Row) => new TextDecoder().decode(sealer.open(row.mxid, mxidPlace(nameOf(row.lookup))))

  /** Tells a new user's device what may be said of them. */
  const introduce = async (user: MatrixUser) => {
    const [row] = await database.query('select 1 from matrix_user where account = $1 and profile is null', [
      user.account,
    ])
    if (row !== undefined) await noteName(user, await options.displayNameOf(user.mxid))
  }
  const noteName: MatrixUsers['noteName'] = async ({ mxid, account, device }, given) => {
    const name = typeof given === 'string' && given.trim() !== '' ? given.trim().slice(0, longestName) : undefined
    const profile = { ...(name === undefined ? {} : { name }), foreignAddress: mxid }
    const told = utf8(JSON.stringify(profile))
    const [row] = await database.query<{ lookup: Uint8Array; profile: Uint8Array | null }>(
      'select lookup, profile from matrix_user where account = $1',
      [account],
    )
    if (row === undefined) return
    const place = `matrix_user|profile|${nameOf(row.lookup)}`
    if (row.profile !== null && equalBytes(sealer.open(row.profile, place), told)) return
    await device.setProfile(profile)
    await database.query('update matrix_user set profile = $2 where account = $1', [account, sealer.seal(told, place)])
  }

  /** Opens the device, registering it first when it does not exist. Under the user's lock. */
  const openUser = async (mxid: string, lookup: Uint8Array): Promise<MatrixUser> => {
    if (closed) throw new EdgeError('closed')
    const name = nameOf(lookup)
    const there = used(open.get(name))
    if (there !== undefined) return there.user
    const lease = await options.leases.take(`matrix user ${name}`)
    if (lease === undefined) throw new EdgeError('elsewhere')
    try {
      const storage = sqlStorage(database, sealer, `matrix/${name}`, {
        guard: (tx) => lease.check(tx),
        cache: options.recordCache,
      })
      const { connection, mls, groupCache, steps } = options
      const given = {
        ...{ connection, storage, crypto, mls, groupCache, clock, steps, incarnation: options.incarnation },
        capabilities: matrixCapabilities,
        ...(options.settings === undefined ? {} : { settings: options.settings }),
        ...(options.trust === undefined ? {} : { trust: options.trust }),
      }
      await database.query(
        'insert into matrix_user (lookup, mxid, created_at) values ($1, $2, $3) on conflict (lookup) do nothing',
        [lookup, sealer.seal(utf8(mxid), mxidPlace(name)), clock()],
      )
      const isNew = !(await hasDevice(storage))
      const device = isNew
        ? await registerPrimary({ ...given, accessToken: await options.tokenFor(name) })
        : await openDevice(given)
      await database.query('update matrix_user set account = $2, device = $3, due_at = 0 where lookup = $1', [
        ...[lookup, device.address, device.deviceId],
      ])
      const user = { mxid, account: device.address, device }
      options.onDevice(user)
      const entry: Open = { user, lease, usedAt: clock() }
      for (const event of eventsOfUse) device.on(event, () => void used(entry))
      open.set(name, entry)
      devices.add(device.deviceId)
      byAddress.set(device.address, name)
      await device.start()
      // Whoever looked them up writes at once, and needs their KeyPackages for it.
      if (isNew) await device.ready()
      await introduce(user).catch(options.onFault)
      return user
    } catch (error) {
      // Half open, it would be taken for open, without a lease that is renewed.
      const half = open.get(name)?.user
      open.delete(name)
      if (half !== undefined) {
        byAddress.delete(half.account)
        devices.delete(half.device.deviceId)
      }
      await half?.device.close().catch(options.onFault)
      await lease.release()
      throw error
    }
  }
  /** Closes a device that has nothing to do; nobody opens it meanwhile. */
  const rest = (name: string, since: number) =>
    locks.run(name, async () => {
      const entry = open.get(name)
      if (entry === undefined || entry.usedAt > since || !(await entry.user.device.resting())) return
      if (entry.usedAt > since || open.get(name) !== entry) return
      const { user, lease } = entry
      open.delete(name)
      byAddress.delete(user.account)
      devices.delete(user.device.deviceId)
      try {
        await asleep.closing(user.device.deviceId)
        await user.device.close()
        await database.query('update matrix_user set due_at = $2 where account = $1', [user.account, dueAt()])
      } finally {
        // Kept, it would be renewed for ever, and the device be taken for open elsewhere.
        await lease.release()
      }
    })
  /** Not all on the same second, where all were closed on the same second. */
  const dueAt = () => Math.floor(clock() + options.portalSettings.userDueMs * (0.75 + Math.random() / 4))
  const asleep = sleeping({
    ...{ database, clock, onFault: options.onFault, settings: options.portalSettings },
    isOpen: (device) => devices.has(device),
    async open(lookup) {
      const row = await rowOf(database, 'lookup', lookup)
      if (row !== undefined && !closed) await ensureUser(mxidIn(row), row.lookup)
    },
    async closeIdle(since) {
      for (const [name, { usedAt }] of [...open])
        if (usedAt <= since && !closed) await rest(name, since).catch(options.onFault)
    },
  })
  const ensureUser = (mxid: string, lookup: Uint8Array) => locks.run(nameOf(lookup), () => openUser(mxid, lookup))

  return {
    ensure: (mxid) => ensureUser(mxid, lookupOf(mxid)),
    async find(mxid) {
      const lookup = lookupOf(mxid)
      const row = await rowOf(database, 'lookup', lookup)
      return row?.account ? await ensureUser(mxid, lookup) : undefined
    },
    async accountOf(mxid) {
      return (await rowOf(database, 'lookup', lookupOf(mxid)))?.account ?? undefined
    },
    async byAccount(account) {
      const there = used(open.get(byAddress.get(account) ?? ''))
      if (there !== undefined) return there.user
      const row = await rowOf(database, 'account', account)
      if (row === undefined) throw new EdgeError('no-such-user')
      return ensureUser(mxidIn(row), row.lookup)
    },
    noteName,
    async mxidOf(on, account) {
      const there = open.get(byAddress.get(account) ?? '')
      if (there !== undefined) return there.user.mxid
      const row = await rowOf(on, 'account', account)
      return row && mxidIn(row)
    },
    check(tx, account) {
      const there = used(open.get(byAddress.get(account) ?? ''))
      if (there === undefined) throw new EdgeError('elsewhere')
      there.lease.check(tx)
    },
    async lost(lease) {
      const found = [...open].find(([, { lease: held }]) => held.name === lease)
      if (found === undefined) return
      const [name, { user }] = found
      open.delete(name)
      byAddress.delete(user.account)
      devices.delete(user.device.deviceId)
      await user.device.close().catch(options.onFault)
      await asleep.closing(user.device.deviceId)
    },
    start: asleep.start,
    served: asleep.served,
    waiting: asleep.waiting,
    async close() {
      closed = true
      await asleep.stop()
      const resting: AccountAddress[] = []
      await Promise.all(
        [...open.values()].map(async ({ user: { account, device } }) => {
          const rests = await device.resting().catch(() => false)
          await device.close().catch(options.onFault)
          if (rests) resting.push(account)
        }),
      )
      // What an orderly end has left nothing to do for is opened when something comes for it.
      await database
        .query('update matrix_user set due_at = $2 where account = any($1)', [resting, dueAt()])
        .catch(options.onFault)
      open.clear()
    },
  }
}
