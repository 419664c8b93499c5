import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after, test } from 'node:test'
import { encodeVerifier, noteSigner } from '../audit/log/index.ts'
import { buildLog, testEntries, testSigner } from '../audit/testing/log.ts'
import { fromUtf8, utf8 } from '../crypto/index.ts'
import { nodeCrypto as crypto } from '../crypto/node.ts'
import { operatorSocketFile } from '../ops/index.ts'
import { run } from './index.ts'

const folder = mkdtempSync(join(tmpdir(), 'silta-cli-audit-'))
after(() => rmSync(folder, { recursive: true, force: true }))
const key = encodeVerifier(testSigner.verifier)

const put = (files: ReadonlyMap<string, Uint8Array>) => putAt(folder, files)

function putAt(place: string, files: ReadonlyMap<string, Uint8Array>): void {
  for (const [path, bytes] of files) {
    mkdirSync(dirname(join(place, path)), { recursive: true })
    writeFileSync(join(place, path), bytes)
  }
}

async function verify(...more: string[]): Promise<{ code: number; said: string }> {
  const { code, out, err } = await silta('audit', 'verify', ...more)
  return { code, said: out + err }
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
  const nonsense = await verify('--log', folder, '--key', 'nonsense')
  assert.deepEqual([nonsense.code, /--key cannot be used/.test(nonsense.said)], [2, true])
  const notOne = await verify('--log', folder, '--key', key, '--earlier', join(folder, 'key'))
  assert.deepEqual([notOne.code, /--earlier cannot be used/.test(notOne.said)], [2, true])
})

test('what could not be read gets no verdict, and an exit code of its own', async () => {
  const files = buildLog(testEntries(3))
  let status = 401
  let refusal: string | undefined
  const server = createServer((request, response) => {
    const bytes = files.get(request.url!.slice(1))
    response.writeHead(status === 200 && !bytes ? 404 : status).end(status === 200 ? bytes : refusal)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
  const none = async (place: string) => {
    const { code, out, err } = await silta('audit', 'verify', '--log', place, '--key', key)
    assert.deepEqual([code, out], [3, ''])
    assert.match(err, /could not be read, so there is no verdict/)
    return err
  }
  try {
    for (status of [401, 403])
      assert.match(await none(url), new RegExp(`checkpoint was answered with status ${status}: the`))
    refusal = JSON.stringify({ code: 'credential-changed' })
    assert.match(await none(url), /not as it was admitted/)
    status = 200
    assert.equal((await verify('--log', url, '--key', key)).code, 0)
    // What the signed checkpoint promises is a matter of the log.
    files.delete('tile/entries/000.p/3')
    const bad = await verify('--log', url, '--key', key)
    assert.deepEqual([bad.code, /does NOT hold \(missing\)/.test(bad.said)], [1, true])
    // What passes is asked for again.
    status = 503
    setTimeout(() => (status = 200), 100)
    assert.equal((await verify('--log', url, '--key', key)).code, 1)
  } finally {
    server.close()
  }
  assert.match(await none(url), /\(ECONNREFUSED\)/)
  await none(join(folder, 'nothing'))
  assert.match(await none('http://127.0.0.1:1/'), /\(bad port\)/)
  const token = join(folder, 'token')
  writeFileSync(token, 'silta_auditor_ä')
  const strange = await verify('--log', url, '--key', key, '--token-file', token)
  assert.deepEqual([strange.code, /characters that no credential has/.test(strange.said)], [2, true])
})

const silta = async (...argv: string[]) => {
  const [out, err]: [string[], string[]] = [[], []]
  const code = await run(argv, { env: {}, out: (text) => void out.push(text), err: (text) => void err.push(text) })
  return { code, out: out.join(''), err: err.join('') }
}

test('silta audit entries prints what was looked for, each proven first', async () => {
  const entry = (i: number) =>
    utf8(
      JSON.stringify({
        account: 'A'.repeat(21) + (i % 3),
        network: i % 2 ? 'matrix' : 'other',
        time: new Date(Date.UTC(2026, 0, 1) + i * 60_000).toISOString(),
        type: i % 5 ? 'network.opted-in' : 'refusals.counted',
      }),
    )
  const place = mkdtempSync(join(folder, 'entries-'))
  const files = buildLog(Array.from({ length: 600 }, (_, i) => entry(i)))
  putAt(place, files)
  const read = (command: string, ...more: string[]) => silta('audit', command, '--log', place, '--key', key, ...more)
  const indices = async (...more: string[]) =>
    (await read('entries', ...more)).out
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line).index)

  const all = await read('entries')
  assert.equal(all.code, 0)
  assert.match(all.err, /^600 of 600 entries .* has signed\.\n$/)
  assert.deepEqual(JSON.parse(all.out.split('\n')[7]!), {
    log: 'bridge.example/audit',
    index: 7,
    entry: JSON.parse(Buffer.from(entry(7)).toString()),
  })
  assert.deepEqual(await indices('--first', '298', '--last', '301'), [298, 299, 300, 301])
  assert.deepEqual(await indices('--last', '12', '--outcome', 'refused'), [0, 5, 10])
  assert.deepEqual(await indices('--last', '12', '--type', 'refusals.counted', '--provider', 'matrix'), [5])
  assert.deepEqual(await indices('--last', '6', '--pseudonym', `${'A'.repeat(21)}1`), [1, 4])
  assert.deepEqual(await indices('--from', '2026-01-01T00:05:00Z', '--to', '2026-01-01T00:08:00Z'), [5, 6, 7])
  assert.equal((await read('entries', '--from', 'yesterday')).code, 2)

  const csv = await read('export', '--format', 'csv', '--first', '5', '--last', '5')
  assert.match(
    csv.out,
    /^log,index,time,.*\r\nbridge\.example\/audit,5,2026-01-01T00:05:00\.000Z,refusals\.counted,matrix,refused,/,
  )
  assert.match((await read('export')).err, /--format, one of ndjson, ocsf, csv/)

  const proof = join(place, 'p.tlog-proof')
  assert.equal((await read('proof', '--index', '300', '--output', proof)).code, 0)
  const verified = await silta('audit', 'verify', '--proof', proof, '--key', key)
  assert.match(verified.err, /^The proof holds: entry 300 of 600 /)
  assert.equal(JSON.parse(verified.out).index, 300)
  writeFileSync(proof, readFileSync(proof, 'utf8').replace('index 300', 'index 301'))
  assert.equal((await silta('audit', 'verify', '--proof', proof, '--key', key)).code, 1)

  // A file of what does not hold never comes to be.
  const bundle = Uint8Array.from(files.get('tile/entries/001')!)
  bundle[40]! ^= 1
  putAt(place, new Map([['tile/entries/001', bundle]]))
  const output = join(place, 'all.ndjson')
  const bad = await read('export', '--format', 'ndjson', '--output', output)
  assert.equal(bad.code, 1)
  assert.match(bad.err, /does NOT hold \(entry-mismatch\).* Entry 256\./)
  assert.deepEqual(
    readdirSync(place).filter((name) => name.startsWith('all')),
    [],
  )
})

