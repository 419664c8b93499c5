// A guest's way in and out, with kill -9 at each step of it: the service's, and the browser's.
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { decodeLink } from '../src/client/guests/link.ts'
import {
  ClientError,
  type Connection,
  connect,
  type Device,
  joinByInvite,
  memoryStorage,
  type Storage,
  webSocketPipe,
} from '../src/client/index.ts'
import { textMessage } from '../src/content/index.ts'
import { toBase64Url } from '../src/crypto/index.ts'
import { nodeCrypto } from '../src/crypto/node.ts'
import { nodeMlsProvider } from '../src/mls/provider-node.ts'
import { openDatabase } from '../src/store/index.ts'
import { filesIn, searchFor } from './support/canaries.ts'
import { type MessengerPerson, newPerson } from './support/messenger-person.ts'
import { listen, testProvider } from './support/provider.ts'
import { startTestService, type TestService } from './support/service.ts'
import { until } from './support/until.ts'

const text = (plain: string) => textMessage({ plain })
const gone = { name: 'ClientError', code: 'not-found' }

describe('a browser that dies while its guest comes in', () => {
  test('at any storage transaction: the guest is in once, and what it writes arrives once', async () => {
    await using provider = await testProvider()
    const anna = await provider.register('anna')
    const heard = listen(anna.device)
    let finished = false
    const said: string[] = []
    for (let death = 1; !finished; death++) {
      const { link } = await anna.device.createInvite()
      const storage = memoryStorage()
      let count = 0
      const died = Promise.withResolvers<undefined>()
      const dies = () => {
        if (++count !== death) return false
        setImmediate(() => died.resolve(undefined))
        return true
      }
      const guest = { link, name: 'Mia' }
      const first = await Promise.race([provider.join(guest, { storage, dies }), died.promise])
      finished = first !== undefined
      await first?.crash()
      const again = await provider
        .join(guest, { storage })
        .catch((error) => (error.code === 'device-exists' ? provider.reopen(storage) : Promise.reject(error)))
      const [room] = await again.device.rooms()
      await again.device.send(room!.id, text(`after death ${death}`))
      said.push(`after death ${death}`)
      await until('the words', () => heard.texts.length >= said.length)
      await assert.rejects(provider.join(guest), gone)
      await again.crash()
    }
    assert.ok(said.length > 5)
    assert.deepEqual(heard.texts, said)
    assert.deepEqual(heard.faults, [])
  })
})

