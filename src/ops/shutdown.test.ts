import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { openShutdown, silentLog } from './index.ts'

const open = (graceMs = 1_000) => openShutdown({ graceMs, log: silentLog() })

test('what was opened last is stopped first, one after the other', async () => {
  const shutdown = open()
  const order: string[] = []
  for (const name of ['database', 'hub', 'listener'])
    shutdown.add(name, async () => {
      order.push(`${name} begins`)
      await sleep(5)
      order.push(`${name} ends`)
    })
  assert.equal(await shutdown.run('SIGTERM'), true)
  assert.deepEqual(order, [
    'listener begins',
    'listener ends',
    'hub begins',
    'hub ends',
    'database begins',
    'database ends',
  ])
})

test('it runs once, however often it is asked for', async () => {
  const shutdown = open()
  let times = 0
  shutdown.add('one', () => {
    times++
  })
  await Promise.all([shutdown.run('SIGTERM'), shutdown.run('SIGINT')])
  assert.equal(times, 1)
})

test('a step that throws or never ends does not keep the others from stopping', async () => {
  const shutdown = open(400)
  const stopped: string[] = []
  let given: AbortSignal | undefined
  shutdown.add('database', () => void stopped.push('database'))
  shutdown.add('throws', async () => {
    throw new Error('of the step')
  })
  shutdown.add('hangs', (deadline) => {
    given = deadline
    return new Promise(() => undefined)
  })
  const started = Date.now()
  assert.equal(await shutdown.run('SIGTERM'), false)
  assert.deepEqual(stopped, ['database'])
  assert.equal(given?.aborted, true)
  assert.ok(Date.now() - started < 390, 'a step that hangs leaves time for those after it')
})

test('its signal says that it has begun', async () => {
  const shutdown = open()
  assert.equal(shutdown.signal.aborted, false)
  const running = shutdown.run('SIGTERM')
  assert.equal(shutdown.signal.aborted, true)
  await running
})
