import { spawn, spawnSync } from 'node:child_process'
import { accessSync, constants, globSync } from 'node:fs'
import { delimiter, join } from 'node:path'

/** A program of this machine that some tests need. */
interface Part {
  name: string
  debianPackage: string
  isPresent(): boolean
}

const parts: readonly Part[] = [
  {
    name: 'Chromium',
    debianPackage: 'chromium',
    isPresent: () => ['chromium', 'chromium-browser', 'google-chrome'].some(onPath),
  },
  {
    name: 'PostgreSQL',
    debianPackage: 'postgresql',
    isPresent: () => onPath('initdb') || globSync('/usr/lib/postgresql/*/bin/initdb').length > 0,
  },
  {
    name: 'Python with venv',
    debianPackage: 'python3-venv',
    isPresent: () => spawnSync('python3', ['-c', 'import venv, ensurepip'], { stdio: 'ignore' }).status === 0,
  },
  {
    name: "Prometheus' promtool",
    debianPackage: 'prometheus',
    isPresent: () => onPath('promtool'),
  },
]

/** How often a line is printed while apt-get works. */
const PROGRESS_MS = 20_000

/**
 * Installs what is missing where that needs nobody's password: as root on a machine with apt-get. Elsewhere it says what to
 * install, and the tests that need it are skipped. SILTA_TEST_INSTALL=no leaves the machine alone.
 */
export async function prepareMachine(print: (line: string) => void): Promise<void> {
  const missing = parts.filter((part) => !part.isPresent())
  if (missing.length === 0) return
  const names = missing.map((part) => part.name).join(', ')
  const packages = missing.map((part) => part.debianPackage)
  const mayInstall = process.getuid?.() === 0 && onPath('apt-get') && process.env.SILTA_TEST_INSTALL !== 'no'
  if (!mayInstall) {
    print(
      `Not on this machine: ${names}. Tests that need them are skipped; on Debian: sudo apt-get install ${packages.join(' ')}`,
    )
    return
  }
  print(`Installing ${names} with apt-get …`)
  const started = Date.now()
  const timer = setInterval(
    () => print(`  still installing, ${Math.round((Date.now() - started) / 1000)} s`),
    PROGRESS_MS,
  )
  const failure =
    (await aptGet(['update', '-qq'])) ??
    (await aptGet(['install', '-y', '-qq', '--no-install-recommends', '-o', 'Dpkg::Use-Pty=0', ...packages]))
  clearInterval(timer)
  if (failure) print(`  apt-get failed, so tests that need ${names} are skipped:\n${failure}`)
  else print(`  installed in ${Math.round((Date.now() - started) / 1000)} s`)
}

/** Resolves with what apt-get printed when it failed. */
function aptGet(parameters: readonly string[]): Promise<string | undefined> {
  const environment = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  const child = spawn('apt-get', parameters, { stdio: ['ignore', 'pipe', 'pipe'], env: environment })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text
    })
  }
  return new Promise((done) => {
    child.once('error', (error) => done(error.message))
    child.once('close', (code) => done(code === 0 ? undefined : output.trimEnd().split('\n').slice(-10).join('\n')))
  })
}

function onPath(program: string): boolean {
  return (process.env.PATH ?? '').split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK)
      return folder !== ''
    } catch {
      return false
    }
  })
}
