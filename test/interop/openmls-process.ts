// The OpenMLS counterpart (test/interop/openmls): built with cargo, then spoken to in JSON lines.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { createInterface, type Interface } from 'node:readline'

const root = join(import.meta.dirname, '../..')
const source = join(import.meta.dirname, 'openmls')
const target = join(root, '.cache/openmls')

/** A cold build took one to two minutes on two shared cores, and more than four on a machine with much else to do. */
const buildTimeoutMs = 8 * 60_000

/** OpenMLS 0.9.2 says that it needs Rust 1.91. */
const oldestRust = [1, 91] as const

/** Why the counterpart cannot be built here; undefined when it can. */
export function reasonToSkip(): string | undefined {
  const version = spawnSync('cargo', ['--version'], { encoding: 'utf8' })
  if (version.status !== 0) return 'cargo is not installed; the OpenMLS counterpart needs Rust 1.91'
  const [, major, minor] = /^cargo (\d+)\.(\d+)/.exec(version.stdout) ?? []
  const old = Number(major) < oldestRust[0] || (Number(major) === oldestRust[0] && Number(minor) < oldestRust[1])
  return old || minor === undefined
    ? `${version.stdout.trim()} is too old; the OpenMLS counterpart needs Rust 1.91`
    : undefined
}

/** Builds it, which cargo skips when nothing changed. Throws with cargo's last words. */
export async function build(): Promise<string> {
  const cargo = spawn('cargo', ['build', '--locked', '--quiet', '--target-dir', target], {
    cwd: source,
    stdio: ['ignore', 'ignore', 'pipe'],
    timeout: buildTimeoutMs,
  })
  let output = ''
  cargo.stderr.setEncoding('utf8').on('data', (text: string) => {
    output = (output + text).slice(-4000)
  })
  const code = await new Promise<number | null>((done, broke) => cargo.on('close', done).on('error', broke))
  if (code !== 0) throw new Error(`cargo build failed\n${output}`)
  return join(target, 'debug/openmls-peer')
}

export type Fields = Record<string, unknown>

/** The running program: one command at a time, in order. */
export class OpenMlsProcess implements AsyncDisposable {
  readonly #child: ChildProcess
  readonly #lines: Interface
  readonly #waiting: ((line: string | undefined) => void)[] = []

  constructor(program: string) {
    const child = spawn(program, { stdio: ['pipe', 'pipe', 'inherit'] })
    this.#child = child
    this.#lines = createInterface({ input: child.stdout })
    this.#lines.on('line', (line) => this.#waiting.shift()?.(line))
    this.#lines.on('close', () => {
      for (const give of this.#waiting.splice(0)) give(undefined)
    })
  }

  /** Throws what the program says went wrong. */
  async run(command: Fields): Promise<Fields> {
    const answer = new Promise<string | undefined>((give) => this.#waiting.push(give))
    this.#child.stdin!.write(`${JSON.stringify(command)}\n`)
    const line = await answer
    if (line === undefined) throw new Error('the OpenMLS counterpart ended')
    const { ok, error } = JSON.parse(line) as { ok?: Fields; error?: string }
    if (error !== undefined) throw new Error(`OpenMLS, ${String(command.do)}: ${error}`)
    return ok ?? {}
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new Promise((done) => this.#child.once('close', done))
    this.#child.stdin!.end()
    this.#child.kill()
    await closed
  }
}
