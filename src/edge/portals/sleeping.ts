import type { ServedNetwork } from '../../client/index.ts'
import type { DeviceId } from '../../identity/index.ts'
import type { Database } from '../../store/index.ts'
import { createLatest } from './latest.ts'
import type { PortalSettings } from './settings.ts'

export interface SleepingOptions {
  database: Database
  clock: () => number
  settings: Pick<PortalSettings, 'openingAtOnce' | 'userLeaseMs' | 'idleUserMs'>
  isOpen(device: string): boolean
  /** Opens the device of the Matrix user with this look-up key, unless it is open. */
  open(lookup: Uint8Array): Promise<unknown>
  /** Closes the devices that nothing has happened with since then. */
  closeIdle(since: number): Promise<void>
  onFault(error: unknown): void
}

/**
 * Which Matrix users' devices are closed, and what opens them. A device is opened by whoever needs it, by the provider's word
 * that something waits for it, and now and then to renew what runs out. What it has to do lies in its storage and at the
 * provider, so a device that was closed has missed nothing; closed in good order, it had nothing left to send.
 */
export interface Sleeping {
  start(): void
  /** The provider is there: from now on it says for which closed devices something waits. */
  served(network: Pick<ServedNetwork, 'watch'>): void
  /** Something waits for these devices. */
  waiting(devices: readonly string[]): void
  /** This device is about to be closed, and is not open any more for whoever asks: what comes from now on opens it anew. */
  closing(device: DeviceId): Promise<void>
  stop(): Promise<void>
}

/** Devices opened in one round because they are due; the next round goes on. */
const dueAtOnce = 500
/** Devices read from the table in one go. */
const page = 1_000

export function sleeping(options: SleepingOptions): Sleeping {
  const { database, clock, settings, onFault } = options
  /** Closed devices of which the provider does not know that they are watched. */
  const unwatched = new Set<string>()
  let network: Pick<ServedNetwork, 'watch'> | undefined
  let timer: ReturnType<typeof setInterval> | undefined
  let running: Promise<void> | undefined
  let stopped = false

  const opening = createLatest<Uint8Array | undefined>({
    most: Number.POSITIVE_INFINITY,
    atOnce: settings.openingAtOnce,
    onFault,
    async work(device, known) {
      if (stopped || options.isOpen(device)) return
      const [row] = known
        ? [{ lookup: known }]
        : await database.query<{ lookup: Uint8Array }>('select lookup from matrix_user where device = $1', [device])
      try {
        if (row !== undefined) await options.open(row.lookup)
      } catch (error) {
        // Another process may have it, or the provider be away: it is watched again, and asked about anew.
        if (known === undefined) unwatched.add(device)
        throw error
      }
    },
  })
  const watch = async () => {
    const devices = [...unwatched].filter((device) => !options.isOpen(device))
    if (network === undefined) return
    unwatched.clear()
    try {
      if (devices.length > 0) await network.watch(devices as DeviceId[])
    } catch (error) {
      for (const device of devices) unwatched.add(device)
      throw error
    }
  }
  const watchAll = async () => {
    for (let after = new Uint8Array(); !stopped; ) {
      const rows = await database.query<{ lookup: Uint8Array; device: string }>(
        'select lookup, device from matrix_user where lookup > $1 and device is not null order by lookup limit $2',
        [after, page],
      )
      for (const { device } of rows) if (!options.isOpen(device)) unwatched.add(device)
      await watch()
      if (rows.length < page) return
      after = new Uint8Array(rows.at(-1)!.lookup)
    }
  }
  /** Also those whose process died: while a device is open it is due. */
  const openDue = async () => {
    const rows = await database.query<{ lookup: Uint8Array; device: string | null }>(
      `select lookup, device from matrix_user where due_at <= $1 and not exists (
         select 1 from lease where held_until > now_ms()
           and name = 'matrix user ' || rtrim(translate(encode(lookup, 'base64'), '+/', '-_'), '='))
       order by due_at, created_at limit $2`,
      [clock(), dueAtOnce],
    )
    for (const { lookup, device } of rows) opening.put(device ?? Buffer.from(lookup).toString('hex'), lookup)
  }
  const round = () => {
    running ??= (async () => {
      await openDue().catch(onFault)
      await options.closeIdle(clock() - settings.idleUserMs).catch(onFault)
      await watch().catch(onFault)
    })().finally(() => {
      running = undefined
    })
  }
  return {
    start() {
      timer = setInterval(round, Math.min(settings.userLeaseMs, settings.idleUserMs))
      timer.unref?.()
      void watchAll().catch(onFault)
      round()
    },
    served(now) {
      network = now
      if (timer !== undefined) void watchAll().catch(onFault)
    },
    waiting(devices) {
      for (const device of devices) opening.put(device, undefined)
    },
    async closing(device) {
      unwatched.add(device)
      await watch().catch(onFault)
    },
    async stop() {
      stopped = true
      clearInterval(timer)
      opening.stop()
      await running
      await opening.idle()
    },
  }
}
