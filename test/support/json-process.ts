import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'

/**
 * A counterpart in a process of its own, spoken to in lines of JSON: `{id, call, arguments}` there, `{id, result}` or
 * `{id, error}` back. What it prints to stderr is kept for the message of a failure.
 */
export interface JsonProcess {
  call<T>(name: string, ...parameters: unknown[]): Promise<T>
  readonly pid: number
  /** Resolves when it has ended, for whatever reason. */
  readonly ended: Promise<void>
  /** Closes its input, upon which it ends; by force after two seconds. */
  stop(): Promise<void>
}

const stopMs = 2_000
/** How much of what it printed is kept, in characters. */
const kept = 4_000

export function startJsonProcess(program: string, parameters: readonly string[]): JsonProcess {
  const child: ChildProcess = spawn(program, parameters, {
    stdio: ['pipe', 'pipe', 'pipe'],
    env: { ...process.env, SILTA_PARENT: String(process.pid) },
  })
  const waiting = new Map<number, { resolve: (value: never) => void; reject: (error: Error) => void }>()
  let errors = ''
  let last = 0
  child.stderr!.setEncoding('utf8').on('data', (text: string) => {
    errors = (errors + text).slice(-kept)
  })
  createInterface({ input: child.stdout! }).on('line', (line) => {
    if (!line.startsWith('{"id":')) return
    const { id, result, error } = JSON.parse(line)
    const caller = waiting.get(id)
    waiting.delete(id)
    if (error === undefined) caller?.resolve(result as never)
    else caller?.reject(new Error(error))
  })
  const ended = once(child, 'close').then(() => {
    for (const { reject } of waiting.values()) reject(new Error(`the counterpart has ended:\n${errors}`))
    waiting.clear()
  })
  child.stdin!.on('error', () => {})
  const killWithUs = () => child.kill('SIGKILL')
  process.once('exit', killWithUs)
  return {
    pid: child.pid!,
    ended,
    call(name, ...parameters) {
      if (child.exitCode !== null || child.signalCode !== null)
        return Promise.reject(new Error(`the counterpart has ended:\n${errors}`))
      return new Promise((resolve, reject) => {
        waiting.set(++last, { resolve, reject })
        child.stdin!.write(`${JSON.stringify({ id: last, call: name, arguments: parameters })}\n`)
      })
    },
    async stop() {
      child.stdin!.end()
      const timer = setTimeout(killWithUs, stopMs)
      await ended
      clearTimeout(timer)
      process.off('exit', killWithUs)
    },
  }
}

/** The other end, in a Node process: answers calls with these functions, and ends when its input does. */
export function serveJson(functions: Record<string, (...parameters: never[]) => unknown>): void {
  const lines = createInterface({ input: process.stdin })
  lines.on('line', async (line) => {
    const { id, call, arguments: parameters } = JSON.parse(line)
    let answer: object
    try {
      const found = functions[call]
      if (!found) throw new Error(`no call ${call}`)
      answer = { id, result: (await found(...(parameters as never[]))) ?? null }
    } catch (error) {
      answer = { id, error: error instanceof Error ? (error.stack ?? error.message) : String(error) }
    }
    process.stdout.write(`${JSON.stringify(answer)}\n`)
  })
  lines.on('close', () => process.exit(0))
}