test('the logs of several years are verified one after the other, and that each follows the one before', async () => {
  const place = mkdtempSync(join(folder, 'years-'))
  const seed = crypto.randomBytes(32)
  const [name, later] = ['bridge.example/audit', 'bridge.example/audit/2027']
  const [one, two] = [name, later].map((origin) => noteSigner(crypto, origin, seed))
  const entry = (value: object) => utf8(JSON.stringify(value))
  const old = (last: object) => buildLog([...testEntries(258), entry(last)], one)
  const opened = (files: ReadonlyMap<string, Uint8Array>, more = {}) => {
    const root = fromUtf8(files.get('checkpoint')!).split('\n')[2]
    const opening = { type: 'log.opened', previous: name, size: 259, root, before: 259, ...more }
    return buildLog([entry(opening), ...testEntries(3)], two)
  }
  const ended = old({ type: 'log.closed', next: later })
  const put = (first: ReadonlyMap<string, Uint8Array>, second: ReadonlyMap<string, Uint8Array>) => {
    putAt(place, first)
    putAt(join(place, '2027'), second)
  }
  put(ended, opened(ended))
  const keys = [one!, two!].map(({ verifier }) => encodeVerifier(verifier))
  // Whichever year's key it is that the auditor has.
  for (const key of keys) {
    const { code, said } = await verify('--log', place, '--key', key)
    assert.equal(code, 0, said)
    assert.match(
      said,
      /holds: 259 entries of bridge\.example\/audit, root \S+\n.*holds: 4 entries of \S+\/2027.*follows bridge\.example\/audit\.\n$/,
    )
  }
  const earlier = (files: ReadonlyMap<string, Uint8Array>) => {
    const file = join(place, 'kept')
    writeFileSync(file, files.get('checkpoint')!)
    return ['--earlier', file]
  }
  const kept = await verify('--log', place, '--key', keys[0]!, ...earlier(buildLog(testEntries(100), one)))
  assert.match(kept.said, /of bridge\.example\/audit, .* continues the earlier checkpoint\.\n.*2027/)
  assert.equal((await verify('--log', place, '--key', keys[0]!, ...earlier(opened(ended)))).code, 0)
  // One year alone, as curl has fetched it.
  assert.equal((await verify('--log', join(place, '2027'), '--key', keys[0]!)).code, 0)
  const elsewhere = await verify('--log', join(place, '2027'), '--key', keys[0]!, ...earlier(ended))
  assert.match(elsewhere.said, /NOT hold \(inconsistent\).*which is not among these/)

  const read = await silta('audit', 'export', '--format', 'csv', '--log', place, '--key', keys[1]!)
  assert.equal(read.out.trim().split('\r\n').length, 1 + 259 + 4)
  assert.match(read.out, /\nbridge\.example\/audit,258,.*\r\nbridge\.example\/audit\/2027,0,/)
  const first = await silta('audit', 'entries', '--log', place, '--key', keys[1]!, '--first', '1')
  assert.deepEqual([first.code, /name it, as --log .*\/2027/.test(first.err)], [2, true])
  const proof = join(place, 'proof')
  const from = ['--log', join(place, '2027'), '--key', keys[0]!]
  assert.equal((await silta('audit', 'proof', '--index', '2', ...from, '--output', proof)).code, 0)
  assert.equal((await silta('audit', 'verify', '--proof', proof, '--key', keys[0]!)).code, 0)

  for (const [what, wrong] of [
    ['another size', opened(ended, { size: 258 })],
    ['another root', opened(ended, { root: Buffer.alloc(32).toString('base64') })],
    ['another log', opened(ended, { previous: 'other.example/audit' })],
    ['no opening', buildLog(testEntries(4), two)],
  ] as const) {
    put(ended, wrong)
    const { code, said } = await verify('--log', place, '--key', keys[0]!)
    assert.deepEqual([code, /NOT hold \(inconsistent\).*Entry 0\./.test(said)], [1, true], what)
  }
  // The year before, rewritten as a whole.
  const other = old({ type: 'log.closed', next: later, keys: [] })
  put(other, opened(ended))
  assert.equal((await verify('--log', place, '--key', keys[0]!)).code, 1)
  const backwards = old({ type: 'log.closed', next: name })
  put(backwards, opened(backwards))
  assert.match((await verify('--log', place, '--key', keys[0]!)).said, /names no later log.*Entry 258\./)
})

