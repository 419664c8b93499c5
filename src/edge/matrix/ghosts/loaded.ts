import { acquireLease, type Database, type Lease, releaseLease, renewLease } from '../../../store/index.ts'
import { createLocks } from '../locks.ts'
import type { Context } from './context.ts'
import type { CryptoStore } from './crypto-store.ts'
import { GhostError } from './errors.ts'
import type { Loaded } from './ghost.ts'
import { openMachine } from './machine.ts'
import { bringIdentity, dropDevice } from './put-back.ts'
import type { GhostId } from './types.ts'

/** The ghosts in memory: loaded when used, closed when idle for long, the least recently used first beyond a limit. */
export interface LoadedGhosts {
  /** Runs `work` with the ghost's machine, which stays loaded until it is done. @throws GhostError */
  use<T>(mxid: GhostId, work: (ghost: Loaded) => Promise<T>): Promise<T>
  readonly size: number
  /** Refuses further use, waits for what is running, closes all. */
  close(): Promise<void>
}

interface Slot {
  readonly opening: Promise<Opened>
  users: number
  usedAt: number
  /** When its state was last rid of what nobody uses. */
  prunedAt: number
  retired: boolean
}

interface Opened {
  readonly ghost: Loaded
  readonly lease: Lease
  renewedAt: number
}

export interface LoadedOptions {
  readonly context: Context
  readonly cryptoStore: CryptoStore
  /** Names this process and life among the takers of leases. */
  readonly owner: string
  readonly onRoomKey: (ghost: GhostId, room: string, sessionId: string) => void
}

const leaseName = (mxid: string) => `ghost ${mxid}`

export function createLoadedGhosts(options: LoadedOptions): LoadedGhosts {
  const { context } = options
  const { database, settings } = context
  /** In the order of their last use. */
  const slots = new Map<GhostId, Slot>()
  /** Leases on their way back: the next opening waits for that. */
  const releasing = new Map<GhostId, Promise<void>>()
  let closed = false
  let whenIdle: (() => void) | undefined

  const slotOf = (mxid: GhostId): Slot => {
    const known = slots.get(mxid)
    if (known) return known
    const opening = (releasing.get(mxid) ?? Promise.resolve()).then(() => open(mxid, options))
    const slot: Slot = { opening, users: 0, usedAt: Date.now(), prunedAt: Date.now(), retired: false }
    slots.set(mxid, slot)
    opening.catch(() => slots.get(mxid) === slot && slots.delete(mxid))
    return slot
  }

  /** Takes a slot out of use. Its lease goes back at once: what its machine still tries to write is refused. */
  const retire = (mxid: GhostId, slot: Slot): Promise<void> => {
    if (slot.retired) return releasing.get(mxid) ?? Promise.resolve()
    slot.retired = true
    if (slots.get(mxid) === slot) slots.delete(mxid)
    const done = slot.opening
      .then(async ({ ghost, lease }) => {
        if (slot.users === 0) ghost.machine.close()
        await releaseLease(database, lease)
      })
      .catch(() => context.log.warn({ code: 'lease' }, 'the lease of a ghost could not be given back'))
      .finally(() => releasing.get(mxid) === done && releasing.delete(mxid))
    releasing.set(mxid, done)
    return done
  }

  const evict = () => {
    const idleSince = Date.now() - settings.idleGhostMs
    for (const [mxid, slot] of slots) {
      if (slots.size <= settings.loadedGhosts && slot.usedAt > idleSince) return
      if (slot.users === 0) void retire(mxid, slot)
    }
  }
  /** Also in a machine that is never idle, as the bot's may be. */
  const prune = () => {
    for (const [mxid, slot] of slots) {
      if (slot.prunedAt > Date.now() - settings.unusedEveryMs) continue
      slot.prunedAt = Date.now()
      use(mxid, (ghost) => ghost.prune()).catch(() =>
        context.log.warn({ code: 'prune' }, 'what nobody uses of a ghost could not be dropped'),
      )
    }
  }
  const round = setInterval(() => {
    evict()
    prune()
  }, settings.idleGhostMs / 2).unref()

  /** Whether the ghost is still ours. The fence protects what is written; this only notices early. */
  const holds = async (opened: Opened): Promise<boolean> => {
    if (opened.ghost.machine.broken) return false
    if (Date.now() - opened.renewedAt < settings.ghostLeaseMs / 2) return true
    const at = Date.now()
    if (!(await renewLease(database, opened.lease, settings.ghostLeaseMs))) return false
    opened.renewedAt = at
    return true
  }

  async function use<T>(mxid: GhostId, work: (ghost: Loaded) => Promise<T>): Promise<T> {
    for (let attempt = 0; ; attempt++) {
      if (closed) throw new GhostError('closed', true)
      const slot = slotOf(mxid)
      slot.users++
      try {
        const opened = await slot.opening
        if (await holds(opened)) return await work(opened.ghost)
        await retire(mxid, slot)
        if (attempt > 0) throw new GhostError('lease-lost', true)
      } finally {
        slot.users--
        slot.usedAt = Date.now()
        if (slots.get(mxid) === slot) {
          slots.delete(mxid)
          slots.set(mxid, slot)
        }
        if (slot.users === 0 && slot.retired)
          void slot.opening.then(
            ({ ghost }) => ghost.machine.close(),
            () => {},
          )
        evict()
        whenIdle?.()
      }
    }
  }

  return {
    get size() {
      return slots.size
    },
    use,
    async close() {
      closed = true
      clearInterval(round)
      const busy = () => [...slots.values()].some((slot) => slot.users > 0)
      while (busy()) await new Promise<void>((resolve) => (whenIdle = resolve))
      for (const [mxid, slot] of [...slots]) void retire(mxid, slot)
      await Promise.all(releasing.values())
    },
  }
}

