/**
 * Works on keys (portals) one at a time each, several keys at once. A wake-up while a key is worked on makes it run once
 * more, so nothing that was stored before a wake-up is missed. A failure is tried again after a growing wait.
 */
export interface Runner {
  wake(key: number): void
  /** Resolves when nothing runs and nothing is due; keys that wait for a later time do not count. */
  idle(): Promise<void>
  /** Starts nothing more and waits for what runs. */
  stop(): Promise<void>
}

export interface RunnerOptions {
  /** Does all there is to do for a key. Resolving with a time: run again then, even without a wake-up. Throws: later. */
  work(key: number): Promise<{ againInMs: number } | undefined>
  atOnce: number
  retryMs: number
  retryMaxMs: number
  onFault(error: unknown): void
}

/** How long somebody who refused for now asks to be left alone, ms. */
function askedWait(error: unknown): number {
  const asked = typeof error === 'object' && error !== null && 'retryAfterMs' in error ? error.retryAfterMs : 0
  return typeof asked === 'number' ? asked : 0
}

interface Entry {
  state: 'queued' | 'running' | 'waiting'
  again: boolean
  failures: number
  timer?: ReturnType<typeof setTimeout>
}

export function createRunner({ work, atOnce, retryMs, retryMaxMs, onFault }: RunnerOptions): Runner {
  const entries = new Map<number, Entry>()
  const queue: number[] = []
  let running = 0
  let stopped = false
  let watchers: (() => void)[] = []

  const settled = () => running === 0 && (stopped || queue.length === 0)
  const notice = () => {
    if (!settled()) return
    const told = watchers
    watchers = []
    for (const tell of told) tell()
  }
  const wait = (key: number, entry: Entry, ms: number) => {
    entry.state = 'waiting'
    entry.timer = setTimeout(() => wake(key), ms)
    entry.timer.unref?.()
  }
  const run = async (key: number, entry: Entry) => {
    entry.state = 'running'
    entry.again = false
    let later: { againInMs: number } | undefined
    try {
      later = await work(key)
      entry.failures = 0
    } catch (error) {
      onFault(error)
      entry.failures += 1
      // With jitter, so that portals which failed together do not come back together.
      const most = Math.min(retryMaxMs, retryMs * 2 ** Math.min(entry.failures - 1, 20))
      later = { againInMs: Math.max(askedWait(error), most * (0.5 + Math.random() / 2)) }
    }
    running -= 1
    if (stopped) entries.delete(key)
    else if (entry.again && entry.failures === 0) enqueue(key, entry)
    else if (later !== undefined) wait(key, entry, later.againInMs)
    else entries.delete(key)
    pump()
    notice()
  }
  const pump = () => {
    while (!stopped && running < atOnce) {
      const key = queue.shift()
      const entry = key === undefined ? undefined : entries.get(key)
      if (key === undefined || entry === undefined) return
      running += 1
      void run(key, entry)
    }
  }
  const enqueue = (key: number, entry: Entry) => {
    entry.state = 'queued'
    queue.push(key)
  }
  const wake = (key: number) => {
    if (stopped) return
    const entry = entries.get(key)
    if (entry === undefined) {
      const fresh: Entry = { state: 'queued', again: false, failures: 0 }
      entries.set(key, fresh)
      enqueue(key, fresh)
    } else if (entry.state === 'running') entry.again = true
    else if (entry.state === 'waiting') {
      clearTimeout(entry.timer)
      enqueue(key, entry)
    }
    pump()
  }
  return {
    wake,
    idle: () => new Promise((resolve) => (settled() ? resolve() : watchers.push(resolve))),
    async stop() {
      stopped = true
      for (const entry of entries.values()) clearTimeout(entry.timer)
      if (!settled()) await new Promise<void>((resolve) => watchers.push(resolve))
    },
  }
}
