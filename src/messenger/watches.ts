import { type Hub, HubError } from '../hub/index.ts'
import type { Body } from './frames.ts'
import { deviceOf } from './names.ts'
import type { GatewaySettings } from './settings.ts'

export interface WatchesOptions {
  hub: Hub
  settings: Pick<GatewaySettings, 'watchesAtOnce' | 'watches'>
  /** Sends an event on channel 0. */
  send(event: Body): void
}

/**
 * Devices of the networks that a connection serves and that have no channel: the connection is told once when something
 * waits for one of them. What waits is not said.
 */
export function openWatches({ hub, settings, send }: WatchesOptions) {
  const watched = new Map<string, () => void>()
  let closed = false

  const end = (device: string) => {
    watched.get(device)?.()
    watched.delete(device)
  }
  const tell = (devices: readonly string[]) => {
    for (const device of devices) end(device)
    if (devices.length > 0 && !closed) send({ case: 'devicesWaiting', value: { deviceIds: [...devices] } })
  }
  return {
    /** Errors: not-allowed, too-large, rate-limited. */
    async watch(served: readonly { operator: string; network: string }[], names: readonly string[]): Promise<void> {
      if (served.length === 0) throw new HubError('not-allowed')
      if (names.length > settings.watchesAtOnce) throw new HubError('too-large')
      const ids = names.flatMap((name) => deviceOf(name) ?? [])
      if (watched.size + ids.length > settings.watches) throw new HubError('rate-limited', { retryAfterMs: 60_000 })
      for (const one of served) {
        const known = await hub.lookForNews(one, ids)
        if (closed) return
        // Listened to first, so that nothing between looking and listening is missed: so it is looked once more.
        for (const { device } of known)
          if (!watched.has(device))
            watched.set(
              device,
              hub.listen(device, () => tell([device])),
            )
        const now = await hub.lookForNews(
          one,
          known.map(({ device }) => device),
        )
        tell(now.flatMap(({ device, waits }) => (waits && watched.has(device) ? [device] : [])))
      }
    },
    close(): void {
      closed = true
      for (const device of [...watched.keys()]) end(device)
    },
  }
}