async function open(mxid: GhostId, options: LoadedOptions): Promise<Opened> {
  const { context, cryptoStore, owner } = options
  const { database, sealer, settings } = context
  const renewedAt = Date.now()
  const lease = await acquireLease(database, { name: leaseName(mxid), owner, ttlMs: settings.ghostLeaseMs })
  if (!lease) throw new GhostError('lease-lost', true)
  try {
    let row = await rowOf(database, mxid)
    if (row.incarnation < context.incarnation) {
      await dropDevice(context, cryptoStore, { mxid, row, lease, incarnation: context.incarnation })
      row = await rowOf(database, mxid)
    }
    const storeKey = sealer.open(row.store_key, `ghost|store_key|${mxid}`)
    const store = await cryptoStore.open(mxid, lease, storeKey)
    const readable: Loaded['readable'] = new Map()
    const machine = await openMachine({
      user: mxid,
      device: row.device_id,
      storeKey,
      store,
      timeoutMs: settings.machineTimeoutMs,
      onRoomKey: (room, sessionId) => options.onRoomKey(mxid, room, sessionId),
      onDevices: (users) => {
        readable.clear()
        context.claims.refresh(users)
      },
    })
    const tracked = new Set<string>()
    for (const user of await machine.call((olm) => olm.trackedUsers())) tracked.add(user.toString())
    const ghost = {
      mxid,
      machine,
      locks: createLocks(),
      tracked,
      readable,
      roomKeys: new Map(),
      asked: new Set<string>(),
      listsSeen: row.lists_seen,
      owes: true,
      prune: () => store.prune(),
    }
    if (row.identity) await bringIdentity(context, ghost, row.identity)
    return { ghost, lease, renewedAt }
  } catch (error) {
    await releaseLease(database, lease).catch(() => {})
    throw error
  }
}

interface Row {
  device_id: string
  store_key: Uint8Array
  lists_seen: number
  incarnation: number
  /** Sealed: of a ghost whose new device is not signed yet. */
  identity: Uint8Array | null
}

async function rowOf(database: Database, mxid: GhostId): Promise<Row> {
  const [row] = await database.query<Row>(
    'select device_id, store_key, lists_seen, incarnation, identity from ghost where mxid = $1',
    [mxid],
  )
  if (!row) throw new GhostError('unknown-ghost', false)
  return row
}
