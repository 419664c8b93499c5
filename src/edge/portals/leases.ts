import {
  acquireLease,
  type Database,
  type Lease,
  releaseLease,
  renewLease,
  renewLeases,
  requireFence,
  type Transaction,
} from '../../store/index.ts'

/** The leases that this process holds, renewed while it lives. */
export interface HeldLeases {
  /** Takes a lease; undefined when another process has it. */
  take(name: string): Promise<Held | undefined>
  /** Gives all back. */
  close(): Promise<void>
}

export interface Held {
  readonly name: string
  /** To be called in each transaction that writes under the lease, which fails with LeaseLost, at the latest when it commits. */
  check(tx: Transaction): void
  release(): Promise<void>
}

export interface HeldLeasesOptions {
  database: Database
  owner: string
  ttlMs: number
  /** A lease was lost to another process: what it protects must stop. */
  onLost(name: string): void
  onFault(error: unknown): void
}

/** Leases prolonged by one statement: some ten milliseconds, in which none of them can be given back. */
const renewedAtOnce = 1_000

export function holdLeases({ database, owner, ttlMs, onLost, onFault }: HeldLeasesOptions): HeldLeases {
  const held = new Map<string, Lease>()
  const renewSome = async (some: readonly Lease[]) => {
    const renewed = await renewLeases(database, some, ttlMs)
    for (const lease of some) {
      // Under a transaction of ours at this moment, or lost.
      if (renewed.has(lease.name) || (await renewLease(database, lease, ttlMs))) continue
      // Or given back meanwhile, and perhaps taken again.
      if (held.get(lease.name) !== lease) continue
      held.delete(lease.name)
      onLost(lease.name)
    }
  }
  const renewAll = async () => {
    const all = [...held.values()]
    for (let from = 0; from < all.length; from += renewedAtOnce) await renewSome(all.slice(from, from + renewedAtOnce))
  }
  let renewing: Promise<void> | undefined
  // Three tries before a lease runs out.
  const timer = setInterval(() => {
    renewing ??= renewAll()
      .catch(onFault)
      .finally(() => {
        renewing = undefined
      })
  }, ttlMs / 3)
  timer.unref?.()
  return {
    async take(name) {
      const lease = await acquireLease(database, { name, owner, ttlMs })
      if (lease === undefined) return undefined
      held.set(name, lease)
      return {
        name,
        check: (tx) => requireFence(tx, name, lease.fence),
        async release() {
          if (held.delete(name)) await releaseLease(database, lease)
        },
      }
    },
    async close() {
      clearInterval(timer)
      await renewing
      for (const lease of held.values()) await releaseLease(database, lease)
      held.clear()
    },
  }
}
