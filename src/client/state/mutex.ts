export type Mutex = <T>(fn: () => Promise<T>) => Promise<T>

/** Runs what it is given one after another, in the order of the calls. A failure is its caller's alone. */
export function createMutex(): Mutex {
  let last: Promise<unknown> = Promise.resolve()
  return (fn) => {
    const run = last.then(fn, fn)
    last = run.catch(() => {})
    return run
  }
}

export type KeyedMutex = <T>(key: string, fn: () => Promise<T>) => Promise<T>

/** A mutex for each key, which exists only while it is used. */
export function createKeyedMutex(): KeyedMutex {
  const held = new Map<string, { alone: Mutex; users: number }>()
  return async (key, fn) => {
    const entry = held.get(key) ?? { alone: createMutex(), users: 0 }
    held.set(key, entry)
    entry.users++
    try {
      return await entry.alone(fn)
    } finally {
      if (--entry.users === 0) held.delete(key)
    }
  }
}
