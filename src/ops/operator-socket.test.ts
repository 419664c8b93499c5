import assert from 'node:assert/strict'
import { linkSync, mkdtempSync, rmSync, statSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { Hono } from 'hono'
import { until } from '../../test/support/until.ts'
import { askOperator, openOperatorSocket } from './operator-socket.ts'

const home = mkdtempSync(join(tmpdir(), 'silta-operator-'))
after(() => rmSync(home, { recursive: true, force: true }))
const routes = new Hono()
routes.post('/twice', async (c) => c.json({ twice: 2 * (await c.req.json()).number }))

test('a command reaches the service that runs, through a file for its owner alone', async () => {
  const file = join(home, 'one')
  const twice = () => askOperator(file, { path: '/twice', body: { number: 4 } })
  assert.equal(await twice(), undefined)
  const socket = await openOperatorSocket(file, routes)
  assert.deepEqual(await twice(), { status: 200, body: { twice: 8 } })
  assert.equal(statSync(file).mode & 0o777, 0o600)
  assert.equal(socket?.listens, true)
  await socket.close()
  assert.equal(await twice(), undefined)
})

test('of two processes the first one keeps it, and the other has it from the moment on that the first one ends', async () => {
  const file = join(home, 'taken-over')
  const named = (name: string) => new Hono().get('/name', (c) => c.json({ name }))
  const name = async () => (await askOperator(file, { method: 'GET', path: '/name' }))?.body.name
  const first = await openOperatorSocket(file, named('first'), { retryMs: 10 })
  const next = await openOperatorSocket(file, named('next'), { retryMs: 10 })
  assert.deepEqual([first?.listens, next?.listens], [true, false])
  // Long enough for several looks.
  await sleep(100)
  assert.equal(await name(), 'first')
  await first!.close()
  await until('the next process', async () => (await name()) === 'next')
  assert.equal(next?.listens, true)
  // One that never came to it closes as well.
  const last = await openOperatorSocket(file, named('last'), { retryMs: 10 })
  await last!.close()
  assert.equal(await name(), 'next')
  await next!.close()
  assert.equal(await name(), undefined)
})

test('what a killed process has left is replaced, and a path that no socket can have is left out', async () => {
  const file = join(home, 'two')
  const left = createServer().listen(file)
  await new Promise((resolve) => left.once('listening', resolve))
  // The file stays where nobody listens, as after a kill.
  const path = `${file}.kept`
  linkSync(file, path)
  left.close()
  const socket = await openOperatorSocket(path, routes)
  assert.equal((await askOperator(path, { path: '/twice', body: { number: 1 } }))?.status, 200)
  await socket!.close()
  assert.equal(await openOperatorSocket(join(home, 'x'.repeat(120)), routes), undefined)
})
