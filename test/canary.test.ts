import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { run } from '../src/cli/index.ts'
import { sqlStorage } from '../src/client/storage/sql.ts'
import { textMessage } from '../src/content/index.ts'
import { fromBase64Url, toBase64Url } from '../src/crypto/index.ts'
import { nodeCrypto } from '../src/crypto/node.ts'
import { createSealer, type Database, openDatabase } from '../src/store/index.ts'
import { postgresMissing } from '../src/store/testing.ts'
import { type Canary, type Found, filesIn, type Search, searchFor } from './support/canaries.ts'
import { deviceSecrets } from './support/device-secrets.ts'
import { type MatrixClient, startMatrixClient } from './support/matrix-client.ts'
import { linkedDevice, type MessengerPerson, newPerson } from './support/messenger-person.ts'
import { type PostgresServer, startPostgres } from './support/postgres.ts'
import { until } from './support/provider.ts'
import { startTestService, type TestService } from './support/service.ts'
import { synapseMissing, type TestSynapse, testSynapse } from './support/synapse.ts'

const patienceMs = 90_000
/** Letters and digits only, so that it looks the same in a URL, in JSON and in a sentence. */
const canary = (what: string) => `canary${what}${randomBytes(6).toString('hex')}`

describe('a search for canaries', () => {
  const text = canary('words')
  const find = searchFor([{ name: 'words', value: text }])
  const around = (bytes: Uint8Array | string) => Buffer.concat([randomBytes(3), Buffer.from(bytes), randomBytes(5)])
  const encoded = (before: number, how: BufferEncoding) =>
    Buffer.concat([randomBytes(before), Buffer.from(text), randomBytes(4)]).toString(how)

  for (const [writing, bytes] of [
    ['as it is', text],
    ['in UTF-16', Buffer.from(text, 'utf16le')],
    ['in hexadecimal', encoded(7, 'hex')],
    ['in capital hexadecimal', encoded(2, 'hex').toUpperCase()],
    ...[0, 1, 2, 3, 4].map((before) => [`in base64, ${before} bytes into it`, encoded(before, 'base64')] as const),
    ...[0, 1, 2].map((before) => [`in base64url, ${before} bytes into it`, encoded(before, 'base64url')] as const),
  ] as const)
    it(`finds it ${writing}`, () => assert.equal(find('here', around(bytes)).length, 1))

  it('finds it at either end, and not what is not there', () => {
    assert.equal(find('here', Buffer.from(text)).length, 1)
    assert.deepEqual(find('here', Buffer.from(text.slice(0, -1))), [])
    assert.deepEqual(find('here', randomBytes(100_000)), [])
  })
})

