import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { accessSync, chownSync, constants, existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Client } from 'pg'

/** A PostgreSQL server of its own for one test process. */
export interface PostgresServer {
  /** Connection URL of its maintenance database. */
  readonly url: string
  /** Everything that it writes. */
  readonly folder: string
  /** Ends the server as a crash would: connections break, and nobody answers. */
  interrupt(): Promise<void>
  /** Starts it again at the same address, with its data. */
  resume(): Promise<void>
  /** Whether it runs: a full disk ends it. */
  readonly running: boolean
  /** Ends all connections, as a failover or an administrator does. @returns how many */
  cut(): Promise<number>
  stop(): Promise<void>
}

const startPatienceMs = 60_000

/** Folder with initdb and postgres, or undefined when PostgreSQL is not installed. */
export function findPostgres(): string | undefined {
  const packaged = '/usr/lib/postgresql'
  const versions = existsSync(packaged) ? readdirSync(packaged).sort((a, b) => Number(b) - Number(a)) : []
  const folders = [
    ...versions.map((version) => join(packaged, version, 'bin')),
    ...(process.env.PATH ?? '').split(delimiter),
  ]
  return folders.find((folder) => isExecutable(join(folder, 'initdb')) && isExecutable(join(folder, 'postgres')))
}

/**
 * Starts a server in a temporary folder on a free loopback port. PostgreSQL refuses to run as root, so root hands it to
 * the user `postgres`, or to `nobody` where there is none. It is stopped by its process id, and killed with this process.
 *
 * @param more further settings, `name=value`
 * @param within where its folder is made
 */
export async function startPostgres(more: readonly string[] = [], within = tmpdir()): Promise<PostgresServer> {
  const binaries = findPostgres()
  if (!binaries) throw new Error('PostgreSQL is not installed: no initdb in /usr/lib/postgresql or PATH')
  const folder = mkdtempSync(join(within, 'silta-postgres-'))
  const user = ordinaryUser()
  if (user) chownSync(folder, user.uid, user.gid)
  const data = join(folder, 'data')
  const options = { cwd: folder, ...user }
  execFileSync(
    join(binaries, 'initdb'),
    ['-D', data, '-U', 'silta', '-A', 'trust', '-E', 'UTF8', '--no-locale', '--no-sync'],
    {
      ...options,
      stdio: ['ignore', 'ignore', 'pipe'],
    },
  )
  const port = await freePort()
  const settings = ['fsync=off', 'full_page_writes=off', 'max_connections=200', 'shared_buffers=64MB', ...more]
  const parameters = ['-D', data, '-h', '127.0.0.1', '-p', String(port), '-k', folder]
  for (const setting of settings) parameters.push('-c', setting)
  const url = `postgres://silta@127.0.0.1:${port}/postgres`
  let server: ChildProcess | undefined
  const killWithUs = () => server?.kill('SIGQUIT')
  process.once('exit', killWithUs)

  const resume = async () => {
    const started = spawn(join(binaries, 'postgres'), parameters, { ...options, stdio: 'ignore' })
    server = started
    await untilReady(binaries, port, () => started.exitCode !== null)
    // The server must not keep a finished test process alive.
    started.unref()
  }
  const interrupt = async () => {
    if (!server || server.exitCode !== null || server.signalCode !== null) return
    const gone = once(server, 'exit')
    server.ref()
    server.kill('SIGQUIT')
    await gone
  }
  await resume()
  return {
    url,
    folder,
    interrupt,
    resume,
    get running() {
      return server !== undefined && server.exitCode === null && server.signalCode === null
    },
    async cut() {
      const client = new Client({ connectionString: url })
      await client.connect()
      try {
        const all =
          'select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid() and datname is not null'
        return (await client.query(all)).rowCount ?? 0
      } finally {
        await client.end()
      }
    },
    async stop() {
      process.off('exit', killWithUs)
      await interrupt()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

async function untilReady(binaries: string, port: number, failed: () => boolean): Promise<void> {
  const deadline = Date.now() + startPatienceMs
  while (Date.now() < deadline && !failed()) {
    try {
      execFileSync(join(binaries, 'pg_isready'), ['-q', '-h', '127.0.0.1', '-p', String(port)], { stdio: 'ignore' })
      return
    } catch {
      await sleep(50)
    }
  }
  throw new Error('PostgreSQL did not start')
}

function ordinaryUser(): { uid: number; gid: number } | undefined {
  if (process.getuid?.() !== 0) return undefined
  for (const name of ['postgres', 'nobody']) {
    try {
      const id = (flag: string) =>
        Number(execFileSync('id', [flag, name], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }))
      return { uid: id('-u'), gid: id('-g') }
    } catch {
      // no such user: try the next one
    }
  }
  throw new Error('PostgreSQL cannot run as root, and there is no user postgres or nobody to run it as')
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer()
    probe.once('error', reject)
    probe.listen(0, '127.0.0.1', () => {
      const { port } = probe.address() as { port: number }
      probe.close(() => resolve(port))
    })
  })
}
