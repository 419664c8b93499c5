import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { Hono } from 'hono'
import { openOperatorSocket, operatorSocketFile, type StatusAnswer } from '../ops/index.ts'
import { run } from './index.ts'

test('status and check tell when the file of auditors is not as the log tells', async () => {
  const home = mkdtempSync(join(tmpdir(), 'silta-status-'))
  let changed: string[] = []
  const routes = new Hono()
    .post('/audit/auditors', (c) => c.json({ changed }))
    .get('/status', (c) => {
      const value = { name: 'silta_audit_changed_auditors', labels: {}, value: changed.length }
      return c.json({ health: { status: 'ready', dependencies: {} }, values: [value] } satisfies StatusAnswer)
    })
  const service = await openOperatorSocket(join(home, operatorSocketFile), routes)
  assert.ok(service)
  after(async () => {
    await service.close()
    rmSync(home, { recursive: true, force: true })
  })
  const say = async (command: string) => {
    let out = ''
    const env = { SILTA_PROVIDER_DOMAIN: 'chat.example', SILTA_DATA_DIRECTORY: home }
    const code = await run([command], { env, out: (text) => (out += text), err: (text) => (out += text) })
    return { code, out }
  }
  assert.doesNotMatch((await say('status')).out, /^Auditors/m)
  assert.match((await say('check')).out, /Nothing is wrong/)
  changed = ['AAAAAAAA']
  assert.match((await say('status')).out, /^Auditors +1 stands in auditors\.json otherwise than admitted/m)
  const checked = await say('check')
  assert.equal(checked.code, 1)
  assert.match(checked.out, /^WRONG +auditors: AAAAAAAA: .*\n.*→ Find out/m)
})
