import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { fromUtf8 } from '../crypto/index.ts'
import { nodeCrypto as crypto } from '../crypto/node.ts'
import { openDatabase } from '../store/index.ts'
import { openPglite } from '../store/pglite.ts'
import { emptyPglite } from '../store/testing.ts'
import { verifyLog } from './log/index.ts'
import { readLogAt } from './place.ts'
import { auditSteps } from './sequence.ts'
import { testSigner } from './testing/log.ts'

const home = mkdtempSync(join(tmpdir(), 'silta-audit-kills-'))
after(() => rmSync(home, { recursive: true, force: true }))
const [directory, folder] = [join(home, 'database'), join(home, 'log')]

/** Runs until it dies at a step. @returns the actions that were acknowledged */
async function live(dieAt: string, times: number): Promise<string[]> {
  const program = fileURLToPath(new URL('./sequencer.fixture.ts', import.meta.url))
  const child = spawn(process.execPath, [program, directory, folder, dieAt, String(times)], {
    stdio: ['ignore', 'pipe', 'inherit'],
    timeout: 60_000,
  })
  let said = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    said += text
  })
  const signal = await new Promise((resolve) => child.once('close', (_code, by) => resolve(by)))
  assert.equal(signal, dieAt === 'never' ? null : 'SIGKILL', `${dieAt} was not reached`)
  return said.split('\n').slice(0, -1)
}

test('killed between any two steps, the log goes on: nothing is lost, doubled or forked', async () => {
  await (await openPglite(directory, { template: await emptyPglite() })).close()
  const acted: string[] = []
  let earlier: Uint8Array | undefined
  const verify = async () => {
    if (!existsSync(join(folder, 'checkpoint'))) return []
    const entries: { id: string; account: string }[] = []
    await verifyLog(crypto, {
      read: readLogAt(folder),
      verifier: testSigner.verifier,
      earlier,
      onEntry: (entry) => void entries.push(JSON.parse(fromUtf8(entry))),
    })
    earlier = new Uint8Array(readFileSync(join(folder, 'checkpoint')))
    return entries
  }
  for (const [i, step] of auditSteps.entries()) {
    acted.push(...(await live(step, 1 + (i % 3))))
    await verify()
  }
  acted.push(...(await live('never', 0)))
  const entries = await verify()
  assert.equal(new Set(entries.map(({ id }) => id)).size, entries.length)
  const database = await openDatabase({ directory })
  const [done] = await database.query<{ count: number }>('select count(*)::int4 as count from action')
  await database.close()
  // Each action has its entry and each entry its action, also those of which nobody was told any more.
  assert.equal(new Set(entries.map(({ account }) => account)).size, done!.count)
  assert.equal(entries.length, done!.count)
  assert.ok(done!.count >= acted.length)
})
