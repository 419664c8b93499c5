// An auditor in front of the whole service: a credential, the log over HTTP, and what may never stand in it.
import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseVerifier, readLogAt, verifyLog } from '../src/audit/index.ts'
import { run } from '../src/cli/index.ts'
import { connect, memoryStorage, registerPrimary, webSocketPipe } from '../src/client/index.ts'
import { loadConfig } from '../src/config/index.ts'
import { textMessage } from '../src/content/index.ts'
import { nodeCrypto as crypto } from '../src/crypto/node.ts'
import { type Service, startService } from '../src/main.ts'
import { nodeMlsProvider } from '../src/mls/provider-node.ts'
import { openLog } from '../src/ops/index.ts'
import { openPglite } from '../src/store/pglite.ts'
import { emptyPglite } from '../src/store/testing.ts'
import { searchFor } from './support/canaries.ts'
import { type MessengerPerson, newPerson } from './support/messenger-person.ts'
import { until } from './support/until.ts'

const home = mkdtempSync(join(tmpdir(), 'silta-audited-'))
let running: Service | undefined
const people: MessengerPerson[] = []
after(async () => {
  for (const person of people) await person.close()
  await running?.stop('test')
  rmSync(home, { recursive: true, force: true })
})
const env = { SILTA_PROVIDER_DOMAIN: 'chat.example', SILTA_DATA_DIRECTORY: join(home, 'data'), SILTA_LISTEN_PORT: '0' }

async function silta(...argv: string[]): Promise<{ code: number; out: string }> {
  let out = ''
  const say = (text: string) => {
    out += text
  }
  const code = await run(argv, { env, out: say, err: () => undefined })
  return { code, out: out.trim() }
}

/** Bytes of everything that was published. */
function published(): Buffer {
  const folder = join(home, 'data', 'audit')
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((file) => file.isFile())
  return Buffer.concat(files.map((file) => readFileSync(join(file.parentPath, file.name))))
}

