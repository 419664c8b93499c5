// What `npm run build` makes, as the Dockerfile runs it: apart from the checkout and its packages, without rights to write
// anywhere but the data directory.
import assert from 'node:assert/strict'
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { WebSocket } from 'ws'
import { root } from '../scripts/support/command.ts'
import { freePort } from './support/ports.ts'

const home = mkdtempSync(join(tmpdir(), 'silta-bundle-'))
const program = join(home, 'dist', 'silta.js')
const data = join(home, 'data')
/** `nobody` on Debian; the tests may run as root, and perhaps from a folder that nobody else may enter. */
const other = { uid: 65_534, gid: 65_534 }
const nobody = spawnSync(process.execPath, ['--version'], { ...other, cwd: '/' }).status === 0 ? other : {}
const children = new Set<ChildProcess>()

before(() => {
  execFileSync(process.execPath, [join(root, 'scripts/build.ts'), '--outdir', join(home, 'dist')], { stdio: 'ignore' })
  chmodSync(home, 0o755)
  mkdirSync(data, { mode: 0o700 })
  if (nobody === other) chownSync(data, other.uid, other.gid)
})
after(() => {
  for (const child of children) child.kill('SIGKILL')
  rmSync(home, { recursive: true, force: true })
})

const environment = (port: number) => ({
  PATH: process.env.PATH,
  NODE_ENV: 'production',
  SILTA_PROVIDER_DOMAIN: 'chat.example',
  SILTA_DATA_DIRECTORY: data,
  SILTA_LISTEN_PORT: String(port),
})

function silta(argv: string[], port = 0) {
  const child = spawn(process.execPath, [program, ...argv], { cwd: '/', env: environment(port), ...nobody })
  children.add(child)
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => (output += text))
  const ended = new Promise<number | null>((resolve) => child.once('exit', resolve))
  void ended.then(() => children.delete(child))
  return { child, ended, output: () => output }
}

async function untilReady(port: number, running: ReturnType<typeof silta>): Promise<void> {
  for (const until = Date.now() + 60_000; Date.now() < until && running.child.exitCode === null; await sleep(50)) {
    const answer = await fetch(`http://127.0.0.1:${port}/readyz`).catch(() => undefined)
    await answer?.body?.cancel()
    if (answer?.ok) return
  }
  assert.fail(`it did not start:\n${running.output()}`)
}

test('the image starts what was built', () => {
  const dockerfile = readFileSync(join(root, 'Dockerfile'), 'utf8')
  const [, entry] = /^ENTRYPOINT \["node", "\/silta\/dist\/([^"]+)"\]$/m.exec(dockerfile) ?? []
  assert.equal(join(home, 'dist', entry ?? ''), program)
  assert.ok(existsSync(program))
})

test('it tells its version and explains itself', async () => {
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  const asked = silta(['version'])
  assert.equal(await asked.ended, 0, asked.output())
  assert.equal(asked.output().trim(), version)
  const config = silta(['help', 'config'])
  assert.equal(await config.ended, 0)
  assert.match(config.output(), /SILTA_MATRIX_HOMESERVER_URL/)
})

test('it serves, drains on SIGTERM with WebSockets closed 1001, and starts again with what it had', async () => {
  const port = await freePort()
  for (let life = 1; life <= 2; life++) {
    const running = silta(['serve'], port)
    await untilReady(port, running)
    const socket = new WebSocket(`ws://127.0.0.1:${port}/messenger/v1`)
    await new Promise((resolve, reject) => socket.once('message', resolve).once('error', reject))
    const closed = new Promise((resolve) => socket.once('close', resolve))
    assert.match(
      await (await fetch(`http://127.0.0.1:${port}/metrics`)).text(),
      /^silta_messenger_open_connections 1$/m,
    )
    running.child.kill('SIGTERM')
    assert.equal(await closed, 1001)
    assert.equal(await running.ended, 0, running.output())
    for (const line of running.output().trim().split('\n')) assert.doesNotThrow(() => JSON.parse(line), line)
  }
})

test('it wrote nowhere but into the data directory, readable by nobody else', () => {
  assert.deepEqual(readdirSync(home).sort(), ['data', 'dist'])
  assert.deepEqual(readdirSync(data).sort(), ['audit', 'database', 'secrets'])
  for (const name of readdirSync(join(data, 'secrets')))
    assert.equal(statSync(join(data, 'secrets', name)).mode & 0o077, 0)
  for (const name of ['audit', 'database']) assert.equal(statSync(join(data, name)).mode & 0o077, 0)
})

test('the licences of what is in it come with it', () => {
  const licences = readFileSync(join(home, 'dist', 'THIRD-PARTY-LICENSES'), 'utf8')
  for (const name of ['hono', 'pino', 'pg', 'ts-mls', '@electric-sql/pglite', 'jose'])
    assert.ok(licences.includes(`${name} `), name)
  assert.ok(existsSync(join(home, 'dist', 'LICENSE')))
})
