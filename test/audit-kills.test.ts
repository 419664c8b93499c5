// The whole service, killed while people act: every action has its entry in the compliance log, every entry its action.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { auditSteps, erasureSteps, parseVerifier, readLogAt, verifyLog } from '../src/audit/index.ts'
import { askOperator, operatorSocketFile } from '../src/ops/index.ts'
import { run } from '../src/cli/index.ts'
import { nodeCrypto as crypto } from '../src/crypto/node.ts'
import { openDatabase } from '../src/store/index.ts'
import { freePort } from './support/ports.ts'
import { newPerson } from './support/messenger-person.ts'
import { startTestService } from './support/service.ts'
import { until } from './support/until.ts'

const patienceMs = 60_000

test('killed at any step, each account, device and choice has its entry, once', async () => {
  await using service = await startTestService({ port: await freePort() })
  const { dataDirectory } = service
  const erase = async (account: string) => {
    await askOperator(join(dataDirectory, operatorSocketFile), { path: '/audit/erase', body: { account } })
  }
  for (const [i, step] of [...auditSteps, ...erasureSteps].entries()) {
    await service.dieAt(step, 1 + (i % 2))
    for (let number = 0; service.running; number++) {
      assert.ok(number < 100, `${step} was not reached`)
      // Whatever the kill leaves of this one: in the tables it is whole or not there.
      await Promise.race([
        service.ended(),
        (async () => {
          const person = await newPerson(service.url, `${step} ${number}`)
          await person.device.setReachable('matrix', false)
          await erase(person.device.address)
          await person.close()
        })().catch(() => undefined),
      ])
    }
    await service.start()
  }
  // An erasure that was begun is carried out.
  const last = await newPerson(service.url, 'last')
  await until('the last one', async () => (await erase(last.device.address), true), patienceMs)
  await last.close()
  assert.equal(await service.stop(), true)

  const env = { SILTA_PROVIDER_DOMAIN: 'messenger.example', SILTA_DATA_DIRECTORY: dataDirectory }
  let key = ''
  await run(['audit', 'key'], { env, out: (text) => (key += text), err: () => undefined })
  const entries: Record<string, unknown>[] = []
  await verifyLog(crypto, {
    read: readLogAt(join(dataDirectory, 'audit')),
    verifier: parseVerifier(crypto, key.trim()),
    onEntry: (entry) => void entries.push(JSON.parse(Buffer.from(entry).toString())),
  })
  const count = (type: string) => entries.filter((entry) => entry.type === type).length
  await using database = await openDatabase({ directory: join(dataDirectory, 'database') })
  const rows = async (sql: string) => (await database.query<{ count: number }>(`select count(*)::int4 as count from ${sql}`))[0]!.count
  assert.equal(count('account.created'), await rows('hub.account'))
  assert.equal(count('device.linked'), await rows('hub.device'))
  assert.equal(count('manifest.published'), await rows('hub.manifest'))
  assert.equal(count('subject.erasure-begun'), count('subject.erased'))
  assert.equal(await rows('pseudonym.erasure'), 0)
  assert.equal(new Set(entries.map(({ id }) => id)).size, entries.length)
  assert.ok(count('account.created') > auditSteps.length)
  // What was erased is told by no key that is left.
  const [, destroyed] = /^silta subject keys v1 \w+ (\d+)/.exec(readFileSync(join(dataDirectory, 'secrets/subject-keys'), 'utf8')) ?? []
  assert.ok(Number(destroyed) >= 2 * count('subject.erased'))
})