test('an auditor verifies over HTTP what the service has done, before and after a new start', async () => {
  await (await openPglite(join(home, 'data', 'database'), { template: await emptyPglite() })).close()
  const start = async () => {
    running = await startService(loadConfig({ env }).config, { log: openLog({ write: () => undefined }) })
    return running
  }
  let service = await start()
  const { out: key } = await silta('audit', 'key')
  const { out: credential } = await silta('auditor', 'add', '--days', '7')
  writeFileSync(join(home, 'credential'), credential)
  const entries = async (): Promise<Record<string, unknown>[]> => {
    const all: Record<string, unknown>[] = []
    await verifyLog(crypto, {
      read: readLogAt(`${service.url}/audit`, credential),
      verifier: parseVerifier(crypto, key),
      onEntry: (entry) => void all.push(JSON.parse(Buffer.from(entry).toString())),
    })
    return all
  }
  const types = async () => (await entries()).map(({ type }) => type)
  const untilThere = async (type: string) => {
    // At first there may be no checkpoint yet.
    for (const end = Date.now() + 60_000; !(await types().catch((): unknown[] => [])).includes(type); await sleep(50))
      assert.ok(Date.now() < end, `no ${type}`)
  }

  const person = await newPerson(service.url, 'canary-name', { handle: 'canaryhandle' })
  people.push(person)
  await assert.rejects(person.device.setReachable('canary-network', true), { code: 'unsupported' })
  await person.device.setReachable('matrix', false)
  const connection = connect(() => webSocketPipe(`${service.url.replace(/^http/, 'ws')}/messenger/v1`))
  const stranger = { connection, mls: nodeMlsProvider(), crypto, storage: memoryStorage() }
  await assert.rejects(registerPrimary({ ...stranger, accessToken: 'canary.token.value' }))
  await connection.close()
  await untilThere('network.opted-out')
  const [first, ...others] = (await entries()).filter(
    ({ type }) => !['auditor.admitted', 'log.keys-changed'].includes(String(type)),
  )
  assert.deepEqual([first!.type, first!.first], ['configuration.applied', true])
  assert.deepEqual(
    others.map(({ type, network }) => [type, network].filter((each) => each !== undefined).join(' ')),
    ['account.created', 'manifest.published', 'device.linked', 'network.opted-in matrix', 'network.opted-out matrix'],
  )
  const ask = async (path: string) =>
    fetch(`${service.url}/audit/v1/${path}`, { headers: { authorization: `Bearer ${credential}` } })
  const found = async () =>
    (await (await ask('entries?type=network.opted-out&provider=matrix')).json()) as { entries: unknown[] }
  // The tables that it is found by follow the tree.
  for (const end = Date.now() + 60_000; (await found()).entries.length === 0; await sleep(50))
    assert.ok(Date.now() < end, 'never found')
  const friend = await newPerson(service.url, 'canary-friend')
  people.push(friend)
  const room = await person.device.createDirectRoom(friend.device.address)
  for (const [i, [from, to]] of [
    [person, friend],
    [friend, person],
    [person, friend],
  ].entries()) {
    await from!.device.send(room, textMessage({ plain: `canary-text ${i}` }))
    await until('heard', () => to!.heard.texts.includes(`canary-text ${i}`), 60_000)
  }
  await friend.close()
  const earlier = join(home, 'earlier')
  writeFileSync(earlier, readFileSync(join(home, 'data', 'audit', 'checkpoint')))
  const { address } = person.device
  await person.close()
  assert.equal(await service.stop('test'), true)

  service = await start()
  await untilThere('refusals.counted')
  const refusals = (await entries()).filter(({ type }) => type === 'refusals.counted')
  assert.ok(refusals.some(({ operation, code }) => operation === 'createAccount' && code === 'bad-token'))
  const [own] = (await entries()).filter(({ type }) => type === 'parity.measured')
  assert.ok(own!.provider === 'own' && Number(own!.accepted) >= 3)
  assert.ok(Number(own!.delivered) > 0 && (own!.latency as { measured: number }).measured > 0)
  const place = ['--log', `${service.url}/audit`, '--key', key, '--earlier', earlier]
  const verdict = await silta('audit', 'verify', ...place, '--token-file', join(home, 'credential'))
  assert.match(verdict.out, /^The log holds: \d+ entries of chat\.example\/audit.* continues the earlier checkpoint/)
  assert.equal((await silta('audit', 'verify', ...place)).code, 3)
  // Two of the operator's people are told whose they are.
  const two = ['anna', 'ben'].map((name) => ({ name, token: join(home, name) }))
  for (const { token } of two) writeFileSync(token, (await silta('auditor', 'add', '--scope', 'resolve')).out)
  const [anna, ben] = two.map(({ token }) => token)
  const map = (step: string, token: string) => silta('audit', 'map', step, address, '--token-file', token)
  // A credential counts once its admission is in the log.
  const whenAdmitted = async (step: string, token: string) => {
    for (const end = Date.now() + 60_000; ; await sleep(50)) {
      const { code, out } = await map(step, token)
      if (code === 0) return out
      assert.ok(Date.now() < end, 'never admitted')
    }
  }
  await whenAdmitted('request', anna!)
  assert.equal((await map('approve', anna!)).code, 1)
  const told = await whenAdmitted('approve', ben!)
  assert.equal(told, (await entries()).find(({ type }) => type === 'account.created')!.account)
  for (const { name } of two) {
    const [, id] = (await silta('auditor', 'list')).out.split('\n').map((line) => line.split(' ')[0]!)
    assert.equal((await silta('auditor', 'revoke', id!)).code, 0, name)
  }

  // Whatever form the log is handed out in, there is nobody in it.
  const exported = await Promise.all([
    ...['ndjson', 'ocsf', 'csv'].map(async (format) => (await ask(`export?format=${format}`)).text()),
    ...['json', 'csv'].map(async (format) => (await ask(`entries?limit=1000&format=${format}`)).text()),
    ...['ndjson', 'ocsf', 'csv'].map(
      async (format) =>
        (
          await silta(
            'audit',
            'export',
            '--format',
            format,
            ...place.slice(0, 4),
            '--token-file',
            join(home, 'credential'),
          )
        ).out,
    ),
  ])
  const names = [
    'canary-name',
    'canaryhandle',
    'canary-friend',
    'canary-text',
    'canary-network',
    'canary.token',
    address,
  ]
  const search = searchFor(names.map((name) => ({ name, value: name })))
  for (const text of exported) {
    assert.match(text, /network\.opted-out/)
    assert.deepEqual(search('export', Buffer.from(text)), [])
    assert.doesNotMatch(text, /@|mimi:|\b\d{1,3}(\.\d{1,3}){3}\b/)
  }

  // Whose the entries are can be forgotten for good, and the log holds.
  assert.equal((await silta('audit', 'erase', address)).code, 0)
  assert.equal((await silta('audit', 'erase', address)).code, 1)
  await untilThere('subject.erased')
  const all = await entries()
  const [created, erased] = ['account.created', 'subject.erasure-begun'].map((type) => all.find((e) => e.type === type))
  assert.equal(JSON.stringify(erased).includes(String(created!.account)), false)
  assert.equal((await silta('audit', 'verify', ...place, '--token-file', join(home, 'credential'))).code, 0)
  const admitted = (await entries()).filter(({ type }) => type === 'auditor.admitted')
  const id = (await silta('auditor', 'list')).out.split(' ')[0]!
  assert.equal(admitted[0]!.auditor, id)
  assert.equal(admitted.length, 3)
  assert.equal((await map('request', anna!)).code, 1)
  // Who changes the file by hand gives nobody more than the log tells.
  const auditors = join(home, 'data', 'auditors.json')
  writeFileSync(auditors, readFileSync(auditors, 'utf8').replace('"query"', '"query", "resolve"'))
  await until('the change is found', async () => /REFUSED/.test((await silta('auditor', 'list')).out), 60_000)
  assert.match((await silta('status')).out, /^Auditors +1 stands/m)
  assert.equal(((await (await ask('entries')).json()) as { code: string }).code, 'credential-changed')
  await silta('auditor', 'revoke', id)
  await assert.rejects(entries())
  const file = () => published().toString('latin1')
  await until('the revocation is in the log', () => file().includes('"type":"auditor.removed"'), 60_000)
  await service.stop('test')

  const bytes = published()
  for (const name of ['canary', address, address.split('/').at(-1)!, '127.0.0.1'])
    assert.equal(bytes.includes(name), false, name)
})