/** One conversation with everything in it that must not be seen, then all that was written. */
function searchEverything(dialect: 'pglite' | 'postgres', missing: string | false): void {
  describe(`what Silta writes on ${dialect}`, { skip: missing }, () => {
    const words = {
      fromCarol: canary('fromcarol'),
      fromAlice: canary('fromalice'),
      formatted: canary('formatted'),
      file: canary('file'),
      late: canary('late'),
    }
    const names = { carol: canary('namecarol'), alice: canary('namealice') }
    const handle = canary('handle').slice(0, 24)
    const localpart = canary('mxid')
    const stranger = canary('stranger')
    const subject = canary('subject').slice(0, 30)
    const keys = { sealing: nodeCrypto.randomBytes(32), provider: nodeCrypto.randomBytes(32) }
    const secretsFolder = mkdtempSync(join(tmpdir(), 'silta-canary-'))
    let synapse: TestSynapse
    let postgres: PostgresServer | undefined
    let service: TestService
    let alice: MatrixClient
    let carol: MessengerPerson
    let matrixRoom: string
    /** Message texts and what only devices may know. */
    const secrets: Canary[] = []
    /** Who people are: known to the homeserver, where it serves them, and to nobody else. */
    const persons: Canary[] = []
    const pages: string[] = []

    before(async () => {
      ;[synapse, postgres] = await Promise.all([
        testSynapse(),
        dialect === 'postgres' ? startPostgres(['logging_collector=on', 'log_min_messages=info']) : undefined,
      ])
      for (const [name, key] of Object.entries(keys))
        writeFileSync(join(secretsFolder, name), `${toBase64Url(key)}\n`, { mode: 0o600 })
      service = await startTestService({
        synapse,
        environment: {
          SILTA_LOG_LEVEL: 'trace',
          SILTA_SEALING_KEY_FILE: join(secretsFolder, 'sealing'),
          SILTA_PROVIDER_KEY_FILE: join(secretsFolder, 'provider'),
          ...(postgres ? { DATABASE_URL: postgres.url } : {}),
        },
      })
      alice = await startMatrixClient({ synapse, name: localpart })
      await alice.setDisplayName(names.alice)
    })
    after(async () => {
      await carol?.close()
      await alice?.stop()
      await service?.[Symbol.asyncDispose]()
      await postgres?.stop()
      await synapse?.stop()
      rmSync(secretsFolder, { recursive: true, force: true })
    })

    it('comes of a conversation, with mistakes in it', async () => {
      carol = await newPerson(service.url, subject, { handle })
      await carol.device.setProfile({ name: names.carol })
      const room = await carol.device.conversationWith({ network: 'matrix', value: alice.user })
      await carol.device.send(room, textMessage({ plain: words.fromCarol }))
      const received = await alice.untilReceived(words.fromCarol)
      matrixRoom = received.room
      await alice.send(matrixRoom, words.fromAlice, { replyTo: received.eventId })
      await alice.send(matrixRoom, { body: words.formatted, html: `<b>${words.formatted}</b>` })
      await until('what Alice wrote', () => carol.heard.texts.length === 2, patienceMs)
      await until('her name', async () => {
        const members = await carol.device.members(room)
        return members.some(({ profile }) => profile?.name === names.alice)
      })
      const shown = async () => (await alice.members(matrixRoom)).some(({ name }) => name === names.carol)
      await until('his name', shown, patienceMs)

      // What cannot cross, whom nobody knows, and what somebody else has already.
      await alice.sendRaw(matrixRoom, 'm.room.message', { msgtype: 'm.file', body: words.file, url: 'mxc://hs/x' })
      await untilNotice(alice, matrixRoom, 2)
      await assert.rejects(
        carol.device.conversationWith({ network: 'matrix', value: `@${stranger}:${synapse.domain}` }),
        { code: 'not-reachable' },
      )
      await assert.rejects(carol.device.conversationWith({ handle: stranger }), { code: 'not-reachable' })
      await using dan = await newPerson(service.url, `${subject}2`)
      await assert.rejects(dan.device.setHandle(handle), { code: 'handle-taken' })
      await assert.rejects(dan.device.send(room, textMessage({ plain: words.late })))

      // The bot is asked for somebody by handle, and for nobody.
      const bot = `@silta:${synapse.domain}`
      const chat = await alice.createRoom({ invite: [bot] })
      await alice.untilJoined(chat, bot)
      await alice.send(chat, `start ${stranger}`)
      await alice.send(chat, `start ${handle}`)
      await untilNotice(alice, chat, 3)

      const tablet = await linkedDevice(service.url, carol.device)
      await carol.device.send(room, textMessage({ plain: words.late }))
      await alice.untilReceived(words.late)
      await until('the tablet', async () => (await tablet.device.room(room))?.joined === true, patienceMs)

      secrets.push(...Object.entries(words).map(([name, value]) => ({ name, value })))
      secrets.push(...(await deviceSecrets('the phone', carol.storage)))
      secrets.push(...(await deviceSecrets('the tablet', tablet.storage)))
      const code = fromBase64Url(tablet.code.slice(tablet.code.lastIndexOf('.') + 1))
      secrets.push({ name: 'the secret of the code', value: code.slice(0, 32) })
      secrets.push({ name: 'the sealing key', value: keys.sealing }, { name: 'the provider key', value: keys.provider })
      secrets.push({ name: 'the access token', value: carol.accessToken.slice(carol.accessToken.lastIndexOf('.') + 1) })
      const { asToken, hsToken } = synapse.registration
      persons.push({ name: 'the token of the appservice', value: asToken })
      persons.push({ name: 'the token of the homeserver', value: hsToken })
      persons.push({ name: 'the subject', value: subject })
      persons.push({ name: 'the Matrix id', value: localpart })
      persons.push({ name: 'somebody unknown', value: stranger })
      persons.push(...Object.entries(names).map(([name, value]) => ({ name: `the name of ${name}`, value })))
      await tablet.close()
      const headers = { authorization: `Bearer ${hsToken}`, 'content-type': 'application/json' }
      const refused: [string, RequestInit][] = [
        [`/${stranger}?access_token=${asToken}`, {}],
        [`/_matrix/app/v1/users/@${stranger}:${synapse.domain}`, { headers: { authorization: `Bearer ${asToken}` } }],
        [`/_matrix/app/v1/users/@${stranger}:${synapse.domain}`, { headers }],
        ['/_matrix/app/v1/transactions/1x', { method: 'PUT', headers, body: `{"events":[{"${stranger}":1}],` }],
        ['/_matrix/app/v1/transactions/1y', { method: 'PUT', headers, body: `{"events":["${stranger}"]}` }],
        ['/trial/token', { method: 'POST', body: `{"name":"${stranger} ${stranger}"}` }],
      ]
      for (const [path, request] of refused) pages.push(await (await fetch(`${service.url}${path}`, request)).text())
      for (const path of ['/metrics', '/readyz', '/healthz', '/nothing'])
        pages.push(await (await fetch(`${service.url}${path}`)).text())
    })

    it('holds nothing that a person said or a device knows, in any table', async () => {
      await service.kill()
      const copy = join(secretsFolder, 'copy')
      if (!postgres) {
        cpSync(join(service.dataDirectory, 'database'), copy, { recursive: true })
        rmSync(join(copy, 'lock.db'))
      }
      const database = await openDatabase(postgres ? { url: postgres.url } : { directory: copy })
      try {
        secrets.push(...(await secretsOfEdge(database, keys.sealing)))
        const known = [
          { name: 'the handle', value: handle },
          { name: 'the room', value: matrixRoom },
        ]
        const found = await searchTables(database, searchFor([...secrets, ...persons, ...known]))
        assert.deepEqual(found.map(({ name, where }) => `${name} in ${where}`).toSorted(), [
          'the handle in hub.handle.handle',
          'the room in public.appservice_room.room',
          'the room in public.portal.matrix_room',
        ])
        if (postgres) await database.query('checkpoint')
      } finally {
        await database.close()
      }
    })

    it('holds none of it in any byte of its files: tables, indexes, write-ahead log, the server’s own log', () => {
      const find = searchFor([...secrets, ...persons])
      const places = postgres ? [service.dataDirectory, postgres.folder] : [service.dataDirectory]
      const found = places.flatMap((place) => searchFolder(place, find))
      assert.deepEqual(found, [])
      // PostgreSQL writes the values of a row that it refuses into its log.
      const logs = searchFolder(
        postgres?.folder ?? service.dataDirectory,
        searchFor([{ name: 'handle', value: handle }]),
      )
      assert.deepEqual(
        logs.filter(({ where }) => where.endsWith('.log')),
        [],
      )
      const known = searchFor([
        { name: 'handle', value: handle },
        { name: 'room', value: matrixRoom },
      ])
      const there = new Set(places.flatMap((place) => searchFolder(place, known)).map(({ name }) => name))
      assert.deepEqual([...there].toSorted(), ['handle', 'room'], 'the search finds what is known to be there')
    })

    it('lets none of it into the compliance log, nor into any form in which that is handed out', async () => {
      const folder = join(service.dataDirectory, 'audit')
      const find = searchFor([
        ...[...secrets, ...persons],
        ...[
          { name: 'the handle', value: handle },
          { name: 'the room', value: matrixRoom },
        ],
        { name: 'the address', value: carol.device.address.split('/').at(-1)! },
      ])
      assert.deepEqual(searchFolder(folder, find), [])
      const silta = async (...argv: string[]) => {
        const out: string[] = []
        const env = {
          SILTA_PROVIDER_DOMAIN: 'messenger.example',
          SILTA_DATA_DIRECTORY: service.dataDirectory,
          SILTA_PROVIDER_KEY_FILE: join(secretsFolder, 'provider'),
        }
        assert.equal(await run(argv, { env, out: (text) => void out.push(text), err: () => undefined }), 0)
        return out.join('').trim()
      }
      const key = await silta('audit', 'key')
      for (const format of ['ndjson', 'ocsf', 'csv']) {
        const text = await silta('audit', 'export', '--format', format, '--log', folder, '--key', key)
        assert.match(text, /network\.opted-in|account\.created/)
        assert.deepEqual(find(format, Buffer.from(text)), [])
        // Nothing of the form of an address: of a person, a Matrix user, a machine. The log's own keys are digits by chance.
        const aboutPeople = text.replaceAll(/[\w.-]+\/audit[\w/]*\+[\da-f]{8}\+[\w+/=]+/g, '')
        assert.doesNotMatch(aboutPeople, /@|mimi:|\+\d{6,}|\b\d{1,3}(\.\d{1,3}){3}\b|[\da-f]{0,4}::[\da-f]/i)
      }
    })

    it('says none of it in its output and on its pages', () => {
      const find = searchFor([...secrets, ...persons, { name: 'the handle', value: handle }])
      assert.deepEqual(find('output', service.output), [])
      for (const page of pages) assert.deepEqual(find('page', Buffer.from(page)), [])
      const known = searchFor([{ name: 'port', value: `"port":${synapse.appservicePort}` }])
      assert.equal(known('output', service.output).length, 1)
    })

    it('tells the homeserver nothing but who writes with whom, and by which name', () => {
      const found = searchFolder(synapse.folder, searchFor(secrets))
      assert.deepEqual(found, [])
      const known = searchFor(
        persons.filter(({ name }) => name.startsWith('the name') || name.startsWith('the Matrix')),
      )
      const there = new Set(searchFolder(synapse.folder, known).map(({ name }) => name))
      assert.equal(there.size, 3)
    })
  })
}

