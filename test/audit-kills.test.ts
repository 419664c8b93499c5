// The whole service, killed while people act: every action has its entry in the compliance log, every entry its action.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { erasureSteps, parseVerifier, readLogAt, verifyLog } from '../src/audit/index.ts'
import { run } from '../src/cli/index.ts'
import { connect, memoryStorage, registerPrimary, webSocketPipe } from '../src/client/index.ts'
import { nodeCrypto as crypto } from '../src/crypto/node.ts'
import { nodeMlsProvider } from '../src/mls/provider-node.ts'
import { askOperator, operatorSocketFile } from '../src/ops/index.ts'
import { openDatabase } from '../src/store/index.ts'
import { startTestService } from './support/service.ts'

/** Each ends the service; the sequencer's others are walked through in src/audit/sequencer.kills.test.ts. */
const steps = ['audit.placed', 'audit.checkpoint-staged', ...erasureSteps] as const

async function tokenFor(service: string, name: string): Promise<string> {
  const answer = await fetch(`${service}/trial/token`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ name }),
  })
  return ((await answer.json()) as { token: string }).token
}

test('killed while people come and are erased, each account and device has its entry, once', async () => {
  await using service = await startTestService({})
  const { dataDirectory } = service
  const erase = async (account: string) => {
    await askOperator(join(dataDirectory, operatorSocketFile), { path: '/audit/erase', body: { account } })
  }
  for (const [i, step] of steps.entries()) {
    await service.dieAt(step, 1 + (i % 2))
    for (let number = 0; service.running; number++) {
      assert.ok(number < 100, `${step} was not reached`)
      // Whatever the kill leaves of this one: in the tables it is whole or not there.
      const connection = connect(() => webSocketPipe(`${service.url.replace(/^http/, 'ws')}/messenger/v1`))
      const acts = async () => {
        const accessToken = await tokenFor(service.url, `person${i}-${number}`)
        const own = { connection, mls: nodeMlsProvider(), crypto, storage: memoryStorage() }
        const device = await registerPrimary({ ...own, accessToken })
        await erase(device.address)
        await device.close()
      }
      await Promise.race([service.ended(), acts().catch(() => undefined)])
      await connection.close()
    }
    await service.start()
  }
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
  const database = await openDatabase({ directory: join(dataDirectory, 'database') })
  const rows = async (sql: string) =>
    (await database.query<{ count: number }>(`select count(*)::int4 as count from ${sql}`))[0]!.count
  assert.equal(count('account.created'), await rows('hub.account'))
  assert.equal(count('device.linked'), await rows('hub.device'))
  assert.equal(count('manifest.published'), await rows('hub.manifest'))
  assert.equal(count('subject.erasure-begun'), count('subject.erased'))
  assert.equal(await rows('pseudonym.erasure'), 0)
  assert.equal(new Set(entries.map(({ id }) => id)).size, entries.length)
  assert.ok(count('account.created') > steps.length - 1)
  await database.close()
  // What was erased is told by no key that is left.
  const [, destroyed] =
    /^silta subject keys v1 \w+ (\d+)/.exec(readFileSync(join(dataDirectory, 'secrets/subject-keys'), 'utf8')) ?? []
  assert.ok(Number(destroyed) >= 2 * count('subject.erased'))
})
