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
