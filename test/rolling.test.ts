// A rolling restart: the next version starts on the same PostgreSQL and migrates it while this one works; then people's
// connections and the homeserver's are sent to the next one, and this one is ended.
import assert from 'node:assert/strict'
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { connect, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { root } from '../scripts/support/command.ts'
import { textMessage } from '../src/content/index.ts'
import type { RoomId } from '../src/identity/index.ts'
import { openPostgres } from '../src/store/postgres.ts'
import { type MessengerPerson, newPerson } from './support/messenger-person.ts'
import { mlsLog } from './support/mls-uses.ts'
import { freePort } from './support/ports.ts'
import { findPostgres, type PostgresServer, startPostgres } from './support/postgres.ts'
import { startTestService, type TestService } from './support/service.ts'
import { type StubHomeserver, type StubUser, stubHomeserver } from './support/stub/index.ts'
import { until } from './support/until.ts'

const patienceMs = 120_000
const skip = findPostgres() === undefined && 'PostgreSQL is not installed'

describe('a rolling restart under load', { skip }, () => {
  const home = mkdtempSync(join(tmpdir(), 'silta-rolling-'))
  const log = mlsLog()
  const sockets = new Set<Socket>()
  /** Where the proxy sends new connections. */
  let backend = 0
  let postgres: PostgresServer
  let stub: StubHomeserver
  let present: TestService
  let next: TestService | undefined
  let carol: MessengerPerson
  let alice: StubUser
  let room: RoomId
  let matrixRoom: string
  const said = { carol: [] as string[], alice: [] as string[] }
  const proxy = createServer((client) => {
    const upstream = connect(backend, '127.0.0.1')
    for (const [one, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(one)
      one.on('error', () => other.destroy())
      one.on('close', () => other.destroy())
      one.pipe(other)
    }
  })

  const start = async (program?: string): Promise<TestService> => {
    const port = await freePort()
    const same = present ? { SILTA_DATA_DIRECTORY: present.dataDirectory } : {}
    return startTestService({
      synapse: stub,
      environment: { SILTA_LISTEN_PORT: String(port), SILTA_DATABASE_URL: postgres.url, ...same },
      ...(program === undefined ? {} : { program }),
    })
  }
  /** This program with one more migration, as a version to come. @returns its file to run */
  const version = (migration: string): string => {
    const folder = mkdtempSync(join(home, 'version-'))
    for (const part of ['src', 'scripts/support', 'test/support', 'package.json'])
      cpSync(join(root, part), join(folder, part), { recursive: true })
    symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'))
    mkdirSync(join(folder, '.cache'), { recursive: true })
    writeFileSync(join(folder, 'src/store/migrations/9999-next.sql'), migration)
    return join(folder, 'test/support/service-process.ts')
  }
  const sendTo = (service: TestService) => {
    backend = Number(new URL(service.url).port)
  }
  const schema = async () => {
    const database = await openPostgres(postgres.url, {})
    const rows = await database.query<{ name: string }>('select name from schema_migration order by name')
    await database.close()
    return rows.map(({ name }) => name)
  }
  /** Both sides write until it has happened. */
  const whileTalking = async <T>(work: () => Promise<T>): Promise<T> => {
    let over = false
    const talking = (['carol', 'alice'] as const).map(async (who) => {
      while (!over) {
        const text = `${who} ${said[who].length}`
        said[who].push(text)
        if (who === 'carol') await carol.device.send(room, textMessage({ plain: text }))
        else await alice.send(matrixRoom, text)
        await sleep(200)
      }
    })
    try {
      return await work()
    } finally {
      over = true
      await Promise.all(talking)
    }
  }
  const textsAtAlice = () =>
    alice.seen.flatMap(({ content }) => (content.msgtype === 'm.text' ? [String(content.body)] : []))
  const settled = async () => {
    await until('all at Alice', () => textsAtAlice().length >= said.carol.length, patienceMs)
    await until('all at Carol', () => carol.heard.texts.length >= said.alice.length, patienceMs)
    assert.deepEqual(textsAtAlice(), said.carol)
    assert.deepEqual(carol.heard.texts, said.alice)
  }

  before(async () => {
    postgres = await startPostgres()
    stub = await stubHomeserver()
    present = await start()
    sendTo(present)
    await new Promise<void>((done) => proxy.listen(stub.appservicePort, '127.0.0.1', done))
    alice = await stub.user('alice')
    carol = await newPerson(`http://127.0.0.1:${stub.appservicePort}`, 'carol', { onFrame: log.onFrame })
    room = await carol.device.conversationWith({ network: 'matrix', value: alice.user })
    said.carol.push('hello')
    await carol.device.send(room, textMessage({ plain: 'hello' }))
    await until('the room', () => textsAtAlice().length > 0, patienceMs)
    matrixRoom = alice.seen.find(({ content }) => content.body === 'hello')!.room
  })
  after(async () => {
    await carol?.close()
    await next?.[Symbol.asyncDispose]()
    await present?.[Symbol.asyncDispose]()
    for (const socket of sockets) socket.destroy()
    proxy.close()
    await stub?.[Symbol.asyncDispose]()
    await postgres?.stop()
    rmSync(home, { recursive: true, force: true })
  })

  it('a next version whose migration fails does not start; this one goes on, on its own schema', async () => {
    const before = await schema()
    const bad = version('alter table hub.log add column half int8; create table device_state (n int8);')
    await whileTalking(() => assert.rejects(start(bad), /did not start/))
    await settled()
    assert.deepEqual(await schema(), before)
  })

  it('the next version migrates while this one works, and takes over: all arrives once and in order', async () => {
    const good = version(`alter table hub.log add column next int8;
      create index next_log on hub.log (next) where next is not null;
      alter table device_state add column next int8;
      alter table portal_outbox add column next int8;`)
    await whileTalking(async () => {
      next = await start(good)
      await sleep(500)
      sendTo(next)
      await present.stop()
      const [toCarol, toAlice] = [said.alice.length, said.carol.length]
      await until('a message of Alice through the next one', () => carol.heard.texts.length > toCarol, patienceMs)
      await until('one of Carol', () => textsAtAlice().length > toAlice, patienceMs)
    })
    await settled()
    await log.noteEpochs(carol.storage, room)
    const uses = await log.uses(room)
    assert.ok(uses.length >= said.carol.length + said.alice.length)
    assert.equal(new Set(uses).size, uses.length, 'an MLS key was used twice')
    assert.deepEqual(
      carol.faults.filter((fault) => !fault.startsWith('fault')),
      [],
    )
    await assert.rejects(present.start(), /newer than this program/)
  })
})