describe('a browser whose storage fails while its guest comes in', () => {
  /** Fails once, at the n-th transaction; `stored`: it had committed all the same. */
  function failing(storage: Storage, at: number, stored: boolean) {
    let count = 0
    const once: Storage = {
      ...storage,
      async transaction(fn) {
        if (++count !== at) return storage.transaction(fn)
        if (stored) await storage.transaction(fn)
        throw new ClientError('storage', 'a fault of the test')
      },
    }
    return { once, reached: () => count >= at }
  }

  for (const stored of [false, true])
    test(`once, at any transaction ${stored ? 'that was stored' : 'that was not stored'}: the guest comes in at the next try`, async () => {
      await using provider = await testProvider()
      const anna = await provider.register('anna')
      const heard = listen(anna.device)
      const said: string[] = []
      for (let at = 1; ; at++) {
        const { link, id } = await anna.device.createInvite()
        const storage = memoryStorage()
        const { once, reached } = failing(storage, at, stored)
        const options = { connection: provider.connection(), crypto: nodeCrypto, mls: provider.mls, link, name: 'Mia' }
        const first = await joinByInvite({ ...options, storage: once }).catch((error: ClientError) => error.code)
        const finished = !reached()
        if (!finished) assert.equal(first, 'storage')
        if (typeof first !== 'string') await first.close()
        const again = await provider
          .join({ link, name: 'Mia' }, { storage })
          .catch((error) => (error.code === 'device-exists' ? provider.reopen(storage) : Promise.reject(error)))
        const faults: string[] = []
        again.device.on('fault', ({ code }) => void faults.push(code))
        await again.device.ready()
        const [room, ...others] = await again.device.rooms()
        assert.deepEqual(others, [])
        await again.device.send(room!.id, text(`after fault ${at}`))
        said.push(`after fault ${at}`)
        await until('the words', () => heard.texts.length >= said.length)
        assert.equal((await anna.device.invites()).find((each) => each.id === id)?.chats.length, 1)
        assert.deepEqual(faults, [])
        await again.crash()
        if (finished) break
      }
      assert.ok(said.length > 5)
      assert.deepEqual(heard.texts, said)
      assert.deepEqual(heard.faults, [])
    })

  test('and one whose connection is closed before it has heard that it is in: the same', async () => {
    await using provider = await testProvider()
    const anna = await provider.register('anna')
    const heard = listen(anna.device)
    const { link } = await anna.device.createInvite()
    const storage = memoryStorage()
    const first = provider.connection({
      down(frame) {
        if (frame.body.case !== 'accepted') return frame
        void first.close()
        return undefined
      },
    })
    const common = { storage, crypto: nodeCrypto, mls: provider.mls, link, name: 'Mia' }
    await assert.rejects(joinByInvite({ ...common, connection: first }), { name: 'ClientError', code: 'disconnected' })
    const second = provider.connection()
    const closing: Storage = {
      ...storage,
      async transaction(fn) {
        await second.close()
        return storage.transaction(fn)
      },
    }
    const again = joinByInvite({ ...common, storage: closing, connection: second })
    await assert.rejects(again, { name: 'ClientError', code: 'closed' })
    const mia = await provider.join({ link, name: 'Mia' }, { storage })
    const [room] = await mia.device.rooms()
    await mia.device.send(room!.id, text('in after all'))
    await until('the words', () => heard.texts.length > 0)
  })
})

