/** Runs one piece of work at a time, in the order in which they were asked for. */
export function takeTurns(): <T>(work: () => Promise<T>) => Promise<T> {
  let last: Promise<unknown> = Promise.resolve()
  return (work) => {
    const turn = last.then(work, work)
    // The next one waits for the end of this one, however it ends.
    last = turn.catch(() => undefined)
    return turn
  }
}
