import assert from 'node:assert/strict'
import { before, beforeEach, describe, it } from 'node:test'
import { nodeCrypto } from '../../crypto/node.ts'
import { createSealer, type Database } from '../../store/index.ts'
import { onBothDialects, type TestDatabase } from '../../store/testing.ts'
import { type Appservice, type AppserviceHandlers, createAppservice, type StoredEvent } from './appservice.ts'
import type { Delivery, GhostId } from './ghosts.ts'
import { HomeserverError } from './homeserver.ts'
import { defaultMatrixSettings, type MatrixSettings } from './settings.ts'

const token = 'a token of the homeserver'
const sealer = createSealer(nodeCrypto, [new Uint8Array(32).fill(5)])
const silent = { debug() {}, info() {}, warn() {}, error() {} }

interface Scene {
  readonly appservice: Appservice
  readonly deliveries: Delivery[]
  /** What happened, in order: `receive`, `recover`, and the ids of events. */
  readonly history: string[]
  put(id: string, body: unknown, headers?: Record<string, string>): Promise<Response>
  get(path: string): Promise<Response>
}

type OnEvents = AppserviceHandlers['onEvents']

function scene(
  database: Database,
  handlers: Partial<AppserviceHandlers> & { handle?: (event: StoredEvent) => Promise<boolean> | boolean } = {},
  changed: Partial<MatrixSettings> = {},
): Scene {
  const history: string[] = []
  const deliveries: Delivery[] = []
  const onEvents: OnEvents = async (_room, events) => {
    for (const event of events) {
      if ((await handlers.handle?.(event)) === false) return { retryAfterMs: 20 }
      history.push(event.eventId)
      await database.transaction((tx) => appservice.finishEvent(tx, event.id))
    }
    return undefined
  }
  const appservice = createAppservice({
    database,
    sealer,
    crypto: nodeCrypto,
    hsToken: token,
    ghosts: {
      async storeDelivery(_tx, delivery) {
        deliveries.push(delivery)
        return delivery.toDevice.map((event) => event.to_user_id as GhostId)
      },
      async receive(ghosts) {
        if (ghosts.length > 0) history.push('receive')
      },
      async recover() {
        history.push('recover')
      },
    },
    handlers: { onEvents, ...handlers },
    settings: { ...defaultMatrixSettings, roomRetryMs: 10, ...changed },
    log: silent,
  })
  const base = 'http://silta.test/_matrix/app/v1'
  const authorization = { authorization: `Bearer ${token}` }
  return {
    appservice,
    deliveries,
    history,
    async put(id, body, headers = authorization) {
      const text = typeof body === 'string' ? body : JSON.stringify(body)
      return appservice.routes.request(`${base}/transactions/${id}`, { method: 'PUT', body: text, headers })
    },
    get: async (path) => appservice.routes.request(base + path, { headers: authorization }),
  }
}

const message = (id: string, room = '!a:hs') => ({
  type: 'm.room.message',
  room_id: room,
  event_id: id,
  sender: '@alice:hs',
  origin_server_ts: 1,
  content: { body: id },
})
const toDevice = {
  type: 'm.room.encrypted',
  sender: '@alice:hs',
  content: {},
  to_user_id: '@silta_x:hs',
  to_device_id: 'D',
}
const rows = async (database: Database) =>
  (await database.query<{ n: number }>('select count(*)::int8 as n from appservice_event'))[0]!.n
const errcode = async (answer: Response) => ((await answer.json()) as { errcode?: string }).errcode

