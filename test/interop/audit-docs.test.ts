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
import { buildLog, testEntries, testSigner } from '../../src/audit/testing/log.ts'
import { anEvent, testAudit, testSequencer } from '../../src/audit/testing/world.ts'
import { nodeCrypto as crypto } from '../../src/crypto/node.ts'
import { freshDatabase } from '../../src/store/testing.ts'

const root = join(import.meta.dirname, '../..')
const inCi = !['', '0', 'false', undefined].includes(process.env.CI)
const there = (program: string, argument: string) => spawnSync(program, [argument]).status === 0
const missing = there('go', 'version') && there('curl', '--version') ? false : 'Go or curl is not installed'
/** Two programs are built, the first time from nothing, on two shared cores. */
const patienceMs = 8 * 60_000

/** Not spawnSync: this process serves. */
const inShell = (given: readonly string[], cwd: string, environment: NodeJS.ProcessEnv) =>
  new Promise<{ code: number | null; said: string }>((resolve) => {
    const child = spawn('sh', given, { cwd, env: { ...process.env, ...environment, GOFLAGS: '' }, timeout: patienceMs })
    const said: Buffer[] = []
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (bytes: Buffer) => said.push(bytes))
    child.once('close', (code) => resolve({ code, said: Buffer.concat(said).toString() }))
  })

describe('an auditor with curl and Go', { skip: inCi ? false : missing }, () => {
  const home = mkdtempSync(join(tmpdir(), 'silta-audit-docs-'))
  after(() => rmSync(home, { recursive: true, force: true }))
  const [copy = '', verify = '', proof = '', fsck = '', ...more] = [
    ...readFileSync(join(root, 'docs/auditing.md'), 'utf8').matchAll(/^```sh\n(.*?)^```$/gms),
  ].map(([, text]) => text!)

  test('a transfer that breaks off leaves nothing that looks like a part of the log, and ends with 1', async () => {
    const log = buildLog(testEntries(300))
    const place = mkdtempSync(join(home, 'cut-'))
    let wrong: string | undefined
    const server = createServer((request, response) => {
      const path = request.url!.slice('/audit/'.length)
      const bytes = log.get(path)
      if (request.headers.authorization !== 'Bearer good') return void response.writeHead(401).end()
      if (!bytes) return void response.writeHead(404).end()
      response.writeHead(200, { 'content-length': bytes.length })
      if (path !== wrong) return void response.end(bytes)
      // Half of it is there when the connection breaks off.
      response.write(bytes.subarray(0, bytes.length / 2), () => response.destroy())
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    after(() => server.close())
    const LOG = `http://127.0.0.1:${(server.address() as AddressInfo).port}/audit`
    // As somebody pastes it: without -e.
    const run = (CREDENTIAL = 'good') => inShell(['-c', copy], place, { LOG, CREDENTIAL })
    const whole = () => {
      for (const [path, bytes] of log)
        assert.deepEqual(new Uint8Array(readFileSync(join(place, 'log', path))), bytes, path)
    }
    for (wrong of ['tile/entries/000', 'tile/entries/001.p/44', 'tile/0/000', 'checkpoint']) {
      const { code, said } = await run()
      assert.deepEqual([code, said.includes('could not be fetched')], [1, true], `${wrong}: ${said}`)
      assert.equal(existsSync(join(place, 'log', wrong)), false, wrong)
      assert.equal(existsSync(join(place, 'log', 'checkpoint')), false, wrong)
    }
    wrong = undefined
    const refused = await run('bad')
    assert.match(refused.said, /401(.|\n)*The checkpoint could not be fetched/)
    assert.doesNotMatch(refused.said, /arithmetic|expecting/)
    assert.equal(refused.code, 1)
    assert.deepEqual(await run(), { code: 0, said: '' })
    whole()
    // A later run that breaks off leaves the copy as it was.
    wrong = 'checkpoint'
    assert.equal((await run()).code, 1)
    whole()
  })

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
    const sh = (script: string) => inShell(['-e', '-c', script], home, environment)
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
