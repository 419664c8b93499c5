import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { parse } from 'yaml'
import { lockDirectory } from '../store/lock.ts'
import { run } from './index.ts'

const home = mkdtempSync(join(tmpdir(), 'silta-cli-'))
after(() => rmSync(home, { recursive: true, force: true }))

const env = { SILTA_PROVIDER_DOMAIN: 'chat.example', SILTA_DATA_DIRECTORY: join(home, 'data') }
const matrix = { ...env, SILTA_MATRIX_DOMAIN: 'hs.example', SILTA_MATRIX_HOMESERVER_URL: 'http://127.0.0.1:2' }

async function silta(argv: string[], environment: NodeJS.ProcessEnv = {}) {
  let out = ''
  let err = ''
  const code = await run(argv, { env: environment, out: (text) => (out += text), err: (text) => (err += text) })
  return { code, out, err }
}

test('help explains every command, and every field of the configuration with its variable', async () => {
  const { code, out } = await silta([])
  assert.equal(code, 0)
  for (const command of ['serve', 'registration', 'check', 'help', 'version'])
    assert.match(out, new RegExp(`silta ${command}`))
  for (const command of ['serve', 'registration', 'check'])
    assert.equal((await silta([command, '--help'])).out, (await silta(['help', command])).out)
  assert.match(
    (await silta(['help', 'config'])).out,
    /matrix\.homeserverUrl {2}\(SILTA_MATRIX_HOMESERVER_URL\)\n {6}The homeserver's/,
  )
})

test('what does not exist is said, and ends with 2', async () => {
  for (const argv of [['serv'], ['help', 'serv'], ['check', '--fast'], ['help', 'toString']]) {
    const { code, err, out } = await silta(argv)
    assert.deepEqual([code, out], [2, ''], argv.join(' '))
    assert.match(err, /silta (help|serve)/)
  }
})

test('a configuration that cannot be used is explained, and ends with 2', async () => {
  const { code, err } = await silta(['check'], {})
  assert.equal(code, 2)
  assert.match(err, /provider is missing/)
})

test('registration prints what the homeserver needs, the same each time', async () => {
  const first = await silta(['registration'], matrix)
  assert.equal(first.code, 0)
  const file = parse(first.out) as Record<string, unknown>
  assert.equal(file.id, 'silta')
  assert.equal(file.url, 'http://127.0.0.1:8480')
  assert.equal(file.receive_ephemeral, true)
  assert.equal(file['org.matrix.msc3202'], true)
  assert.notEqual(file.as_token, file.hs_token)
  assert.match(first.err, /msc2409_to_device_messages_enabled: true/)
  assert.doesNotMatch(first.err, new RegExp(String(file.as_token)))
  assert.equal((await silta(['registration'], matrix)).out, first.out)
})

test('registration can write a file, which only its owner can read', async () => {
  const output = join(home, 'registration.yaml')
  const { out, err } = await silta(['registration', '--output', output], matrix)
  assert.equal(out, '')
  assert.match(err, /Wrote /)
  assert.equal(statSync(output).mode & 0o077, 0)
  assert.equal((parse(readFileSync(output, 'utf8')) as { id: string }).id, 'silta')
})

test('registration without a homeserver says what is missing', async () => {
  const { code, err } = await silta(['registration'], env)
  assert.equal(code, 2)
  assert.match(err, /no matrix part/)
})

test('serve with a configuration that cannot be used ends with 2, and with a data directory in use with 1', async () => {
  const unusable = await silta(['serve'], {})
  assert.equal(unusable.code, 2)
  assert.match(unusable.err, /provider is missing/)
  const directory = join(home, 'in-use')
  const lock = lockDirectory(join(directory, 'database'))
  const program = fileURLToPath(new URL('../../bin/silta.mjs', import.meta.url))
  const taken = { ...process.env, ...env, SILTA_DATA_DIRECTORY: directory }
  const { status, stderr, stdout } = spawnSync(process.execPath, [program, 'serve'], { env: taken, encoding: 'utf8' })
  lock[Symbol.dispose]()
  assert.equal(status, 1)
  assert.match(stderr, /^Silta could not start: the data directory is in use by another process/)
  assert.match(stdout, /"code":"locked"/)
})

test('check says what is wrong and ends with 1, or with 0 when nothing is', async () => {
  const good = await silta(['check'], env)
  assert.equal(good.code, 0)
  assert.match(good.out, /Nothing is wrong/)
  const bad = await silta(['check'], matrix)
  assert.equal(bad.code, 1)
  assert.match(bad.out, /WRONG {4}homeserver: nothing listens at 127\.0\.0\.1:2\./)
  assert.match(bad.out, /1 thing is wrong/)
})
