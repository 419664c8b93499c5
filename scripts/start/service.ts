import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { type Child, startChild } from './children.ts'
import type { Configuration } from './configuration.ts'
import { dataFolder } from './data.ts'

/** A first start creates the database: seconds, more on a busy machine. */
const PATIENCE_MS = 120_000
const LOOK_MS = 100

const program = fileURLToPath(new URL('../../bin/silta.mjs', import.meta.url))
const watchParent = fileURLToPath(new URL('watch-parent.ts', import.meta.url))

/** Starts the service as a child and waits until it says that it is ready. @throws Error with the end of its log */
export async function startService({ file, environment }: Configuration, url: string): Promise<Child> {
  const child = await startChild({
    name: 'the service',
    command: process.execPath,
    parameters: ['--disable-warning=ExperimentalWarning', '--import', watchParent, program, 'serve', '--config', file],
    environment,
    logFile: dataFolder('logs', 'service.log'),
  })
  for (const until = Date.now() + PATIENCE_MS; Date.now() < until && child.running; await sleep(LOOK_MS)) {
    const answer = await fetch(`${url}/readyz`).catch(() => undefined)
    await answer?.body?.cancel()
    if (answer?.ok) return child
  }
  await child.stop()
  throw new Error(`the service did not start:\n${child.lastLines(15).join('\n')}`)
}
