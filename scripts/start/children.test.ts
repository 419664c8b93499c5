import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { exists } from '../support/end-with-parent.ts'
import { startChild } from './children.ts'
import { choosePort } from './ports.ts'

const folder = mkdtempSync(join(tmpdir(), 'silta-children-'))
after(() => rmSync(folder, { recursive: true }))
const watch = fileURLToPath(new URL('watch-parent.ts', import.meta.url))
const script = (name: string, code: string) => ({
  name,
  command: process.execPath,
  parameters: ['--import', watch, '-e', code],
  logFile: join(folder, `${name}.log`),
})

describe('children', () => {
  test('are stopped with SIGTERM, and what they printed is kept', async () => {
    const code =
      "console.log('up'); process.on('SIGTERM', () => { console.log('bye'); process.exit(0) }); setInterval(() => {}, 1e3)"
    const child = await startChild(script('polite', code))
    while (!child.lastLines(1).includes('up')) await sleep(20)
    await child.stop()
    assert.deepEqual(child.lastLines(2), ['up', 'bye'])
    assert.deepEqual(await child.ended, { code: 0, signal: null })
    assert.equal(child.running, false)
  })

  test('a program that is not there is an error', async () => {
    await assert.rejects(startChild({ ...script('missing', ''), command: '/nowhere/program' }), /ENOENT/)
  })

  test('end when their parent was killed', async () => {
    const childModule = new URL('children.ts', import.meta.url).href
    const settings = script('orphan', 'setInterval(() => {}, 1e3)')
    const code = `
      import { startChild } from ${JSON.stringify(childModule)}
      const child = await startChild(${JSON.stringify(settings)})
      process.stdout.write(String(child.pid))
      setInterval(() => {}, 1e3)`
    const parent = spawn(process.execPath, ['--input-type=module-typescript', '-e', code], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const [printed] = await once(parent.stdout, 'data')
    const pid = Number(String(printed))
    assert.ok(exists(pid))
    parent.kill('SIGKILL')
    for (let waited = 0; exists(pid) && waited < 10_000; waited += 50) await sleep(50)
    assert.equal(exists(pid), false)
  })
})

test('a port that is taken is replaced by another', async () => {
  const free = await choosePort(0)
  assert.equal(await choosePort(free), free)
  const holder = createServer().listen(free, '127.0.0.1')
  await once(holder, 'listening')
  assert.notEqual(await choosePort(free), free)
  holder.close()
  assert.notEqual(await choosePort(free, { taken: [free] }), free)
})
