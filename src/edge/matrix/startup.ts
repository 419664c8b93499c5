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

type CatchUpOptions = Pick<StartupOptions, 'appservice' | 'ghosts' | 'log' | 'signal'>

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
 * @param catchUp from `catchingUp`, where it is needed again later
 * @returns a promise for the end of the recovery; the bridge works meanwhile
 */
export async function startMatrix(
  options: StartupOptions,
  catchUp: () => Promise<void> = catchingUp(options),
): Promise<{ recovered: Promise<void> }> {
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
  return { recovered: catchUp() }
}

/**
 * Gives what fetches all that the homeserver did not push while it or we were away: to-device messages, changed devices and
 * key counts by /sync, events from the rooms. The two go beside each other, so that neither waits for what the other cannot
 * get. To be called after each absence, also while an earlier one is still being caught up with: rooms are then begun with
 * anew at once, ghosts when their round is over.
 */
export function catchingUp(options: CatchUpOptions): () => Promise<void> {
  const { appservice, log, signal } = options
  let recovering: Promise<void> | undefined
  let again = false
  const recoverAll = async (): Promise<void> => {
    while (again && !signal?.aborted) {
      again = false
      await recover(options)
    }
    recovering = undefined
  }
  return async () => {
    await backlog(options)
    if (signal?.aborted) return
    void appservice.lookForGaps().catch(() => {
      log.warn({ code: 'gap' }, 'rooms could not be compared with their timelines')
    })
    again = true
    recovering ??= recoverAll()
    await recovering
  }
}

/** Waits until what the homeserver has kept for us has come in. */
async function backlog({ appservice, signal }: CatchUpOptions): Promise<void> {
  const until = performance.now() + backlogMs
  for (
    let before = -1;
    before !== appservice.transactions && performance.now() < until && !signal?.aborted;
    await delay(quietMs, signal)
  )
    before = appservice.transactions
}

async function recover({ ghosts, log, signal }: CatchUpOptions): Promise<void> {
  for (let wait = recoverWaitMs; !signal?.aborted; wait = Math.min(wait * 2, recoverWaitMaxMs)) {
    try {
      await ghosts.recover()
      return
    } catch {
      log.warn({ code: 'recover', ms: wait }, 'recovery is not complete and is tried again')
      await delay(wait, signal)
    }
  }
}
