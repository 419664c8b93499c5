import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after, test } from 'node:test'
import { encodeVerifier } from '../audit/log/index.ts'
import { buildLog, testEntries, testSigner } from '../audit/testing/log.ts'
import { run } from './index.ts'

const folder = mkdtempSync(join(tmpdir(), 'silta-cli-audit-'))
after(() => rmSync(folder, { recursive: true, force: true }))
const key = encodeVerifier(testSigner.verifier)

function put(files: ReadonlyMap<string, Uint8Array>): void {
  for (const [path, bytes] of files) {
    mkdirSync(dirname(join(folder, path)), { recursive: true })
    writeFileSync(join(folder, path), bytes)
  }
}

async function verify(...more: string[]): Promise<{ code: number; said: string }> {
  let said = ''
  const say = (text: string) => {
    said += text
  }
  return { code: await run(['audit', 'verify', ...more], { env: {}, out: say, err: say }), said }
}

test('silta audit verify gives a verdict, and names the first bad entry', async () => {
  const files = buildLog(testEntries(300))
  put(files)
  writeFileSync(join(folder, 'key'), `${key}\n`)
  const earlier = join(folder, 'earlier')
  writeFileSync(earlier, buildLog(testEntries(200)).get('checkpoint')!)
  const good = await verify('--log', folder, '--key', join(folder, 'key'), '--earlier', earlier)
  assert.equal(good.code, 0)
  assert.match(good.said, /^The log holds: 300 entries of bridge\.example\/audit, root .*continues the earlier/)

  const bundle = Uint8Array.from(files.get('tile/entries/001.p/44')!)
  bundle[16 * 3 + 4]! ^= 1
  put(new Map([['tile/entries/001.p/44', bundle]]))
  const bad = await verify('--log', folder, '--key', key)
  assert.equal(bad.code, 1)
  assert.match(bad.said, /does NOT hold \(entry-mismatch\).* Entry 259\./)
})

test('silta audit verify says what is missing on the command line', async () => {
  assert.deepEqual((await verify()).code, 2)
  assert.match((await verify('--log', folder, '--key', key, '--earlier', join(folder, 'none'))).said, /cannot be read/)
  assert.match((await verify('--log', folder, '--key', 'nonsense')).said, /NOT hold \(malformed\)/)
})
