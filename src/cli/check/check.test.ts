import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { loadConfig, lookAtSecrets } from '../../config/index.ts'
import { nodeCrypto } from '../../crypto/node.ts'
import { checkSurroundings, type Finding } from './index.ts'

const home = mkdtempSync(join(tmpdir(), 'silta-check-'))
after(() => rmSync(home, { recursive: true, force: true }))

type Reply = [status: number, body: object | string, headers?: Record<string, string>]
type Push = (body: object) => Promise<number>
type Handler = (
  request: { method: string; path: string; body: Record<string, unknown> },
  push: Push,
) => Reply | Promise<Reply | undefined> | undefined

const asToken = 'as-token-of-the-test'
const hsToken = 'hs-token-of-the-test'

/** What a homeserver answers that has nothing wrong. `push` sends a transaction to the bridge, like the homeserver does. */
const sound =
  (keys = ['org.matrix.msc3202.device_one_time_keys_count']): Handler =>
  async ({ method, path, body }, push) => {
    if (path.endsWith('/versions')) return [200, { versions: ['v1.13'] }]
    if (path.endsWith('/whoami')) return [200, { user_id: '@silta-sender:hs.example' }]
    if (path.endsWith('/ping')) {
      const status = await push({ transaction_id: body.transaction_id })
      return status === 200 ? [200, { duration_ms: 1 }] : [502, { errcode: 'M_BAD_STATUS', status, body: '{}' }]
    }
    if (path.includes('/register')) return [200, { user_id: '@silta_check:hs.example' }]
    if (path.includes('/sendToDevice/')) {
      assert.equal(Object.keys(body.messages as object)[0], '@silta_check:hs.example')
      const message = { type: 'org.silta.check', to_device_id: 'SILTACHECK' }
      const more = Object.fromEntries(keys.map((key) => [key, {}]))
      setTimeout(() => void push({ events: [], 'de.sorunome.msc2409.to_device': [message], ...more }), 5)
      return [200, {}]
    }
    if (path.includes('/devices/')) return [method === 'PUT' ? 201 : 200, {}]
    return undefined
  }

let count = 0

