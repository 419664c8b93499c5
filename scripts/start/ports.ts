import { createServer } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

const LOOK_MS = 200

/** A port to listen on: the wished one, or another when something else has that, also after waiting for it. */
export async function choosePort(
  wished: number,
  { taken = [], patienceMs = 0 }: { taken?: readonly number[]; patienceMs?: number } = {},
): Promise<number> {
  for (const until = Date.now() + patienceMs; !taken.includes(wished); await sleep(LOOK_MS)) {
    const free = await tryPort(wished)
    if (free !== undefined) return free
    if (Date.now() >= until) break
  }
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
