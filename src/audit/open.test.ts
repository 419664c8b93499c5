import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { nodeCrypto as crypto } from '../crypto/node.ts'
import { freshDatabase } from '../store/testing.ts'
import { openComplianceLog } from './open.ts'
import { anEvent } from './testing/world.ts'

const dataDirectory = mkdtempSync(join(tmpdir(), 'silta-compliance-'))
after(() => rmSync(dataDirectory, { recursive: true, force: true }))

test('an erasure that is begun and cannot be done yet is told as that, and carried out by the next', async () => {
  await using database = await freshDatabase()
  const faults: unknown[] = []
  let broken = true
  const log = await openComplianceLog({
    ...{ database, crypto, dataDirectory, provider: 'chat.example', networks: ['matrix'], owner: 'test' },
    pseudonymKey: crypto.randomBytes(32),
    subjectKeysFile: join(dataDirectory, 'subject-keys'),
    logKeys: { keys: [crypto.randomBytes(32)] },
    steps(step) {
      if (step === 'audit.erasure-begun' && broken) throw new Error('the disk is full')
    },
    onFault: (error) => void faults.push(error),
  })
  const event = anEvent('alice')
  await database.transaction((tx) => log.append(tx, event))
  const account = ('account' in event && event.account) || ''
  const erase = async (of: string) => {
    const body = JSON.stringify({ account: of })
    return (await log.operatorRoutes.request('/audit/erase', { method: 'POST', body })).status
  }
  assert.equal(await erase('mimi://chat.example/u/nobody'), 404)
  assert.equal(await erase(account), 202)
  assert.match(String(faults), /the disk is full/)
  broken = false
  assert.equal(await erase(account), 200)
  assert.equal(await erase(account), 404)
  await log.close()
})
