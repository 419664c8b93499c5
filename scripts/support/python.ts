import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { root } from './command.ts'
import { exists } from './end-with-parent.ts'

/** Something that this machine lacks; the message tells a person what to do. Known by its name. */
export class PartMissing extends Error {
  constructor(message: string) {
    super(message)
    this.name = 'PartMissing'
  }
}

export interface PythonPackage {
  /** Folder below .cache. */
  readonly folder: string
  /** As pip names it, with an exact version. */
  readonly requirement: string
  /** What people call it. */
  readonly title: string
}

/** How often a line is printed while pip works, and how often it is looked whether another process has finished. */
const PROGRESS_MS = 20_000
const LOOK_MS = 250
/** No installation takes longer than this; then whoever holds the lock is taken to be stuck. */
const PATIENCE_MS = 15 * 60_000

/**
 * A Python environment with one package, below .cache, made when it is missing: about a minute. Several processes may ask
 * at once; one installs, the others wait.
 *
 * @returns the environment's Python
 * @throws PartMissing when there is no Python 3 with venv, or the package cannot be installed
 */
export async function ensurePython(
  { folder, requirement, title }: PythonPackage,
  print: (line: string) => void,
): Promise<string> {
  const home = join(root, '.cache', folder)
  const python = join(home, 'bin', 'python')
  const mark = join(home, 'silta-installed')
  const installed = () => existsSync(python) && existsSync(mark) && readFileSync(mark, 'utf8') === requirement
  if (installed()) return python
  mkdirSync(join(root, '.cache'), { recursive: true })
  const release = await lock(`${home}.lock`, installed)
  if (!release) return python
  const started = Date.now()
  const timer = setInterval(
    () => print(`  still installing ${title}, ${Math.round((Date.now() - started) / 1000)} s`),
    PROGRESS_MS,
  )
  try {
    if (installed()) return python
    print(`Installing ${title} into .cache/${folder} …`)
    if ((await run('python3', ['-c', 'import venv, ensurepip'])).code !== 0)
      throw new PartMissing(
        `${title} needs Python 3 with venv, which is not here; on Debian: sudo apt-get install python3-venv`,
      )
    const steps: [string, string[]][] = [
      ['python3', ['-m', 'venv', home]],
      [python, ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '--prefer-binary', requirement]],
    ]
    for (const [program, parameters] of steps) {
      const { code, output } = await run(program, parameters)
      if (code !== 0) throw new PartMissing(`${title} could not be installed:\n${output.trimEnd().slice(-2000)}`)
    }
    writeFileSync(mark, requirement)
    print(`  ${title} installed in ${Math.round((Date.now() - started) / 1000)} s`)
    return python
  } finally {
    clearInterval(timer)
    release()
  }
}

/** Why nothing can be installed on this machine; false when it can, or all is there already. */
export async function pythonMissing(): Promise<string | false> {
  const { code } = await run('python3', ['-c', 'import venv, ensurepip'])
  return code === 0 ? false : 'Python 3 with venv is not installed'
}

/** Gives how to release the lock; undefined when waiting for it has become pointless. */
async function lock(file: string, pointless: () => boolean): Promise<(() => void) | undefined> {
  const until = Date.now() + PATIENCE_MS
  for (;;) {
    try {
      writeFileSync(file, String(process.pid), { flag: 'wx' })
      return () => rmSync(file, { force: true })
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    }
    if (pointless()) return undefined
    if (!exists(holder(file)) || Date.now() > until) rmSync(file, { force: true })
    else await sleep(LOOK_MS)
  }
}

function holder(file: string): number {
  try {
    return Number(readFileSync(file, 'utf8'))
  } catch {
    return 0
  }
}

async function run(program: string, parameters: readonly string[]): Promise<{ code: number; output: string }> {
  const child = spawn(program, parameters, { stdio: ['ignore', 'pipe', 'pipe'] })
  const killWithUs = () => child.kill('SIGKILL')
  process.once('exit', killWithUs)
  child.once('close', () => process.off('exit', killWithUs))
  let output = ''
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text
    })
  return new Promise((resolve) => {
    child.once('error', (error) => resolve({ code: 127, output: error.message }))
    void once(child, 'close').then(
      ([code]) => resolve({ code: Number(code ?? 1), output }),
      () => {},
    )
  })
}
