// A witness of another maker (Go, from the C2SP documents) cosigns the log that the sequencer makes.
import assert from 'node:assert/strict'
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { encodeVerifier, LogError, parsePolicy, verifyLog } from '../../src/audit/log/index.ts'
import { readLogAt } from '../../src/audit/place.ts'
import { testSigner } from '../../src/audit/testing/log.ts'
import { anEvent, testAudit, testSequencer } from '../../src/audit/testing/world.ts'
import { witnessesOf } from '../../src/audit/witness.ts'
import { run } from '../../src/cli/index.ts'
import { toHex } from '../../src/crypto/index.ts'
import { nodeCrypto as crypto } from '../../src/crypto/node.ts'
import type { Database } from '../../src/store/index.ts'
import { freshDatabase } from '../../src/store/testing.ts'
import { until } from '../support/until.ts'

const inCi = !['', '0', 'false', undefined].includes(process.env.CI)
const missing = spawnSync('go', ['version']).status === 0 ? false : 'Go is not installed'
const key = encodeVerifier(testSigner.verifier)
const audit = testAudit()
const add = (database: Database, name: string) => database.transaction((tx) => audit.append(tx, anEvent(name)))

describe('a witness', { skip: inCi ? false : missing }, () => {
  let home: string
  let program: string
  const children: ChildProcess[] = []
  before(() => {
    home = mkdtempSync(join(tmpdir(), 'silta-witness-'))
    program = join(home, 'witness')
    const built = spawnSync('go', ['build', '-o', program, './witness'], {
      cwd: join(import.meta.dirname, 'audit'),
      encoding: 'utf8',
      timeout: 4 * 60_000,
      env: { ...process.env, GOFLAGS: '-mod=readonly' },
    })
    assert.equal(built.status, 0, built.stderr)
  })
  after(() => {
    for (const child of children) child.stdin?.end()
    rmSync(home, { recursive: true, force: true })
  })
  async function witness(name: string) {
    const seed = toHex(crypto.sha256(new TextEncoder().encode(name)))
    const child = spawn(program, [name, seed, key], { stdio: ['pipe', 'pipe', 'inherit'] })
    children.push(child)
    let said = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      said += text
    })
    while (said.split('\n').length < 3) await once(child.stdout, 'data')
    const [verifier, url] = said.split('\n')
    return `witness ${name} ${verifier} ${url}\n`
  }

  test('cosigns what continues, and an auditor can ask for it', async () => {
    await using database = await freshDatabase()
    const folder = join(home, 'log')
    const log = `log ${key}\n`
    const one = await witness('one.example')
    const policy = `${log}${one}quorum one.example\n`
    const verify = (text: string) => verifyLog(crypto, { read: readLogAt(folder), verifier: parsePolicy(crypto, text) })
    const began = (text: string) =>
      testSequencer(database, folder, { witnesses: witnessesOf(crypto, text), witnessAgainMs: 10 })

    // Without a witness at first: it holds by the key alone, not by the policy.
    await add(database, 'alice')
    const { sequencer: alone } = testSequencer(database, folder)
    await alone.close()
    await assert.rejects(verify(policy), (error) => error instanceof LogError && error.code === 'unwitnessed')
    assert.equal((await verify(`${log}quorum none\n`)).size, 1)

    // A witness that is new cosigns what stands, and then what follows.
    const { sequencer, faults } = began(policy)
    await until('the cosignature', () =>
      verify(policy).then(
        () => true,
        () => false,
      ),
    )
    for (const name of ['bob', 'carl', 'dora']) {
      await add(database, name)
      await until(name, async () => (await verify(policy).catch(() => ({ size: 0 }))).size > faults.length)
    }
    await sequencer.close()
    assert.equal((await verify(policy)).size, 4)
    assert.deepEqual(faults, [])

    // One that has seen less says so, and is told the rest; two are asked for.
    const two = await witness('two.example')
    const both = `${log}${one}${two}group both all one.example two.example\nquorum both\n`
    const again = began(both)
    await until('both', () =>
      verify(both).then(
        () => true,
        () => false,
      ),
    )
    await again.sequencer.close()
    writeFileSync(join(home, 'policy'), both)
    let out = ''
    const say = (text: string) => {
      out += text
    }
    const told = { env: {}, out: say, err: () => undefined }
    assert.equal(await run(['audit', 'verify', '--log', folder, '--policy', join(home, 'policy')], told), 0)
    assert.match(out, /^The log holds: 4 entries/)
    const other = both.replace(one, one.replace('one.example+', 'six.example+'))
    assert.throws(() => parsePolicy(crypto, other), LogError)
  })

  test('cosigns no fork', async () => {
    const policy = `log ${key}\n${await witness('three.example')}quorum three.example\n`
    const witnesses = witnessesOf(crypto, policy)
    for (const [name, well] of [
      ['one-way', true],
      ['another-way', false],
    ] as const) {
      await using database = await freshDatabase()
      await add(database, name)
      const { sequencer, faults } = testSequencer(database, join(home, name), { witnesses })
      await sequencer.close()
      assert.equal(faults.length === 0, well, faults.join())
      const verdict = verifyLog(crypto, { read: readLogAt(join(home, name)), verifier: parsePolicy(crypto, policy) })
      if (well) assert.equal((await verdict).size, 1)
      else await assert.rejects(verdict, LogError)
    }
  })
})
