import {
  acquireLease,
  type Database,
  type Lease,
  releaseLease,
  renewLease,
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

export function holdLeases({ database, owner, ttlMs, onLost, onFault }: HeldLeasesOptions): HeldLeases {
  const held = new Map<string, Lease>()
  const renewAll = async () => {
    for (const lease of [...held.values()]) {
      if (await renewLease(database, lease, ttlMs)) continue
      held.delete(lease.name)
      onLost(lease.name)
    }
  }
  let renewing: Promise<void> = Promise.resolve()
  // Three tries before a lease runs out.
  const timer = setInterval(() => {
    renewing = renewing.then(renewAll).catch(onFault)
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