onBothDialects('appservice', (open) => {
  let database: TestDatabase
  before(async () => {
    database = await open()
  })
  beforeEach(async () => {
    for (const table of ['appservice_transaction', 'appservice_event', 'appservice_room', 'appservice_read_back'])
      await database.query(`delete from ${table}`)
  })

  it('hands over what was missed behind what it belongs behind, and before what was pushed later', async () => {
    const missed = [message('$early'), message('$pushed'), message('$elsewhere', '!b:hs'), { no: 'event' }]
    const handle = async (event: StoredEvent) => {
      if (event.eventId === '$invitation')
        await database.transaction((tx) => s.appservice.storeMissed(tx, event, missed))
      return true
    }
    const s = scene(database, { handle }, { eventBatch: 1 })
    await s.put('1', { events: [message('$invitation'), message('$other', '!b:hs'), message('$pushed')] })
    await s.put('2', { events: [message('$later')] })
    await s.appservice.start()
    await s.appservice.idle()
    const inRoom = s.history.filter((id) => id !== '$other')
    // What was pushed all the same comes again where the homeserver had put it.
    assert.deepEqual(inRoom, ['$invitation', '$early', '$pushed', '$pushed', '$later'])
    assert.equal(await rows(database), 0)
  })

  describe('a room from which the homeserver forgot to hand something over', () => {
    /** What the homeserver has of the room, oldest first. */
    let timeline: ReturnType<typeof message>[] = []
    let looked = 0
    let away = false
    const carried = new Set<string>()
    const handlers: Partial<AppserviceHandlers> = {
      timeline: async () => ({
        async read(from, limit) {
          looked++
          if (away) throw new HomeserverError(0, 'SILTA_UNREACHABLE')
          const until = from === undefined ? timeline.length : Number(from)
          const start = Math.max(0, until - limit)
          return { chunk: timeline.slice(start, until).reverse(), ...(start > 0 ? { end: String(start) } : {}) }
        },
        carried: async (_on, ids) => new Set(ids.filter((id) => carried.has(id))),
      }),
    }
    let transactions = 0
    const push = async (s: Scene, ...ids: string[]) => {
      for (const id of ids) if (!timeline.some((event) => event.event_id === id)) timeline.push(message(id))
      assert.equal((await s.put(`t${++transactions}`, { events: ids.map((id) => message(id)) })).status, 200)
      await s.appservice.idle()
    }
    const forgotten = (...ids: string[]) => timeline.push(...ids.map((id) => message(id)))
    const begin = async (more: Partial<AppserviceHandlers> = {}, changed: Partial<MatrixSettings> = {}) => {
      const s = scene(database, { ...handlers, ...more }, { gapRoomMs: 0, ...changed })
      await s.appservice.start()
      return s
    }
    beforeEach(() => {
      timeline = []
      looked = 0
      away = false
      carried.clear()
    })

    it('is compared once with what it has, and what is missing has its place', async () => {
      const s = await begin()
      await push(s, '$1')
      s.appservice.suspectGaps()
      forgotten('$2', '$3')
      await push(s, '$4')
      await push(s, '$5')
      assert.deepEqual(s.history, ['$1', '$2', '$3', '$4', '$5'])
      assert.equal(looked, 1)
    })

    it('is sure of nothing as long as the homeserver may go again', async () => {
      const s = await begin()
      await push(s, '$1')
      s.appservice.suspectGaps(true)
      await push(s, '$2')
      forgotten('$3')
      await push(s, '$4')
      s.appservice.suspectGaps()
      await push(s, '$5')
      assert.deepEqual(s.history, ['$1', '$2', '$3', '$4', '$5'])
    })

    it('is compared although nothing comes from it any more', async () => {
      const s = await begin()
      await push(s, '$1')
      s.appservice.suspectGaps()
      forgotten('$2')
      await s.appservice.lookForGaps()
      await s.appservice.idle()
      assert.deepEqual(s.history, ['$1', '$2'])
    })

    it('has what comes too late in its place, and only once', async () => {
      const s = await begin()
      await push(s, '$1')
      s.appservice.suspectGaps()
      forgotten('$2', '$3')
      await push(s, '$4')
      s.appservice.suspectGaps()
      await push(s, '$2')
      await push(s, '$5', '$3')
      assert.deepEqual(s.history, ['$1', '$2', '$3', '$4', '$5'])
    })

    it('has in order what was pushed in another one', async () => {
      const s = await begin()
      await push(s, '$1')
      away = true
      s.appservice.suspectGaps()
      forgotten('$2', '$3', '$4')
      await push(s, '$4')
      await push(s, '$2')
      assert.deepEqual(s.history, ['$1'])
      away = false
      while (s.history.length < 4) await new Promise((resolve) => setTimeout(resolve, 5))
      assert.deepEqual(s.history, ['$1', '$2', '$3', '$4'])
      assert.equal(await rows(database), 0)
    })

    it('is compared after a start, also where an earlier one did not come to it', async () => {
      const first = await begin()
      await push(first, '$1')
      await first.appservice.drain()
      const second = await begin({}, { roomRetryMs: 100_000 })
      away = true
      forgotten('$2')
      await push(second, '$3')
      assert.deepEqual(second.history, [])
      await second.appservice.drain()
      away = false
      const third = await begin()
      await third.appservice.idle()
      assert.deepEqual(third.history, ['$2', '$3'])
    })

    it('does not get anew what was carried, what is unwanted, and what nobody can reach', async () => {
      const s = await begin({ wants: ({ content }) => content.body !== '$own' }, { gapPages: 1 })
      await push(s, '$1')
      s.appservice.suspectGaps()
      forgotten('$carried', '$own', '$2')
      carried.add('$carried')
      await push(s, '$3')
      s.appservice.suspectGaps()
      forgotten(...Array.from({ length: 30 }, (_, n) => `$far ${n}`))
      await push(s, '$4')
      assert.deepEqual(s.history, ['$1', '$2', '$3', '$4'])
    })

    const soon = async (enough: () => boolean) => {
      while (!enough()) await new Promise((resolve) => setTimeout(resolve, 5))
    }

    it('goes on as it was pushed when its timeline cannot be had for long, and has later what is missing', async () => {
      let broken = false
      const timelineOf = handlers.timeline!
      const timeline = async (room: string) => {
        if (broken) throw new HomeserverError(500, 'M_UNKNOWN')
        return timelineOf(room)
      }
      const s = await begin({ timeline }, { gapHoldMs: 100, gapRetryMaxMs: 50 })
      await push(s, '$1')
      s.appservice.suspectGaps()
      broken = true
      forgotten('$2')
      await push(s, '$3')
      assert.deepEqual(s.history, ['$1'], 'it waits a while')
      await soon(() => s.history.length === 2)
      await push(s, '$4')
      assert.deepEqual(s.history, ['$1', '$3', '$4'])
      broken = false
      await new Promise((resolve) => setTimeout(resolve, 60))
      await push(s, '$5')
      await push(s, '$6')
      assert.deepEqual(s.history, ['$1', '$3', '$4', '$2', '$5', '$6'])
    })

    it('waits as long as it takes while the homeserver is away as a whole', async () => {
      const s = await begin({}, { gapHoldMs: 20, roomRetryMaxMs: 10 })
      await push(s, '$1')
      s.appservice.suspectGaps(true)
      away = true
      forgotten('$2')
      await push(s, '$3')
      await new Promise((resolve) => setTimeout(resolve, 100))
      assert.deepEqual(s.history, ['$1'])
      away = false
      s.appservice.suspectGaps()
      await s.appservice.idle()
      assert.deepEqual(s.history, ['$1', '$2', '$3'])
    })

    it('is compared as often as it takes although nothing comes from it, until the end', async () => {
      let failing = 2
      const query: Database['query'] = async (text, parameters) => {
        if (text.includes('order by heard_at') && failing-- > 0) throw new Error('injected')
        return database.query(text, parameters)
      }
      const settings = { gapRoomMs: 0, gapRetryMs: 1, gapRetryMaxMs: 5 }
      const s = scene({ ...database, query }, handlers, settings)
      await s.appservice.start()
      await push(s, '$1')
      s.appservice.suspectGaps()
      forgotten('$2')
      away = true
      looked = 0
      const compared = s.appservice.lookForGaps()
      await soon(() => looked > 10)
      away = false
      await compared
      await s.appservice.idle()
      assert.deepEqual(s.history, ['$1', '$2'])
      away = true
      s.appservice.suspectGaps()
      const again = s.appservice.lookForGaps()
      await s.appservice.drain()
      await again
    })

    it('is taken no less far by what comes late', async () => {
      const s = await begin()
      await push(s, '$1', '$2')
      timeline.unshift(message('$0'))
      s.appservice.suspectGaps()
      await push(s, '$0')
      s.appservice.suspectGaps()
      await push(s, '$3')
      assert.deepEqual(s.history, ['$1', '$2', '$0', '$3'])
    })

    /** Something is lost, and something else comes, just after the timeline was read. */
    const lostBehindTheLook = async (lasting: boolean) => {
      let onRead = async () => {}
      const timelineOf = handlers.timeline!
      const s = await begin({
        async timeline(room) {
          const there = await timelineOf(room)
          return (
            there && {
              ...there,
              async read(from, limit) {
                const page = await there.read(from, limit)
                const then = onRead
                onRead = async () => {}
                await then()
                return page
              },
            }
          )
        },
      })
      await push(s, '$1')
      s.appservice.suspectGaps(lasting)
      onRead = async () => {
        forgotten('$3', '$4')
        await s.put('behind the look', { events: [message('$4')] })
        if (!lasting) s.appservice.suspectGaps()
      }
      await push(s, '$2')
      return s
    }

    it('is compared again when something may have been lost since its timeline was read', async () => {
      const s = await lostBehindTheLook(false)
      assert.deepEqual(s.history, ['$1', '$2', '$3', '$4'])
    })

    it('has at last what was lost since its timeline was read while the homeserver was away', async () => {
      const s = await lostBehindTheLook(true)
      assert.deepEqual(s.history, ['$1', '$2', '$4'])
      s.appservice.suspectGaps()
      await push(s, '$5')
      assert.deepEqual(s.history, ['$1', '$2', '$4', '$3', '$5'])
    })

    it('is compared when the homeserver counts its transactions anew', async () => {
      const s = await begin()
      await push(s, '$1')
      forgotten('$2')
      transactions--
      await push(s, '$3')
      assert.deepEqual(s.history, ['$1', '$2', '$3'])
    })
  })

  describe('a transaction', () => {
    it('is stored whole, then answered, and its events are handed over in order', async () => {
      const s = scene(database)
      const answer = await s.put('1', { events: [message('$1'), message('$2', '!b:hs'), message('$3')] })
      assert.equal(answer.status, 200)
      assert.deepEqual(await answer.json(), {})
      assert.equal(await rows(database), 3)
      await s.appservice.start()
      await s.appservice.idle()
      assert.deepEqual(
        s.history.filter((id) => id !== '$2'),
        ['$1', '$3'],
      )
      assert.equal(await rows(database), 0)
    })

    it('gives the machines their messages before the events', async () => {
      const s = scene(database)
      await s.appservice.start()
      await s.put('1', { events: [message('$1')], 'de.sorunome.msc2409.to_device': [toDevice] })
      await s.appservice.idle()
      assert.deepEqual(s.history, ['receive', '$1'])
    })

    it('that comes again is answered and not handled again', async () => {
      const s = scene(database)
      await s.appservice.start()
      for (let time = 0; time < 3; time++) assert.equal((await s.put('1', { events: [message('$1')] })).status, 200)
      await s.appservice.idle()
      assert.deepEqual(s.history, ['$1'])
    })

    it('with an id known from another one, since the homeserver counts anew, is handled', async () => {
      const s = scene(database)
      await s.appservice.start()
      await s.put('1', { events: [message('$1')] })
      await s.put('1', { events: [message('$2')] })
      await s.appservice.idle()
      assert.deepEqual(s.history, ['$1', '$2'])
    })

    it('that cannot be stored is refused as a whole, and its room keys are fetched once storing works', async () => {
      let failing = true
      const s = scene({
        ...database,
        transaction: (work) =>
          failing ? database.transaction(() => Promise.reject(new Error('injected'))) : database.transaction(work),
      })
      await s.appservice.start()
      const answer = await s.put('1', { events: [message('$1')] })
      assert.equal(answer.status, 503)
      assert.equal(await rows(database), 0)
      failing = false
      assert.equal((await s.put('1', { events: [message('$1')] })).status, 200)
      await s.appservice.idle()
      assert.deepEqual(s.history.toSorted(), ['$1', 'recover'])
    })

    it('leaves nothing readable in the database', async () => {
      const s = scene(database)
      await s.put('1', { events: [message('$a-secret')] })
      const stored = await database.query<{ body: Uint8Array }>('select body from appservice_event')
      assert.equal(stored.length, 1)
      for (const { body } of stored) assert.ok(!Buffer.from(body).toString('latin1').includes('secret'))
    })

    it('is refused while draining', async () => {
      const s = scene(database)
      await s.appservice.drain()
      assert.equal((await s.put('1', { events: [] })).status, 503)
    })

    it('remembers no more ids than it should', async () => {
      const s = scene(database, {}, { transactionMemory: 5 })
      for (let id = 0; id < 12; id++) {
        await s.put(String(id), { events: [] })
        await new Promise((resolve) => setTimeout(resolve, 2))
      }
      const known = await database.query('select 1 from appservice_transaction')
      assert.ok(known.length <= 6)
    })
  })

  describe('an event', () => {
    it('that is not wanted is not stored', async () => {
      const s = scene(database, { wants: ({ sender }) => sender !== '@alice:hs' })
      await s.put('1', { events: [message('$1'), { ...message('$2'), sender: '@bob:hs' }] })
      assert.equal(await rows(database), 1)
    })

    it('that its handler does not finish holds its room, in order, and no other', async () => {
      let ready = false
      const s = scene(database, { handle: ({ eventId }) => eventId !== '$1' || ready })
      await s.appservice.start()
      await s.put('1', { events: [message('$1'), message('$2'), message('$3', '!b:hs')] })
      await new Promise((resolve) => setTimeout(resolve, 100))
      assert.deepEqual(s.history, ['$3'])
      ready = true
      while (s.history.length < 3) await new Promise((resolve) => setTimeout(resolve, 5))
      assert.deepEqual(s.history, ['$3', '$1', '$2'])
    })

    it('comes again after its handler threw, and at once when its room is woken', async () => {
      let failures = 2
      const s = scene(
        database,
        {
          handle() {
            if (failures-- > 0) throw new Error('injected')
            return true
          },
        },
        { roomRetryMs: 60_000 },
      )
      await s.appservice.start()
      await s.put('1', { events: [message('$1')] })
      await s.appservice.idle()
      for (let time = 0; time < 2; time++) {
        s.appservice.wake('!a:hs')
        await s.appservice.idle()
      }
      while (s.history.length === 0) await new Promise((resolve) => setTimeout(resolve, 5))
      assert.deepEqual(s.history, ['$1'])
      await s.appservice.drain()
    })

    it('that waited while the service was down is handed over at its start', async () => {
      await scene(database).put('1', { events: [message('$1')] })
      const s = scene(database)
      await s.appservice.start()
      await s.appservice.idle()
      assert.deepEqual(s.history, ['$1'])
    })

    it('comes with others of its room, up to a bound', async () => {
      const sizes: number[] = []
      const s: Scene = scene(
        database,
        {
          async onEvents(_room, events) {
            sizes.push(events.length)
            await database.transaction(async (tx) => {
              for (const event of events) await s.appservice.finishEvent(tx, event.id)
            })
            return undefined
          },
        },
        { eventBatch: 4 },
      )
      await s.put('1', { events: Array.from({ length: 10 }, (_, index) => message(`$${index}`)) })
      await s.appservice.start()
      await s.appservice.idle()
      assert.deepEqual(sizes, [4, 4, 2])
    })
  })

  describe('what is not as it should be', () => {
    for (const [name, body, status, code] of [
      ['no JSON', '{"events":', 400, 'M_NOT_JSON'],
      ['no object', '[]', 400, 'M_BAD_JSON'],
      ['too large', JSON.stringify({ events: ['x'.repeat(2000)] }), 413, 'M_TOO_LARGE'],
    ] as const)
      it(`${name}: is refused with its reason`, async () => {
        const s = scene(database, {}, { transactionLimitBytes: 1000 })
        const answer = await s.put('1', body)
        assert.equal(answer.status, status)
        assert.equal(await errcode(answer), code)
      })

    it('in an entry: is left out, and the rest is taken', async () => {
      const s = scene(database)
      await s.appservice.start()
      const events = [
        null,
        7,
        'x',
        [],
        {},
        { ...message('$0'), room_id: 4 },
        { ...message('$0'), content: 1 },
        message('$1'),
      ]
      const body = {
        events,
        ephemeral: 'none',
        'de.sorunome.msc2409.to_device': [{ type: 1 }, toDevice],
        'org.matrix.msc3202.device_one_time_keys_count': { '@silta_x:hs': { D: { signed_curve25519: 'many' } }, y: 1 },
        'org.matrix.msc3202.device_unused_fallback_key_types': [],
        'org.matrix.msc3202.device_lists': { changed: [1, '@alice:hs'], left: {} },
      }
      assert.equal((await s.put('1', body)).status, 200)
      await s.appservice.idle()
      assert.deepEqual(s.history, ['receive', '$1'])
      const [delivery] = s.deliveries
      assert.equal(delivery!.toDevice.length, 1)
      assert.equal(JSON.stringify(delivery!.otkCounts), '{"@silta_x:hs":{"D":{}}}')
      assert.deepEqual(delivery!.deviceLists, { changed: ['@alice:hs'], left: [] })
    })

    for (const [name, headers, status, code] of [
      ['no token', {}, 401, 'M_UNAUTHORIZED'],
      ['a wrong token', { authorization: 'Bearer wrong' }, 403, 'M_FORBIDDEN'],
      ['a token of another kind', { authorization: `Basic ${token}` }, 401, 'M_UNAUTHORIZED'],
    ] as const)
      it(`${name}: is refused`, async () => {
        const s = scene(database)
        const answer = await s.put('1', { events: [message('$1')] }, { ...headers })
        assert.equal(answer.status, status)
        assert.equal(await errcode(answer), code)
        assert.equal(await rows(database), 0)
      })

    it('a token in the address: is refused, since addresses are logged', async () => {
      const answer = await scene(database).put(`1?access_token=${encodeURIComponent(token)}`, { events: [] }, {})
      assert.equal(answer.status, 401)
    })
  })

  it('look-ups are answered by the handlers, with 404 where there is none, or one fails', async () => {
    const s = scene(database, {
      queryUser: async (user) => user === '@silta_x:hs',
      queryAlias: () => Promise.reject(new Error('injected')),
      protocol: async (name) => (name === 'silta' ? { instances: [] } : undefined),
      findUsers: async (query) => ('protocol' in query ? [{ protocol: query.protocol, fields: query.fields }] : []),
    })
    const status = async (path: string) => (await s.get(path)).status
    assert.equal(await status(`/users/${encodeURIComponent('@silta_x:hs')}`), 200)
    assert.equal(await status(`/users/${encodeURIComponent('@silta_y:hs')}`), 404)
    assert.equal(await status(`/rooms/${encodeURIComponent('#silta_y:hs')}`), 404)
    assert.equal(await status('/thirdparty/protocol/silta'), 200)
    assert.equal(await status('/thirdparty/protocol/other'), 404)
    assert.deepEqual(await (await s.get('/thirdparty/user/silta?handle=ann')).json(), [
      { protocol: 'silta', fields: { handle: 'ann' } },
    ])
    assert.deepEqual(await (await s.get('/thirdparty/user?userid=x')).json(), [])
    assert.equal(await status('/thirdparty/location/silta'), 404)
    assert.equal(await errcode(await s.get('/unknown')), 'M_UNRECOGNIZED')
  })
})