describe('a service that is killed', () => {
  let service: TestService
  let anna: MessengerPerson
  const connections = new Set<Connection>()
  /** Links that guests came by, and how they are called. */
  const links: string[] = []
  const name = `Mia ${toBase64Url(nodeCrypto.randomBytes(6))}`
  const hostName = `Anna ${toBase64Url(nodeCrypto.randomBytes(6))}`

  before(async () => {
    service = await startTestService({})
    anna = await newPerson(service.url, 'anna', { reachable: false })
  })
  after(async () => {
    for (const connection of connections) await connection.close()
    await anna?.close()
    await service?.[Symbol.asyncDispose]()
  })

  interface Guest {
    device: Device
    storage: ReturnType<typeof memoryStorage>
    ended: string[]
  }
  /** Comes in, as often as it takes. */
  async function come(link: string): Promise<Guest> {
    const quick = { reconnectFirst: 20, reconnectMost: 200 }
    const connection = connect(() => webSocketPipe(`${service.url.replace(/^http/, 'ws')}/messenger/v1`), quick)
    connections.add(connection)
    links.push(link)
    // Whoever looks at the page beforehand, a person or a machine.
    for (const method of ['GET', 'HEAD']) await fetch(link, { method }).catch(() => undefined)
    const storage = memoryStorage()
    const options = { connection, storage, crypto: nodeCrypto, mls: nodeMlsProvider(), link, name }
    for (;;) {
      try {
        const device = await joinByInvite(options)
        const ended: string[] = []
        device.on('ended', (reason) => void ended.push(reason))
        await device.start()
        return { device, storage, ended }
      } catch (error) {
        if (!(error as { retry?: boolean }).retry) throw error
      }
    }
  }
  const talk = async ({ device }: Guest, words: string) => {
    const [room] = await device.rooms()
    await device.send(room!.id, text(words))
    await until(words, () => anna.heard.texts.includes(words))
  }
  const over = async ({ storage, ended }: Guest, reason: string) => {
    await until('the end', () => ended.length > 0)
    assert.deepEqual(ended, [reason])
    assert.deepEqual(await storage.transaction((tx) => tx.list('device')), [])
  }
  /** Does it again until it was answered. */
  const insist = async (work: () => Promise<void>) => {
    for (;;) {
      try {
        return await work()
      } catch (error) {
        if (!(error as { retry?: boolean }).retry) throw error
      }
    }
  }

  for (const step of ['hub.guest.entered', 'hub.accepted'] as const)
    test(`at ${step}, while somebody comes in: they are in once, and the link is used up`, async () => {
      const { link } = await anna.device.createInvite({ base: service.url, name: hostName })
      await service.dieAt(step)
      const coming = come(link)
      await service.ended()
      await service.start()
      const mia = await coming
      await talk(mia, `after ${step}`)
      assert.equal(anna.heard.texts.filter((each) => each === `after ${step}`).length, 1)
      await assert.rejects(come(link), gone)
      const [invite] = await anna.device.invites()
      assert.equal(invite?.chats.length, 1)
      await mia.device.close()
    })

  for (const [step, act, reason] of [
    ['hub.guest.revoked', (id: string) => anna.device.revokeInvite(id), 'revoked'],
    ['hub.guest.blocked', (_: string, mia: Guest) => anna.device.block(mia.device.address), 'blocked'],
  ] as const)
    test(`at ${step}: the chat is over for both, and nothing is left of it in the browser`, async () => {
      const { link, id } = await anna.device.createInvite({ base: service.url })
      const mia = await come(link)
      await talk(mia, `before ${step}`)
      await service.dieAt(step)
      const acting = insist(() => act(id, mia))
      await service.ended()
      await service.start()
      await over(mia, reason)
      await acting
    })

  test('at hub.guest.ended, and while a chat becomes due: it is over once the service is back', async () => {
    // On a busy machine a chat may be over before its guest is quite in: then with more time.
    let killed: Guest | undefined
    for (let idleMs = 1500; !killed; idleMs *= 2) {
      const { link } = await anna.device.createInvite({ base: service.url, idleMs })
      await service.dieAt('hub.guest.ended')
      const coming = come(link).catch(() => undefined)
      await service.ended()
      await service.start()
      killed = await coming
    }
    await over(killed, 'idle')

    const { link } = await anna.device.createInvite({ base: service.url, idleMs: 5_000 })
    const due = await come(link)
    await service.kill()
    await sleep(5_000)
    await service.start()
    await over(due, 'idle')
  })

  test('has kept nothing of what was said in chats that are over', async () => {
    assert.equal(await service.stop(), true)
    const database = await openDatabase({ directory: join(service.dataDirectory, 'database') })
    try {
      const left = async (table: string) =>
        (
          await database.query(
            `select 1 from hub.${table} t join hub.guest g on g.room_no = t.room_no where g.ended is not null`,
          )
        ).length
      for (const table of ['log', 'welcome', 'welcome_body', 'submission', 'room_group', 'mailbox'])
        assert.equal(await left(table), 0, table)
      const ended = await database.query('select 1 from hub.guest where ended is not null')
      assert.ok(ended.length >= 4)
    } finally {
      await database.close()
    }
  })

  test('has written nowhere what only the two may know, and no link into its log', async () => {
    assert.ok(links.length > 4 && service.output.length > 0)
    const decoded = links.map((link) => decodeLink(nodeCrypto, link))
    const search = searchFor([
      ...decoded.map(({ secret }) => ({ name: 'a secret', value: secret })),
      ...links.map((link) => ({ name: 'a fragment', value: link.split('#')[1]! })),
      ...[name, hostName, ...anna.heard.texts].map((value) => ({ name: 'what was said', value })),
      { name: 'a link that can be found', value: decoded[0]!.invite },
    ])
    const found = [...filesIn(service.dataDirectory)].flatMap(([path, bytes]) => search(path, bytes))
    assert.deepEqual([...new Set(found.map((each) => each.name))], ['a link that can be found'])
    const logged = searchFor(decoded.map(({ invite }) => ({ name: 'a link', value: invite })))('log', service.output)
    assert.deepEqual([...logged, ...search('log', service.output)], [])
  })
})