test('what cannot be meant is refused in a line, with what there is', async () => {
  const place = mkdtempSync(join(folder, 'refused-'))
  putAt(place, buildLog(testEntries(10)))
  const of = ['--log', place, '--key', key]
  const cases: [RegExp, ...string[]][] = [
    [/--type must be one of account\.created, .*network\.opted-out/, 'audit', 'entries', '--type', 'network.opted-uot'],
    [/--pseudonym must be of the form/, 'audit', 'entries', '--pseudonym', 'xx'],
    [/--outcome must be one of done, refused, operational, withdrawn/, 'audit', 'entries', '--outcome', 'refusd'],
    [/--from must be as 2026-11-22 .* in the calendar/, 'audit', 'entries', '--from', '2026-02-30'],
    [/--to must be/, 'audit', 'entries', '--to', '2026-02-30T10:00:00Z'],
    [/--from must lie before --to/, 'audit', 'entries', '--from', '2026-02-02', '--to', '2026-02-01'],
    [/--first must not lie behind --last/, 'audit', 'entries', '--first', '9', '--last', '3'],
    [/no entry 400: the log has 10 entries/, 'audit', 'entries', '--first', '400'],
    [/no entry 10: the log has 10 entries/, 'audit', 'proof', '--index', '10'],
    [/silta audit verify does not take --type/, 'audit', 'verify', '--type', 'network.opted-out'],
    [/silta audit verify does not take extra/, 'audit', 'verify', 'extra'],
  ]
  for (const [expected, ...argv] of cases) {
    const { code, out, err } = await silta(...argv, ...of)
    assert.deepEqual([code, out], [2, ''], `${argv.join(' ')}: ${err}`)
    assert.match(err, expected)
    assert.equal(err.trimEnd().split('\n').length, 1, err)
  }
  // As far as there are some.
  assert.match((await silta('audit', 'entries', ...of, '--first', '8', '--last', '400')).err, /^2 of 2 entries/)
})

