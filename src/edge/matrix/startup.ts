import type { Appservice } from './appservice.ts'
import type { Ghosts } from './ghosts.ts'
import type { Homeserver } from './homeserver.ts'
import { delay } from './locks.ts'
import type { Log } from './log.ts'

export interface StartupOptions {
  readonly homeserver: Pick<Homeserver, 'ping'>
  readonly appservice: Pick<Appservice, 'start' | 'idle' | 'wake' | 'transactions' | 'lookForGaps'>
  readonly ghosts: Pick<Ghosts, 'recover'>
  readonly appserviceId: string
  readonly log: Log
  readonly signal?: AbortSignal
}

/** Synapse answers a ping now and then with 502 although the listener is up. */
const pings = 5
const pingWaitMs = 500
/** The backlog has come in when nothing more has come for so long, ms. */
const quietMs = 400
/** Waiting for the backlog ends here, ms: on a busy homeserver transactions never stop coming. */
const backlogMs = 15_000
/** Between attempts to recover, ms: doubling from the first to the last. */
const recoverWaitMs = 1_000
const recoverWaitMaxMs = 60_000

/**
 * Starts with a homeserver, once our listener is up: ping, let the backlog come in, then /sync each ghost. In this order:
 * as long as we count as down, the homeserver drops to-device messages instead of pushing them, so whatever /sync is to
 * find must lie before the moment from which on they are pushed. Room keys that /sync finds wake the rooms that wait for
 * them (`onRoomKey`).
 *
 * @returns a promise for the end of the recovery; the bridge works meanwhile
 */
export async function startMatrix(options: StartupOptions): Promise<{ recovered: Promise<void> }> {
  const { homeserver, appservice, appserviceId, log } = options
  await appservice.start()
  for (let attempt = 1; attempt <= pings && !options.signal?.aborted; attempt++) {
    try {
      await homeserver.ping(appserviceId)
      break
    } catch {
      if (attempt === pings) log.warn({ code: 'ping' }, 'the homeserver does not reach this service')
      else await delay(pingWaitMs)
    }
  }
  return { recovered: catchUp(options) }
}

/**
 * Fetches what the homeserver did not push while it or we were away: to-device messages, changed devices and key counts by
 * /sync, events from the rooms.
 */
export async function catchUp(
  options: Pick<StartupOptions, 'appservice' | 'ghosts' | 'log' | 'signal'>,
): Promise<void> {
  await recover(options)
  if (options.signal?.aborted) return
  await options.appservice.lookForGaps().catch(() => {
    options.log.warn({ code: 'gap' }, 'rooms could not be compared with their timelines')
  })
}

async function recover({
  appservice,
  ghosts,
  log,
  signal,
}: Pick<StartupOptions, 'appservice' | 'ghosts' | 'log' | 'signal'>): Promise<void> {
  const until = performance.now() + backlogMs
  for (let before = -1; before !== appservice.transactions && performance.now() < until; await delay(quietMs))
    before = appservice.transactions
  for (let wait = recoverWaitMs; !signal?.aborted; wait = Math.min(wait * 2, recoverWaitMaxMs)) {
    try {
      await ghosts.recover()
      return
    } catch {
      log.warn({ code: 'recover', ms: wait }, 'recovery is not complete and is tried again')
      await delay(wait)
    }
  }
}
