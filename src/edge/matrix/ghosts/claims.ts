import type { Homeserver, Masquerade } from '../homeserver.ts'
import { createLocks, delay } from '../locks.ts'

/** Claims one-time keys, for all ghosts of this process. */
export interface Claims {
  /** Claims what is asked for and gives what there was: user → device → key id → key. @throws HomeserverError */
  claim(as: Masquerade, wanted: Wanted): Promise<Claimed>
  /** Forgets that these users' devices had no keys. */
  refresh(users: readonly string[]): void
}

/** user → device → algorithm */
export type Wanted = Record<string, Record<string, string>>
export type Claimed = Record<string, Record<string, object>>

export interface ClaimsOptions {
  readonly homeserver: Homeserver
  readonly attempts: number
  readonly retryMs: number
}

/** How long a device that has no keys is left alone: 5 s, doubling to 10 min. */
const emptyMs = 5_000
const emptyMaxMs = 10 * 60 * 1000
/** Devices remembered as empty; beyond it the oldest is asked again. */
const emptyLimit = 10_000
/** What the homeserver is to wait for other homeservers, ms. */
const federationMs = 10_000

/**
 * Synapse answers concurrent claims for one device with nothing for most of them, although the device has keys. So
 * claims for the same user go one after another, whichever ghost makes them, and an empty answer is asked again before
 * it is believed.
 */
export function createClaims({ homeserver, attempts, retryMs }: ClaimsOptions): Claims {
  const locks = createLocks()
  const empty = new Map<string, { until: number; waitMs: number }>()
  const name = (user: string, device: string) => `${user} ${device}`

  const claimOnce = (as: Masquerade, wanted: Wanted) =>
    locks.runAll(Object.keys(wanted), async () => {
      const answer = await homeserver.call<{ one_time_keys?: Claimed }>('POST', `/_matrix/client/v3/keys/claim`, {
        as,
        body: { one_time_keys: wanted, timeout: federationMs },
      })
      return answer.one_time_keys ?? {}
    })

  const claimFrom = async (as: Masquerade, asked: Wanted): Promise<Claimed> => {
    const claimed: Claimed = {}
    let wanted = only(asked, (user, device) => (empty.get(name(user, device))?.until ?? 0) <= performance.now())
    for (let attempt = 1; Object.keys(wanted).length > 0; attempt++) {
      for (const [user, devices] of Object.entries(await claimOnce(as, wanted)))
        for (const [device, keys] of Object.entries(devices)) {
          if (!wanted[user]?.[device] || Object.keys(keys).length === 0) continue
          claimed[user] = { ...claimed[user], [device]: keys }
          empty.delete(name(user, device))
        }
      wanted = only(wanted, (user, device) => {
        if (claimed[user]?.[device]) return false
        const known = empty.get(name(user, device))
        if (!known && attempt < attempts) return true
        remember(user, device, known?.waitMs)
        return false
      })
      if (Object.keys(wanted).length > 0) await delay(retryMs * 2 ** (attempt - 1))
    }
    return claimed
  }

  const remember = (user: string, device: string, before: number | undefined) => {
    const waitMs = before === undefined ? emptyMs : Math.min(before * 2, emptyMaxMs)
    const key = name(user, device)
    empty.delete(key)
    empty.set(key, { until: performance.now() + waitMs, waitMs })
    const oldest = empty.size > emptyLimit ? empty.keys().next().value : undefined
    if (oldest !== undefined) empty.delete(oldest)
  }

  return {
    async claim(as, wanted) {
      // A homeserver that does not answer must not delay the others.
      const servers = Map.groupBy(Object.entries(wanted), ([user]) => user.slice(user.indexOf(':') + 1))
      const parts = [...servers.values()].map((users) => claimFrom(as, Object.fromEntries(users)))
      return Object.assign({}, ...(await Promise.all(parts)))
    },
    refresh(users) {
      const changed = new Set(users)
      for (const key of empty.keys()) if (changed.has(key.slice(0, key.indexOf(' ')))) empty.delete(key)
    },
  }
}

function only(wanted: Wanted, keep: (user: string, device: string) => boolean): Wanted {
  const kept: Wanted = {}
  for (const [user, devices] of Object.entries(wanted)) {
    const left = Object.entries(devices).filter(([device]) => keep(user, device))
    if (left.length > 0) kept[user] = Object.fromEntries(left)
  }
  return kept
}
