// The Go program in test/interop/audit, written from the C2SP documents, over logs that this project's code has made.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { encodeVerifier, leafHash, noteSigner } from '../../src/audit/log/index.ts'
import { openPublishedFiles } from '../../src/audit/published.ts'
import { proofOf } from '../../src/audit/reading/index.ts'
import { buildLog, type LogFiles, testEntries, testSigner } from '../../src/audit/testing/log.ts'
import { anEvent, testAudit, testSequencer } from '../../src/audit/testing/world.ts'
import { utf8 } from '../../src/crypto/index.ts'
import { nodeCrypto as crypto } from '../../src/crypto/node.ts'
import { freshDatabase } from '../../src/store/testing.ts'

const source = join(import.meta.dirname, 'audit')
const inCi = !['', '0', 'false', undefined].includes(process.env.CI)
/** A cold build takes 20 seconds on two shared cores, and a module has to be fetched. */
const buildTimeoutMs = 4 * 60_000

const key = encodeVerifier(testSigner.verifier)
const missing =
  spawnSync('go', ['version']).status === 0 ? false : 'Go is not installed; the log is not verified with it'

describe('a log, verified by a program of another maker', { skip: inCi ? false : missing }, () => {
  let folder: string
  let program: string
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'silta-audit-'))
    program = join(folder, 'audit')
    const built = spawnSync('go', ['build', '-o', program, '.'], {
      cwd: source,
      encoding: 'utf8',
      timeout: buildTimeoutMs,
      env: { ...process.env, GOFLAGS: '-mod=readonly' },
    })
    assert.equal(built.status, 0, `go build failed\n${built.stderr}`)
  })
  after(() => rmSync(folder, { recursive: true, force: true }))

  let logs = 0
  const verify = (files: LogFiles, options: { key?: string; earlier?: Uint8Array } = {}) => {
    const place = join(folder, `log-${++logs}`)
    for (const [path, bytes] of files) {
      mkdirSync(dirname(join(place, path)), { recursive: true })
      writeFileSync(join(place, path), bytes)
    }
    const earlier = join(place, 'earlier')
    if (options.earlier) writeFileSync(earlier, options.earlier)
    const { stdout, status } = spawnSync(program, [place, options.key ?? key, ...(options.earlier ? [earlier] : [])], {
      encoding: 'utf8',
    })
    rmSync(place, { recursive: true })
    return status === 0 ? stdout.trim().split(' ').slice(0, 2).join(' ') : `refused: ${stdout.trim()}`
  }
  const entries = testEntries(70_000)
  const size = 600
  const good = buildLog(entries.slice(0, size))
  const replacing = (path: string, bytes: Uint8Array) => new Map(good).set(path, bytes)
  const bent = (path: string, at: number) => {
    const bytes = Uint8Array.from(good.get(path)!)
    bytes[at]! ^= 1
    return bytes
  }

  for (const count of [1, 255, 256, 257, 65_536, 70_000])
    test(`a good one of ${count} entries is taken`, () =>
      assert.equal(verify(buildLog(entries.slice(0, count))), `ok ${count}`))

  test('one that continues an earlier checkpoint is taken', () => {
    for (const count of [1, 256, 300, size])
      assert.equal(verify(good, { earlier: buildLog(entries.slice(0, count)).get('checkpoint')! }), `ok ${size}`)
  })

  test('one that the sequencer has made is taken, by Tessera’s fsck too', async () => {
    await using database = await freshDatabase()
    const place = join(folder, 'sequenced')
    const { sequencer, faults } = testSequencer(database, place)
    const audit = testAudit()
    for (let batch = 0; batch < 6; batch++)
      await database.transaction(async (tx) => {
        for (let i = 0; i < 100; i++) await audit.append(tx, anEvent(`name${i}`))
      })
    await sequencer.close()
    assert.deepEqual(faults, [])
    const ours = spawnSync(program, [place, key], { encoding: 'utf8' })
    assert.match(ours.stdout, /^ok 600 /)
    const fsck = 'github.com/transparency-dev/tessera/cmd/fsck@v1.0.2'
    const installed = spawnSync('go', ['install', fsck], {
      encoding: 'utf8',
      timeout: buildTimeoutMs,
      env: { ...process.env, GOBIN: folder, GOFLAGS: '' },
    })
    assert.equal(installed.status, 0, `go install failed\n${installed.stderr}`)
    writeFileSync(join(folder, 'key'), key)
    const verdict = spawnSync(
      join(folder, 'fsck'),
      ['--ui=false', `--storage_url=file://${place}/`, `--public_key=${join(folder, 'key')}`],
      { encoding: 'utf8', timeout: 60_000 },
    )
    assert.equal(verdict.status, 0, verdict.stderr)
    assert.match(verdict.stderr, /Successfully fsck'd log with size 600/)

    // The turn of the year: the one that has ended, and the one that follows it.
    const signersOf = (origin: string) => [noteSigner(crypto, origin, crypto.sha256(utf8('log key')))]
    const filesOf = (label: string) => openPublishedFiles(join(place, label))
    const next = new Date().getUTCFullYear() + 1
    const years = { signersOf, filesOf, clock: () => Date.UTC(next, 0, 2) }
    const { sequencer: later } = testSequencer(database, place, { years })
    await later.close()
    const [ofNext] = signersOf(`${testSigner.verifier.name}/${next}`)
    const nextKey = encodeVerifier(ofNext!.verifier)
    assert.match(spawnSync(program, [place, key], { encoding: 'utf8' }).stdout, /^ok 601 /)
    assert.match(spawnSync(program, [join(place, String(next)), nextKey], { encoding: 'utf8' }).stdout, /^ok 1 /)
    assert.doesNotMatch(spawnSync(program, [join(place, String(next)), key], { encoding: 'utf8' }).stdout, /^ok/)
  })

  test('the proof of one entry is taken, and of no other', async () => {
    const read = async (path: string) => good.get(path)
    const proof = await proofOf(crypto, { read, verifier: testSigner.verifier, index: 300 })
    const check = (bytes: Uint8Array) => {
      const file = join(folder, 'one.tlog-proof')
      writeFileSync(file, bytes)
      return spawnSync(program, ['proof', file, key], { encoding: 'utf8' }).stdout.trim()
    }
    assert.equal(check(proof), 'ok 300 {"number":300}')
    const other = Buffer.from(utf8('{"number":301}')).toString('base64')
    for (const [from, to] of [
      [/^extra .*$/m, `extra ${other}`],
      [/^index 300$/m, 'index 301'],
      [/\n600\n/, '\n599\n'],
    ] as const)
      assert.doesNotMatch(check(utf8(Buffer.from(proof).toString().replace(from, to))), /^ok/)
  })

  test('what was tampered with is refused', () => {
    const entry = bent('tile/entries/001', 5)
    const tile = Uint8Array.from(good.get('tile/0/001')!)
    tile.set(leafHash(crypto, entry.subarray(2, 16)))
    const truncated = new Map(good)
    truncated.delete('tile/entries/002.p/88')
    const checkpoint = Buffer.from(good.get('checkpoint')!).toString()
    const forked = buildLog([utf8('another'), ...entries.slice(1, size)])
    const stranger = noteSigner(crypto, testSigner.verifier.name, crypto.randomBytes(32))
    const cases: Record<string, string> = {
      'a changed entry': verify(replacing('tile/entries/001', entry)),
      'a changed tile': verify(replacing('tile/0/001', bent('tile/0/001', 40))),
      'a changed tile above': verify(replacing('tile/1/000.p/2', bent('tile/1/000.p/2', 40))),
      'both changed together': verify(replacing('tile/entries/001', entry).set('tile/0/001', tile)),
      'a truncated log': verify(truncated),
      'an edited size': verify(replacing('checkpoint', utf8(checkpoint.replace('\n600\n', '\n599\n')))),
      'a wrong key': verify(good, { key: encodeVerifier(stranger.verifier) }),
      'a forked checkpoint': verify(forked, { earlier: good.get('checkpoint')! }),
      'a fork that is longer': verify(forked, { earlier: buildLog(entries.slice(0, 300)).get('checkpoint')! }),
      'a log that became shorter': verify(buildLog(entries.slice(0, 300)), { earlier: good.get('checkpoint')! }),
    }
    for (const [what, said] of Object.entries(cases)) assert.match(said, /^refused: ./, what)
    assert.equal(verify(good), `ok ${size}`)
  })
})
