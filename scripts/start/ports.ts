import { createServer } from 'node:net'

/** A port to listen on: the wished one, or another when something else has that. */
export async function choosePort(wished: number, taken: readonly number[] = []): Promise<number> {
  const free = taken.includes(wished) ? undefined : await tryPort(wished)
  if (free !== undefined) return free
  for (;;) {
    const port = await tryPort(0)
    if (port === undefined) throw new Error('there is no free port on 127.0.0.1')
    if (!taken.includes(port)) return port
  }
}

/** The port that was free, 0 meaning any; undefined when it is taken. */
function tryPort(port: number): Promise<number | undefined> {
  return new Promise((done) => {
    const server = createServer()
    server.once('error', () => done(undefined))
    server.listen(port, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => done(typeof address === 'object' ? (address?.port ?? undefined) : undefined))
    })
  })
}