const synapseIsMissing = await synapseMissing()
searchEverything('pglite', synapseIsMissing)
searchEverything('postgres', synapseIsMissing || postgresMissing())

async function untilNotice(client: MatrixClient, room: string, count: number): Promise<void> {
  const notices = async () =>
    (await client.messages(room)).filter(
      ({ sender, content }) => sender !== client.user && content.msgtype === 'm.notice',
    )
  await until(`${count} notices`, async () => (await notices()).length >= count, patienceMs)
}

/** What the edge keeps sealed, opened. */
async function secretsOfEdge(database: Database, key: Uint8Array): Promise<Canary[]> {
  const sealer = createSealer(nodeCrypto, [key])
  const secrets: Canary[] = []
  const spaces = await database.query<{ namespace: string }>('select distinct namespace from device_state')
  for (const { namespace } of spaces)
    secrets.push(...(await deviceSecrets('the edge', sqlStorage(database, sealer, namespace))))
  for (const { mxid, store_key } of await database.query<{ mxid: string; store_key: Uint8Array }>(
    'select * from ghost',
  ))
    secrets.push({ name: 'the key of an Olm machine', value: sealer.open(store_key, `ghost|store_key|${mxid}`) })
  for (const { name, value } of await database.query<{ name: string; value: Uint8Array }>('select * from edge_key'))
    secrets.push({ name: `the edge's key ${name}`, value: sealer.open(value, `edge_key|value|${name}`) })
  assert.ok(secrets.length > 20)
  return secrets
}

/** Each value of each table, whatever the database compresses. */
async function searchTables(database: Database, find: Search): Promise<Found[]> {
  const columns = await database.query<{ schema: string; name: string; column: string }>(
    `select table_schema as schema, table_name as name, column_name as column from information_schema.columns
     where table_schema in ('public', 'hub', 'audit', 'pseudonym') order by 1, 2, 3`,
  )
  assert.ok(columns.length > 50)
  const found: Found[] = []
  for (const { schema, name, column } of columns) {
    const rows = await database.query<{ value: unknown }>(`select "${column}" as value from "${schema}"."${name}"`)
    const values = new Set<Found>()
    for (const { value } of rows) {
      const bytes = value instanceof Uint8Array ? value : Buffer.from(JSON.stringify(value) ?? '')
      for (const one of find(`${schema}.${name}.${column}`, bytes)) values.add(one)
    }
    found.push(...values)
  }
  return found
}

function searchFolder(folder: string, find: Search): Found[] {
  return [...filesIn(folder)].flatMap(([path, bytes]) => find(path, bytes))
}
