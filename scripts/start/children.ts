import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createWriteStream, mkdirSync, readFileSync } from 'node:fs'
import { dirname } from 'node:path'

/** How long a child may take to end after SIGTERM before it is killed: longer than the service's own grace. */
const GRACE_MS = 25_000

export interface ChildSettings {
  /** For messages. */
  name: string
  command: string
  parameters: readonly string[]
  environment?: Record<string, string>
  cwd?: string
  /** What it prints goes here; begun anew. */
  logFile: string
}

export interface Child {
  readonly name: string
  readonly pid: number
  /** Settles when it has ended, for whatever reason. */
  readonly ended: Promise<{ code: number | null; signal: string | null }>
  readonly running: boolean
  /** The last lines that it printed. */
  lastLines(count: number): string[]
  stop(): Promise<void>
}

/**
 * Starts a program in a process group of its own, so that a Ctrl-C in the terminal reaches this process alone, which then
 * stops its children in order. It is told our process id (SILTA_PARENT), and ends by itself when we are gone.
 */
export async function startChild(settings: ChildSettings): Promise<Child> {
  mkdirSync(dirname(settings.logFile), { recursive: true })
  const log = createWriteStream(settings.logFile, { mode: 0o600 })
  await once(log, 'open')
  const child = spawn(settings.command, settings.parameters, {
    stdio: ['ignore', log, log],
    detached: true,
    env: { ...process.env, ...settings.environment, SILTA_PARENT: String(process.pid) },
    ...(settings.cwd ? { cwd: settings.cwd } : {}),
  })
  const ended = new Promise<{ code: number | null; signal: string | null }>((done) => {
    child.once('exit', (code, signal) => done({ code, signal }))
    child.once('error', () => done({ code: 127, signal: null }))
  })
  void ended.then(() => log.end())
  await Promise.race([once(child, 'spawn'), once(child, 'error').then(([error]) => Promise.reject(error))])
  const running = () => child.exitCode === null && child.signalCode === null
  return {
    name: settings.name,
    pid: child.pid ?? 0,
    ended,
    get running() {
      return running()
    },
    lastLines: (count) => readFileSync(settings.logFile, 'utf8').trimEnd().split('\n').slice(-count),
    async stop() {
      if (!running()) return
      signalGroup(child, 'SIGTERM')
      const timer = setTimeout(() => signalGroup(child, 'SIGKILL'), GRACE_MS)
      await ended
      clearTimeout(timer)
    },
  }
}

/** The whole group: a child may have children of its own. */
function signalGroup(child: ChildProcess, signal: NodeJS.Signals): void {
  try {
    if (child.pid) process.kill(-child.pid, signal)
  } catch {
    child.kill(signal)
  }
}