test('a tile alone that is wrong is named, and its entries are not blamed', async () => {
  const place = mkdtempSync(join(folder, 'tile-'))
  const files = buildLog(testEntries(300))
  const tile = Uint8Array.from(files.get('tile/0/000')!)
  tile[32 * 7]! ^= 1
  putAt(place, new Map([...files, ['tile/0/000', tile]]))
  const { code, said } = await verify('--log', place, '--key', key)
  assert.equal(code, 1)
  assert.match(said, /\(tile-mismatch\): the entries give the root .* tile\/0\/000 is not .* The hash of entry 7\.\n$/)
})

test('a proof that does not hold says nothing of the log', async () => {
  const place = mkdtempSync(join(folder, 'proof-'))
  putAt(place, buildLog(testEntries(10)))
  const proof = join(place, 'p')
  await silta('audit', 'proof', '--index', '3', '--log', place, '--key', key, '--output', proof)
  writeFileSync(proof, readFileSync(proof, 'utf8').replace('index 3', 'index 4'))
  const surplus = await silta('audit', 'verify', '--proof', proof, '--key', key, '--log', place)
  assert.deepEqual([surplus.code, /takes nothing else/.test(surplus.err)], [2, true])
  const { code, err } = await silta('audit', 'verify', '--proof', proof, '--key', key)
  assert.equal(code, 1)
  assert.match(err, /^The proof does NOT hold \(bad-proof\)/)
})

const env = { SILTA_PROVIDER_DOMAIN: 'chat.example', SILTA_DATA_DIRECTORY: join(folder, 'data') }
const operator = async (...argv: string[]) => {
  const [out, err]: [string[], string[]] = [[], []]
  const code = await run(argv, { env, out: (text) => void out.push(text), err: (text) => void err.push(text) })
  return { code, out: out.join(''), err: err.join('') }
}

test('silta auditor says what it did, and in a line what cannot be meant', async () => {
  for (const argv of [
    ...[[], ['frob'], ['revoke'], ['add', 'extra'], ['add', '--scope', 'all'], ['list', '--days', '3']],
    ...['0', '1.5', '100000'].map((days) => ['add', '--days', days]),
  ]) {
    const { code, out, err } = await operator('auditor', ...argv)
    assert.deepEqual([code, out], [2, ''], argv.join(' '))
    assert.match(err, /^(silta auditor|--).*\n$/, argv.join(' '))
  }
  // Without a configuration too.
  assert.match((await silta('auditor')).err, /^silta auditor needs a command/)

  assert.equal((await operator('auditor', 'add', '--scope', 'log,log')).code, 0)
  const [id = ''] = (await operator('auditor', 'list')).out.split(' ')
  assert.match((await operator('auditor', 'list')).out, /^\S{8} {2}until \S+ {2}log\n$/)
  const file = join(env.SILTA_DATA_DIRECTORY, 'auditors.json')
  writeFileSync(file, readFileSync(file, 'utf8').replace(/"notAfter": \d+/, '"notAfter": 1700000000000'))
  assert.match((await operator('auditor', 'list')).out, /until 2023-11-14 {2}log {2}EXPIRED\n$/)
  const revoked = await operator('auditor', 'revoke', id)
  assert.deepEqual([revoked.code, revoked.out.includes(`${id} is revoked`)], [0, true])
  assert.equal((await operator('auditor', 'revoke', id)).code, 1)
})

test('requests of other providers: no day that the calendar does not have, and what is overdue is said', async () => {
  for (const on of ['2026-02-30', '2026-11-31', '2026-11-22T10:00:00Z', 'yesterday']) {
    const { code, err } = await operator('audit', 'interop', 'received', 'rival.example', '--on', on)
    assert.deepEqual([code, /--on must be a day/.test(err)], [2, true], on)
  }
  const socket = join(env.SILTA_DATA_DIRECTORY, operatorSocketFile)
  const asked = { provider: 'rival.example', received: 0, due: 1, outcome: null }
  const requests = [
    { ...asked, request: 'one' },
    { ...asked, request: 'two', due: Date.now() + 86_400_000 },
    { ...asked, request: 'three', outcome: 'operational' },
  ]
  const server = createServer((_, response) => response.end(JSON.stringify({ requests })))
  await new Promise<void>((resolve) => server.listen(socket, resolve))
  try {
    const { out } = await operator('audit', 'interop', 'list')
    assert.deepEqual(
      out
        .trim()
        .split('\n')
        .map((line) => line.split('  ').at(-1)),
      ['open, OVERDUE', 'open', 'operational'],
    )
  } finally {
    server.close()
  }
})
