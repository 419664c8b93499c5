import { type Homeserver, hasRefused, isHomeserverError, type Masquerade } from './homeserver.ts'
import { delay } from './locks.ts'
import type { MatrixSettings } from './settings.ts'

export interface WatchOptions {
  readonly homeserver: Pick<Homeserver, 'call'>
  /** A user in no room, so that nothing but time passes. */
  readonly as: Masquerade
  /** Makes that user, or finds that it is there. @throws HomeserverError */
  register(): Promise<void>
  readonly settings: Pick<MatrixSettings, 'watchMs' | 'watchRetryMs'>
  /** The homeserver has gone, or was not there to begin with: it may be forgetting what it had to hand over. */
  onAway(): void
  /** It answers again. */
  onBack(): void
  readonly signal: AbortSignal
}

/** Nothing of rooms, presence and account data. */
const filter = JSON.stringify({ room: { rooms: [] }, presence: { types: [] }, account_data: { types: [] } })
/** Longest wait for an answer beyond the time for which the homeserver was asked to hold it back, ms. */
const slackMs = 5_000

/**
 * Tells when the homeserver goes and when it is back, by a request that it is always asked to hold back: the end of its
 * process ends the connection at that moment, however soon it is there again.
 *
 * @returns when the signal is given
 */
export async function watchHomeserver({
  homeserver,
  as,
  register,
  settings,
  onAway,
  onBack,
  signal,
}: WatchOptions): Promise<void> {
  const { watchMs, watchRetryMs } = settings
  let registered = false
  let since: string | undefined
  let away = false
  const isThere = (there: boolean) => {
    if (there !== away) return
    away = !there
    if (there) onBack()
    else onAway()
  }
  while (!signal.aborted) {
    const begun = performance.now()
    // The first answer, and the first after an absence, is there at once.
    const timeout = since === undefined ? 0 : watchMs
    try {
      if (!registered) await register()
      registered = true
      const answer = await homeserver.call<{ next_batch?: string }>('GET', '/_matrix/client/v3/sync', {
        as,
        query: {
          filter,
          timeout: String(timeout),
          set_presence: 'offline',
          ...(since === undefined ? {} : { since }),
        },
        timeoutMs: watchMs + slackMs,
        signal,
      })
      since = answer.next_batch
      isThere(true)
      if (timeout === 0 && since !== undefined) continue
    } catch (error) {
      if (signal.aborted) return
      since = undefined
      if (hasRefused(error)) {
        // It answers, if only to refuse: whoever refuses is there. One that was put back may not know this user any more.
        if (away) registered = false
        isThere(true)
      } else if (!isHomeserverError(error) || error.retry) isThere(false)
    }
    // One that is away, refuses, or does not hold its answers back, is not asked without end.
    if (performance.now() - begun < watchRetryMs) await delay(watchRetryMs, signal)
  }
}