/** Runs the check against a homeserver that answers with `first`, and with `sound` where that says nothing. */
async function check(
  first: Handler = () => undefined,
  options: { keys?: string[]; hsToken?: string; scheme?: string; env?: object } = {},
) {
  const port = await freePort()
  const push = async (body: object): Promise<number> => {
    const path = 'events' in body ? '/transactions/1' : '/ping'
    const method = 'events' in body ? 'PUT' : 'POST'
    const headers = { authorization: `Bearer ${options.hsToken ?? hsToken}`, 'content-type': 'application/json' }
    const sent = fetch(`http://127.0.0.1:${port}/_matrix/app/v1${path}`, {
      method,
      headers,
      body: JSON.stringify(body),
    })
    return (await sent.catch(() => ({ status: 0 }))).status
  }
  const second = sound(options.keys)
  const requests: string[] = []
  const server = createServer(async (request, response) => {
    let text = ''
    for await (const chunk of request) text += chunk
    const [path = ''] = (request.url ?? '').split('?')
    requests.push(`${request.method} ${path}`)
    const asked = { method: request.method ?? '', path, body: text ? JSON.parse(text) : {} }
    const [status, body, headers] = (await first(asked, push)) ??
      (await second(asked, push)) ?? [404, { errcode: 'M_UNRECOGNIZED' }]
    response.writeHead(status, headers).end(typeof body === 'string' ? body : JSON.stringify(body))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const env = {
    SILTA_PROVIDER_DOMAIN: 'chat.example',
    SILTA_DATA_DIRECTORY: join(home, String(count++)),
    SILTA_LISTEN_PORT: String(port),
    SILTA_TOKENS_TRIAL: 'false',
    SILTA_MATRIX_HOMESERVER_URL: `${options.scheme ?? 'http'}://127.0.0.1:${(server.address() as AddressInfo).port}`,
    SILTA_MATRIX_DOMAIN: 'hs.example',
    SILTA_MATRIX_AS_TOKEN: asToken,
    SILTA_MATRIX_HS_TOKEN: hsToken,
    ...options.env,
  }
  const { config } = loadConfig({ env })
  const findings: Finding[] = []
  try {
    await checkSurroundings({ config, secrets: lookAtSecrets(config, nodeCrypto), patienceMs: 300 }, (finding) =>
      findings.push(finding),
    )
  } finally {
    server.close()
    server.closeAllConnections()
  }
  const said = findings.map(({ state, about, said: text, advice }) =>
    [state, about, text, ...(advice ?? [])].join(' | '),
  )
  return { findings, said: said.join('\n'), requests }
}

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}

const answerOnly =
  (part: string, ...reply: Reply): Handler =>
  ({ path }) =>
    path.includes(part) ? reply : undefined

test('nothing is wrong with a homeserver that does everything, and the device it was tried with is removed', async () => {
  const { findings, said, requests } = await check()
  assert.deepEqual(
    findings.filter(({ state }) => state !== 'ok'),
    [],
    said,
  )
  assert.deepEqual(
    findings.map(({ about }) => about),
    [
      'data directory',
      'database',
      'generated keys',
      'homeserver',
      'clock',
      'appservice token',
      'server name',
      'way back',
      'own address',
      'delivery of keys',
      'counts of keys',
    ],
  )
  assert.equal(requests.at(-1), 'DELETE /_matrix/client/v3/devices/SILTACHECK')
})

describe('what is wrong is named, with what to do', () => {
  const cases: [string, Handler | undefined, Parameters<typeof check>[1], RegExp][] = [
    [
      'nothing listens',
      undefined,
      { env: { SILTA_MATRIX_HOMESERVER_URL: 'http://127.0.0.1:2' } },
      /wrong \| homeserver \| nothing listens at 127\.0\.0\.1:2/,
    ],
    [
      'an unknown name',
      undefined,
      { env: { SILTA_MATRIX_HOMESERVER_URL: 'http://nowhere.invalid' } },
      /wrong \| homeserver \| the name nowhere\.invalid is not known/,
    ],
    [
      'TLS where there is none',
      undefined,
      { scheme: 'https' },
      /wrong \| homeserver \| no trusted TLS connection to 127/,
    ],
    ['a web page', answerOnly('/versions', 200, '<html>'), {}, /wrong \| homeserver \| .* not JSON \(status 200\)/],
    [
      'another service',
      answerOnly('/versions', 404, {}),
      {},
      /wrong \| homeserver \| .* but not as a Matrix homeserver \(status 404\)/,
    ],
    [
      'a clock that is wrong',
      answerOnly('/versions', 200, { versions: [] }, { date: new Date(Date.now() - 3_600_000).toUTCString() }),
      {},
      /warning \| clock \| .* differ by 3[56]\d\d s.* \| Set both by NTP/,
    ],
    [
      'an unknown token',
      answerOnly('/whoami', 401, { errcode: 'M_UNKNOWN_TOKEN' }),
      {},
      /wrong \| appservice token \| .*does not know this as_token.* \| .*app_service_config_files/,
    ],
    [
      'another server name',
      answerOnly('/whoami', 200, { user_id: '@silta-sender:other.example' }),
      {},
      /wrong \| server name \| .*other\.example, but matrix\.domain is hs\.example.* \| Write domain: other\.example/,
    ],
    [
      'another bot',
      answerOnly('/whoami', 200, { user_id: '@bot:hs.example' }),
      {},
      /wrong \| bridge bot \| .*sent by bot/,
    ],
    ['another hs_token', undefined, { hsToken: 'another-token-than-ours' }, /wrong \| way back \| .*another hs_token/],
    [
      'another id',
      answerOnly('/ping', 403, { errcode: 'M_FORBIDDEN' }),
      {},
      /wrong \| way back \| .*another id than silta/,
    ],
    [
      'no url',
      answerOnly('/ping', 400, { errcode: 'M_URL_NOT_SET' }),
      {},
      /wrong \| way back \| the registration has no url/,
    ],
    [
      'no way back',
      answerOnly('/ping', 502, { errcode: 'M_CONNECTION_FAILED' }),
      {},
      /wrong \| way back \| .*does not reach http:\/\/127\.0\.0\.1:\d+\. \| .*appserviceUrl/,
    ],
    [
      'somebody else at our place',
      answerOnly('/ping', 502, { errcode: 'M_BAD_STATUS', status: 404 }),
      {},
      /wrong \| way back \| .*something else answers \(status 404\)/,
    ],
    ['a homeserver without ping', answerOnly('/ping', 404, { errcode: 'M_UNRECOGNIZED' }), {}, /skipped \| way back/],
    ['another prefix', answerOnly('/register', 400, { errcode: 'M_EXCLUSIVE' }), {}, /wrong \| ghosts \| .*@silta_/],
    ['no MSC4190', answerOnly('/devices/', 404, { errcode: 'M_UNRECOGNIZED' }), {}, /wrong \| devices \| .*MSC4190/],
    [
      'no MSC3202',
      undefined,
      { keys: [] },
      /ok \| delivery of keys.*\nwrong \| counts of keys \| .* \| .*msc3202_transaction_extensions: true/,
    ],
  ]
  for (const [name, handler, options, expected] of cases)
    test(name, async () => assert.match((await check(handler, options)).said, expected))

  test('no to-device messages', async () => {
    const { said } = await check(answerOnly('/sendToDevice/', 200, {}))
    assert.match(said, /wrong \| delivery of keys \| .*\| .*msc2409_to_device_messages_enabled: true/)
  })
})

test('events that wait for the bridge are refused, so that the bridge gets them', async () => {
  let answered: number | undefined
  const { said } = await check(async ({ path }, push) => {
    if (!path.includes('/sendToDevice/')) return undefined
    answered = await push({ events: [{ type: 'm.room.message' }] })
    return [200, {}]
  })
  assert.equal(answered, 503)
  assert.match(said, /skipped \| delivery of keys \| messages wait for the bridge/)
})

test('a ping that somebody else answered is not taken for a way back', async () => {
  const { said } = await check(answerOnly('/ping', 200, { duration_ms: 1 }))
  assert.match(said, /wrong \| way back \| .*not by this configuration: something else listens there/)
  assert.doesNotMatch(said, /delivery of keys/)
})

test('an address of our own that leads nowhere, or to a bridge with another token, is named', async () => {
  const nowhere = await check(undefined, { env: { SILTA_MATRIX_APPSERVICE_URL: 'http://127.0.0.1:2' } })
  assert.match(
    nowhere.said,
    /warning \| own address \| .*no bridge answers at http:\/\/127\.0\.0\.1:2 \(ECONNREFUSED\)/,
  )
  const busy = createServer((_, response) => response.writeHead(403).end('{}'))
  await new Promise<void>((resolve) => busy.listen(0, '127.0.0.1', resolve))
  const port = String((busy.address() as AddressInfo).port)
  const other = await check(answerOnly('/ping', 200, {}), { env: { SILTA_LISTEN_PORT: port } })
  busy.close()
  assert.match(other.said, /wrong \| own address \| .*does not take this hs_token/)
})

test('beside a running bridge it says what it could not see', async () => {
  const busy = createServer((_, response) => response.end('{}'))
  await new Promise<void>((resolve) => busy.listen(0, '127.0.0.1', resolve))
  const port = String((busy.address() as AddressInfo).port)
  const { said } = await check(answerOnly('/ping', 200, {}), { env: { SILTA_LISTEN_PORT: port } })
  busy.close()
  assert.match(said, /ok \| way back/)
  assert.match(said, /skipped \| delivery of keys \| something listens on port/)
})
