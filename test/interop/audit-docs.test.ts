// docs/auditing.md, followed to the letter by somebody with curl and Go and nothing of ours but the Go program.
import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { getRequestListener } from '@hono/node-server'
import { Hono } from 'hono'
import { addAuditor, openCredentials, watchAuditors } from '../../src/audit/credentials.ts'
import { encodeVerifier } from '../../src/audit/log/index.ts'
import { readFromFolder } from '../../src/audit/place.ts'
import { indexSome } from '../../src/audit/query/indexer.ts'
import { queryRoutes } from '../../src/audit/query/routes.ts'
import { logRoutes } from '../../src/audit/routes.ts'
import { testSigner } from '../../src/audit/testing/log.ts'
import { anEvent, testAudit, testSequencer } from '../../src/audit/testing/world.ts'
import { nodeCrypto as crypto } from '../../src/crypto/node.ts'
import { freshDatabase } from '../../src/store/testing.ts'

const root = join(import.meta.dirname, '../..')
const inCi = !['', '0', 'false', undefined].includes(process.env.CI)
const there = (program: string, argument: string) => spawnSync(program, [argument]).status === 0
const missing = there('go', 'version') && there('curl', '--version') ? false : 'Go or curl is not installed'
/** Two programs are built, the first time from nothing, on two shared cores. */
const patienceMs = 8 * 60_000

describe('an auditor with curl and Go', { skip: inCi ? false : missing }, () => {
  const home = mkdtempSync(join(tmpdir(), 'silta-audit-docs-'))
  after(() => rmSync(home, { recursive: true, force: true }))
  const [copy = '', verify = '', proof = '', fsck = '', ...more] = [
    ...readFileSync(join(root, 'docs/auditing.md'), 'utf8').matchAll(/^```sh\n(.*?)^```$/gms),
  ].map(([, text]) => text!)

  test('copies the log, verifies it and what it continues, and an entry by its proof', async () => {
    assert.deepEqual(more, [])
    await using database = await freshDatabase()
    const folder = join(home, 'published')
    const { verifier } = testSigner
    const append = async (count: number) => {
      const { sequencer, faults } = testSequencer(database, folder)
      await database.transaction(async (tx) => {
        for (let i = 0; i < count; i++) await testAudit().append(tx, anEvent(`name${i % 9}`))
      })
      await sequencer.close()
      while (await indexSome(database, verifier.name));
      assert.deepEqual(faults, [])
    }
    const file = join(home, 'auditors.json')
    const { credential } = addAuditor(crypto, file, { forMs: 3_600_000 })
    const credentials = openCredentials(crypto, { auditors: watchAuditors(file), admitted: () => 'yes' })
    const read = (path: string) => readFromFolder(folder, path)
    const app = new Hono()
      .route('/', queryRoutes({ database, crypto, verifier, read, credentials }))
      .route('/', logRoutes({ read, credentials }))
    const server = createServer(getRequestListener(app.fetch))
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    after(() => server.close())
    const environment = {
      LOG: `http://127.0.0.1:${(server.address() as AddressInfo).port}/audit`,
      KEY: encodeVerifier(verifier),
      CREDENTIAL: credential,
      SILTA: root,
    }
    /** Not spawnSync: this process serves. */
    const sh = (script: string) =>
      new Promise<{ code: number | null; said: string }>((resolve) => {
        const child = spawn('sh', ['-e', '-c', script], {
          cwd: home,
          env: { ...process.env, ...environment, GOFLAGS: '' },
          timeout: patienceMs,
        })
        const said: Buffer[] = []
        for (const stream of [child.stdout, child.stderr]) stream.on('data', (bytes: Buffer) => said.push(bytes))
        child.once('close', (code) => resolve({ code, said: Buffer.concat(said).toString() }))
      })
    const holds = async (script: string, expected: RegExp) => {
      const { code, said } = await sh(script)
      assert.equal(code, 0, said)
      assert.match(said, expected)
    }

    await append(300)
    await holds(copy, /^$/)
    await holds(verify, /^ok 300 /)
    assert.ok(existsSync(join(home, 'checkpoint.kept')))
    await append(340)
    await holds(copy, /^$/)
    await holds(verify, /^ok 640 /)
    await holds(proof, /^ok 7 \{"account":/)
    await holds(fsck, /Successfully fsck'd log with size 640/)
    // What was copied, and changed since.
    await holds(`printf x | dd of=log/tile/entries/001 bs=1 seek=40 conv=notrunc 2>&1`, /copied/)
    assert.match((await sh(verify)).said, /the entries give the root/)
  })
})
