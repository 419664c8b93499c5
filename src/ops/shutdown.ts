import type { Log } from './log.ts'

export interface Shutdown {
  /**
   * Adds what must be stopped. Steps run in the order opposite to that in which they were added, as what was opened last
   * uses what was opened first; one at a time.
   *
   * @param stop is given a signal that is aborted when its time is over; it must then give up what it waits for
   */
  add(name: string, stop: (deadline: AbortSignal) => Promise<void> | void): void
  /**
   * Runs all steps, once: a second call gives the same promise. A step that throws or takes too long is logged and the
   * next one runs all the same.
   *
   * @returns whether every step ended well and in time
   */
  run(reason: string): Promise<boolean>
  /** Aborted when shutdown begins: for loops that only need to know. */
  readonly signal: AbortSignal
}

export interface ShutdownSettings {
  /** Time for all steps together. */
  readonly graceMs: number
  readonly log: Log
}

export function openShutdown({ graceMs, log }: ShutdownSettings): Shutdown {
  const steps: { readonly name: string; readonly stop: (deadline: AbortSignal) => Promise<void> | void }[] = []
  const begun = new AbortController()
  let running: Promise<boolean> | undefined

  const runAll = async (reason: string): Promise<boolean> => {
    begun.abort()
    log.info({ reason }, 'shutting down')
    const end = Date.now() + graceMs
    let well = true
    for (let step = steps.pop(); step; step = steps.pop()) {
      // What is left is shared by all that still have to stop, so that the first cannot take everything.
      const share = Math.max(0, end - Date.now()) / Math.min(2, steps.length + 1)
      well = (await runStep(step, Math.max(50, share), log)) && well
    }
    log.info({}, well ? 'stopped' : 'stopped, but not everything in time')
    return well
  }

  return {
    add: (name, stop) => void steps.push({ name, stop }),
    run: (reason) => {
      running ??= runAll(reason)
      return running
    },
    signal: begun.signal,
  }
}

async function runStep(
  { name, stop }: { name: string; stop: (deadline: AbortSignal) => Promise<void> | void },
  ms: number,
  log: Log,
): Promise<boolean> {
  const deadline = new AbortController()
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<'late'>((resolve) => {
    timer = setTimeout(() => {
      deadline.abort()
      resolve('late')
    }, ms)
  })
  const started = Date.now()
  try {
    const ended = await Promise.race([Promise.resolve(stop(deadline.signal)), late])
    if (ended === 'late') log.warn({ step: name, ms: Math.round(ms) }, 'a step of the shutdown took too long')
    else log.debug({ step: name, durationMs: Date.now() - started }, 'a step of the shutdown is done')
    return ended !== 'late'
  } catch (error) {
    log.error({ step: name, error }, 'a step of the shutdown failed')
    return false
  } finally {
    clearTimeout(timer)
  }
}
