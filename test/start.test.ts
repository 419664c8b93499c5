import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { pythonMissing } from '../scripts/support/python.ts'

const program = fileURLToPath(new URL('../scripts/start.ts', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'silta-start-'))
/** The first start may have to install Synapse. */
const patienceMs = 240_000
const running = new Set<ChildProcess>()
after(() => {
  for (const child of running) child.kill('SIGKILL')
  rmSync(folder, { recursive: true, force: true })
})

/** `npm start`, without npm. */
function spawnStart() {
  const { npm_lifecycle_event: _, ...environment } = process.env
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...environment, SILTA_DEV_DATA: folder, SILTA_PARENT: String(process.pid) },
  })
  running.add(child)
  child.once('exit', () => running.delete(child))
  let printed = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    printed += text
  })
  return { child, ended: once(child, 'exit'), printed: () => printed }
}

/** Resolves when it is ready. */
async function start() {
  const { child, ended, printed } = spawnStart()
  const ready = () => /^Silta is ready at (http:\S+)/m.exec(printed())?.[1]
  for (const until = Date.now() + patienceMs; !ready(); await sleep(50)) {
    assert.ok(child.exitCode === null && Date.now() < until, `it did not become ready:\n${printed()}`)
  }
  // What comes in one piece with the line may take a moment.
  await sleep(100)
  return { child, ended, url: ready()!, printed }
}

/** Processes that have this test's folder in their environment. */
function processes(): string[] {
  const found: string[] = []
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      const environment = readFileSync(`/proc/${pid}/environ`, 'utf8')
      if (environment.includes(`SILTA_DEV_DATA=${folder}`)) found.push(pid)
    } catch {
      // It has ended, or is somebody else's.
    }
  }
  return found
}

async function untilNoProcesses(): Promise<void> {
  for (const until = Date.now() + 40_000; processes().length > 0; await sleep(100)) {
    assert.ok(Date.now() < until, `processes are left: ${processes().join(', ')}`)
  }
}

const python = await pythonMissing()
const linux = process.platform === 'linux' ? false : 'it looks for processes in /proc, which Linux has'

describe('npm start', { skip: python || linux }, () => {
  let ports: unknown
  /** By which to be a guest. */
  let link: string
  const linkIn = (printed: string) => /^ +(http:\S+\/g\/[\w-]{22}#[\w-]+)$/m.exec(printed)?.[1] ?? assert.fail(printed)

  test('starts everything, shows a conversation both ways, and ends cleanly with Ctrl-C', async () => {
    const { child, ended, url, printed } = await start()
    const sights = [
      /ben +│ receives "Hello Ben.*encrypted, no warning/,
      /ada +│ +✓✓ \[1\] delivered/,
      /ada +│ \[2\] ben \(answering \[1\]\): Hello!/,
      /silta\.localhost, which translates to Matrix/,
      /ada +│ +(\d{5} ){3}\d{5}/,
      /npm run chat$/m,
      /@ben:matrix\.localhost/,
      /password {3}\S{16}/,
      /recovery {3}(\S{4} ?){12}/,
    ]
    for (const sight of sights) assert.match(printed(), sight)
    const state = (await (await fetch(`${url}/readyz`)).json()) as { status: string }
    assert.equal(state.status, 'ready')
    link = linkIn(printed())
    assert.match(await (await fetch(link)).text(), /<script type="module" src="\/assets\//)
    child.kill('SIGINT')
    assert.deepEqual(await ended, [0, null])
    assert.match(printed(), /Everything has ended/)
    await untilNoProcesses()
    ports = JSON.parse(readFileSync(join(folder, 'start.json'), 'utf8')).ports
  })

  test('has everything still there the second time, and leaves nothing behind when it is killed', async () => {
    const { child, ended, printed } = await start()
    assert.match(printed(), /still there: 4 messages/)
    assert.equal(linkIn(printed()), link)
    assert.deepEqual(JSON.parse(readFileSync(join(folder, 'start.json'), 'utf8')).ports, ports)
    assert.ok(processes().length >= 3)

    const second = spawnStart()
    assert.deepEqual(await second.ended, [1, null])
    assert.match(second.printed(), /runs here already: http/)
    assert.deepEqual(JSON.parse(readFileSync(join(folder, 'start.json'), 'utf8')).ports, ports)

    child.kill('SIGKILL')
    await ended
    await untilNoProcesses()
  })

  test('takes another port when something else has its own, and says so', async () => {
    const { service } = ports as { service: number }
    // A client of another trial on this machine may find it, and must not hold it open.
    const holder = createServer((socket) => socket.destroy()).listen(service, '127.0.0.1')
    await once(holder, 'listening')
    const { child, ended, url, printed } = await start()
    assert.match(printed(), new RegExp(`Port ${service} is taken`))
    assert.notEqual(new URL(url).port, String(service))
    holder.close()
    child.kill('SIGTERM')
    assert.deepEqual(await ended, [0, null])
    await untilNoProcesses()
  })
})
