import assert from 'node:assert/strict'
import { before, describe, it, type TestContext } from 'node:test'
import { nodeCrypto } from '../../crypto/node.ts'
import { newAccountAddress } from '../../identity/index.ts'
import { beginIncarnation, createSealer, type Database } from '../../store/index.ts'
import { onBothDialects, type TestDatabase } from '../../store/testing.ts'
import { type Decrypted, type GhostId, type Ghosts, isDecrypted, openGhosts } from './ghosts.ts'
import { openHomeserver } from './homeserver.ts'
import { defaultMatrixSettings, type MatrixSettings } from './settings.ts'
import { type FakeClient, type FakeHomeserver, fakeClient, fakeHomeserver, nothing } from './testing.ts'

const domain = 'hs.test'
const room = '!room:hs.test'
const alice = '@alice:hs.test'
const sealer = createSealer(nodeCrypto, [new Uint8Array(32).fill(3)])
const silent = { debug() {}, info() {}, warn() {}, error() {} }
const account = () => newAccountAddress(nodeCrypto, 'silta.test')

interface Faults {
  /** Transactions that fail from now on. */
  failing: number
  /** Transactions that never end, from now on. */
  hanging: number
}

function faulty(database: Database): { database: Database; faults: Faults } {
  const faults: Faults = { failing: 0, hanging: 0 }
  const transaction: Database['transaction'] = async (work) => {
    if (faults.hanging > 0) {
      faults.hanging--
      return new Promise(() => {})
    }
    if (faults.failing > 0) {
      faults.failing--
      throw new Error('injected')
    }
    return database.transaction(work)
  }
  return { database: { ...database, transaction }, faults }
}

const openOn = (home: FakeHomeserver, database: Database, changed: Partial<MatrixSettings> = {}): Promise<Ghosts> => {
  const settings = { ...defaultMatrixSettings, claimRetryMs: 1, firstMessageMs: 0, ...changed }
  const homeserver = openHomeserver({ url: 'http://hs.test', asToken: 'token', domain, fetch: home.fetch, settings })
  const names = { userPrefix: 'silta_', botLocalpart: 'silta' }
  return openGhosts({ database, sealer, crypto: nodeCrypto, homeserver, settings, log: silent, ...names })
}

interface Scene extends AsyncDisposable {
  home: FakeHomeserver
  database: Database
  faults: Faults
  ghosts: Ghosts
  client: FakeClient
  ghost: GhostId
  /** The ghost says something that the client reads. */
  say(body: string): Promise<void>
  /** Brings the ghost what waits for it, as a transaction does. */
  deliver(): Promise<void>
}

async function setScene(plain: TestDatabase, changed: Partial<MatrixSettings> = {}): Promise<Scene> {
  const home = fakeHomeserver()
  const { database, faults } = faulty(plain)
  const ghosts = await openOn(home, database, changed)
  const client = await fakeClient(home, alice)
  const ghost = await ghosts.ensure(account())
  return {
    home,
    database,
    faults,
    ghosts,
    client,
    ghost,
    async say(body) {
      const content = await ghosts.encrypt(ghost, room, 'm.room.message', { msgtype: 'm.text', body }, [alice, ghost])
      await client.receive()
      assert.equal(await client.decrypt(room, content, ghost), body)
    },
    async deliver() {
      const delivery = home.take(ghost, await ghosts.deviceOf(ghost))
      await ghosts.receive(await plain.transaction((tx) => ghosts.storeDelivery(tx, delivery)))
    },
    async [Symbol.asyncDispose]() {
      await ghosts.close()
    },
  }
}

const indexOf = (content: Record<string, unknown>) => Buffer.from(String(content.ciphertext), 'base64')[2]

/** Says that these users' devices changed, as a transaction of the homeserver does. */
const tellChanged = (s: Scene, changed: readonly string[]) =>
  s.database.transaction((tx) => s.ghosts.storeDelivery(tx, { ...nothing, deviceLists: { changed, left: [] } }))

onBothDialects('ghosts', (open, dialect) => {
  let database: TestDatabase
  before(async () => {
    database = await open()
  })
  const scene = async (changed: Partial<MatrixSettings> = {}) => {
    for (const table of ['ghost', 'ghost_crypto', 'ghost_crypto_schema', 'ghost_inbox', 'device_change'])
      await database.query(`delete from ${table}`)
    return setScene(database, changed)
  }

  describe('a ghost of an account', () => {
    it('is one, with an opaque name', async () => {
      await using s = await scene()
      const address = account()
      const [one, other] = await Promise.all([s.ghosts.ensure(address), s.ghosts.ensure(address)])
      assert.equal(one, other)
      assert.match(one, /^@silta_[0-9a-f]{20}:hs\.test$/)
      assert.equal(await s.ghosts.accountOf(one), address)
      assert.equal(await s.ghosts.ghostOf(address), one)
      assert.equal(await s.ghosts.accountOf(alice), undefined)
    })

    it('finishes an onboarding that was interrupted, with the same identity', async () => {
      await using s = await scene()
      const address = account()
      s.home.override = (path) => (path.includes('/signatures') ? new Response('', { status: 502 }) : undefined)
      await assert.rejects(s.ghosts.ensure(address), { code: 'homeserver', retry: true })
      const mxid = (await s.ghosts.ghostOf(address))!
      const before = structuredClone(s.home.identities.get(mxid)!.master_key) as { keys: object }
      s.home.override = undefined
      assert.equal(await s.ghosts.ensure(address), mxid)
      assert.deepEqual((s.home.identities.get(mxid)!.master_key as { keys: object }).keys, before.keys)
    })

    it('never replaces cross-signing keys that are not its own', async () => {
      await using s = await scene()
      const address = account()
      s.home.override = (path) => (path.includes('/devices/') ? new Response('', { status: 502 }) : undefined)
      await assert.rejects(s.ghosts.ensure(address))
      s.home.override = undefined
      const mxid = (await s.ghosts.ghostOf(address))!
      const foreign = { master_key: { user_id: mxid, usage: ['master'], keys: { 'ed25519:AAAA': 'AAAA' } } }
      s.home.identities.set(mxid, foreign)
      await assert.rejects(s.ghosts.ensure(address), { code: 'machine', retry: false })
      assert.equal(s.home.identities.get(mxid), foreign)
    })

    it('keeps its state over a restart', async () => {
      await using s = await scene()
      await s.say('before')
      await s.ghosts.close()
      const ghosts = await openOn(s.home, s.database)
      const content = await ghosts.encrypt(s.ghost, room, 'm.room.message', { body: 'after' }, [alice])
      assert.equal(indexOf(content), 1)
      assert.equal(await s.client.decrypt(room, content, s.ghost), 'after')
      await ghosts.close()
    })

    it('is closed when idle beyond the limit, and comes back', async () => {
      await using s = await scene({ loadedGhosts: 2 })
      const others = await Promise.all(Array.from({ length: 5 }, () => s.ghosts.ensure(account())))
      for (const ghost of [...others, s.ghost, ...others])
        await s.ghosts.encrypt(ghost, room, 'm.room.message', { body: 'x' }, [alice])
      await s.say('still here')
    })

    it('is closed when nobody has used it for long, and still receives and sends', async () => {
      await using s = await scene({ idleGhostMs: 40 })
      await s.say('before')
      const closed = async () => {
        const held = `select 1 from lease where name = 'ghost ' || $1 and held_until > now_ms()`
        while ((await s.database.query(held, [s.ghost])).length > 0) await new Promise((done) => setTimeout(done, 10))
      }
      await closed()
      const event = await s.client.encrypt(room, 'to a ghost that sleeps', [s.ghost])
      await s.deliver()
      await closed()
      const result = (await s.ghosts.decrypt(s.ghost, room, event)) as Decrypted
      assert.equal(result.content.body, 'to a ghost that sleeps')
      await closed()
      await s.say('awake')
    })

    it('leaves nothing readable in the database', async () => {
      await using s = await scene()
      await s.say('a secret')
      await s.ghosts.receive(
        await s.database.transaction((tx) =>
          s.ghosts.storeDelivery(tx, { ...nothing, deviceLists: { changed: [alice], left: [] } }),
        ),
      )
      for (const table of ['ghost', 'ghost_crypto', 'ghost_crypto_schema', 'ghost_inbox', 'device_change']) {
        const rows = await s.database.query<Record<string, unknown>>(`select * from ${table}`)
        const bytes = rows
          .flatMap((row) => Object.values(row))
          .map((value) => String(Buffer.from(value instanceof Uint8Array ? value : String(value)).toString('latin1')))
        for (const word of ['a secret', room, 'alice'])
          assert.ok(!bytes.some((text) => text.includes(word)), `${table}: ${word}`)
      }
    })
  })

  describe('a ghost whose state cannot be made durable', () => {
    it('does not encrypt, and uses no message index twice afterwards', async () => {
      await using s = await scene()
      await s.say('zero')
      s.faults.failing = 1
      const encrypt = () => s.ghosts.encrypt(s.ghost, room, 'm.room.message', { body: 'one' }, [alice])
      await assert.rejects(encrypt(), { code: 'store', retry: true })
      const content = await encrypt()
      assert.equal(indexOf(content), 1)
      assert.equal(await s.client.decrypt(room, content, s.ghost), 'one')
    })

    it('takes a room key again whose commit failed', async () => {
      await using s = await scene()
      await s.say('hello')
      const event = await s.client.encrypt(room, 'to the ghost', [s.ghost])
      s.faults.failing = 1
      await s.deliver()
      const result = (await s.ghosts.decrypt(s.ghost, room, event)) as Decrypted
      assert.equal(result.content.body, 'to the ghost')
    })

    it('gives up a call that hangs, and what it hung on can do no harm later', async () => {
      await using s = await scene({ machineTimeoutMs: 500 })
      await s.say('zero')
      s.faults.hanging = 1
      const encrypt = () => s.ghosts.encrypt(s.ghost, room, 'm.room.message', { body: 'one' }, [alice])
      await assert.rejects(encrypt(), { code: 'timeout', retry: true })
      assert.equal(indexOf(await encrypt()), 1)
    })

    it('writes nothing any more once another process has the ghost', async () => {
      await using s = await scene({ ghostLeaseMs: 60_000 })
      await s.say('zero')
      const other = await openOn(s.home, s.database)
      const encrypt = (ghosts: Ghosts) => ghosts.encrypt(s.ghost, room, 'm.room.message', { body: 'one' }, [alice])
      await assert.rejects(encrypt(other), { code: 'lease-lost', retry: true })
      await s.database.query('update lease set held_until = 0')
      assert.equal(indexOf(await encrypt(other)), 1)
      await assert.rejects(encrypt(s.ghosts), { code: 'lease-lost', retry: true })
      await other.close()
    })
  })

  describe('a ghost reads', () => {
    it('what is encrypted for it, and tells of a room key once it is there', async () => {
      await using s = await scene()
      const arrived = new Promise<string[]>((resolve) => {
        s.ghosts.onRoomKey((_ghost, where, session) => resolve([where, session]))
      })
      const event = await s.client.encrypt(room, 'hello', [s.ghost])
      const early = await s.ghosts.decrypt(s.ghost, room, event)
      const session = (event.content as { session_id: string }).session_id
      assert.ok('missingKey' in early && early.sessionId === session)
      await s.deliver()
      assert.deepEqual(await arrived, [room, session])
      const result = await s.ghosts.decrypt(s.ghost, room, event)
      assert.ok(isDecrypted(result))
      assert.deepEqual([result.content.body, result.sender, result.shield], ['hello', alice, { color: 'none' }])
    })

    it('an event whose key was lost on the way, since it looks for it by /sync', async () => {
      await using s = await scene({ missingKeySyncMs: 0 })
      const event = await s.client.encrypt(room, 'hello', [s.ghost])
      const arrived = new Promise<void>((resolve) => s.ghosts.onRoomKey(() => resolve()))
      assert.ok('missingKey' in (await s.ghosts.decrypt(s.ghost, room, event)))
      await arrived
      assert.ok(isDecrypted(await s.ghosts.decrypt(s.ghost, room, event)))
    })

    it('what was stored for it before the process ended, once inboxes are read after the start', async () => {
      await using s = await scene()
      await s.client.encrypt(room, 'hello', [s.ghost])
      const delivery = s.home.take(s.ghost, await s.ghosts.deviceOf(s.ghost))
      await s.database.transaction((tx) => s.ghosts.storeDelivery(tx, delivery))
      await s.ghosts.close()
      const waits = () => s.database.query('select 1 from ghost_inbox')
      assert.equal((await waits()).length, 1)
      const ghosts = await openOn(s.home, s.database)
      await ghosts.recover()
      assert.deepEqual(await waits(), [])
      await ghosts.close()
    })

    it('what another one is refused, for good, once inboxes are read: that one has its turn again with the next time', async () => {
      await using s = await scene()
      const other = await s.ghosts.ensure(account())
      const inboxes = async () =>
        new Map(
          (await s.database.query<{ mxid: string; since: string | null }>('select mxid, since from ghost')).map(
            ({ mxid, since }) => [mxid, since],
          ),
        )
      s.home.refused = other
      await s.ghosts.recover()
      assert.deepEqual(
        await inboxes(),
        new Map([
          [s.ghost, 's'],
          [other, null],
        ]),
      )
      s.home.refused = undefined
      await s.ghosts.recover()
      assert.deepEqual(
        await inboxes(),
        new Map([
          [s.ghost, 's'],
          [other, 's'],
        ]),
      )
      // What passes is another matter: the caller tries again.
      s.home.override = (path) => (path.endsWith('/sync') ? new Response('{}', { status: 500 }) : undefined)
      await assert.rejects(s.ghosts.recover())
    })

    it('nothing that somebody else put under a name', async () => {
      await using s = await scene()
      const mallory = await fakeClient(s.home, '@mallory:hs.test')
      const event = await mallory.encrypt(room, 'I am alice', [s.ghost])
      await s.deliver()
      assert.deepEqual(await s.ghosts.decrypt(s.ghost, room, { ...event, sender: alice }), {
        failed: 'mismatched-sender',
      })
    })

    for (const [name, content] of [
      ['no content', undefined],
      ['another algorithm', { algorithm: 'm.olm.v1.curve25519-aes-sha2', ciphertext: {}, session_id: 'x' }],
      ['no session', { algorithm: 'm.megolm.v1.aes-sha2', ciphertext: 'AwgA' }],
    ] as const)
      it(`no event with ${name}`, async () => {
        await using s = await scene()
        const event = { type: 'm.room.encrypted', sender: alice, event_id: '$e', room_id: room, content }
        assert.deepEqual(await s.ghosts.decrypt(s.ghost, room, event), { failed: 'malformed' })
      })

    it('no event of which nothing can be made, and says so for good', async () => {
      await using s = await scene()
      const event = await s.client.encrypt(room, 'hello', [s.ghost])
      await s.deliver()
      const content = event.content as object
      for (const broken of [
        { content: { ...content, ciphertext: '!!!' } },
        { content: { ...content, sender_key: 5 } },
        { content: { ...content, device_id: {} } },
        { origin_server_ts: 'never' },
        { event_id: 7 },
        { content: { ...content, 'm.relates_to': 'x' } },
        { unsigned: 'x' },
      ]) {
        const result = await s.ghosts.decrypt(s.ghost, room, { ...event, ...broken })
        assert.ok('failed' in result || isDecrypted(result), JSON.stringify(broken))
      }
      const nowhere = await s.ghosts.decrypt(s.ghost, 'nowhere', event)
      assert.ok('failed' in nowhere)
    })

    it('no ciphertext that is none', async () => {
      await using s = await scene()
      const event = await s.client.encrypt(room, 'hello', [s.ghost])
      await s.deliver()
      const content = { ...(event.content as object), ciphertext: 'AwgAEpABAAAA' }
      assert.deepEqual(await s.ghosts.decrypt(s.ghost, room, { ...event, content }), { failed: 'undecryptable' })
    })
  })

  describe("a ghost's keys", () => {
    it('are filled up when the homeserver has none left, which it says by an empty entry', async () => {
      await using s = await scene()
      const device = await s.ghosts.deviceOf(s.ghost)
      const theirs = s.home.devices.get(`${s.ghost} ${device}`)!
      theirs.oneTime = {}
      const delivery = { ...nothing, otkCounts: { [s.ghost]: { [device]: {}, AAAA: {} } } }
      await s.ghosts.receive(await s.database.transaction((tx) => s.ghosts.storeDelivery(tx, delivery)))
      for (let wait = 0; wait < 100 && s.home.oneTimeKeys(s.ghost, device) === 0; wait++)
        await new Promise((resolve) => setTimeout(resolve, 10))
      assert.equal(s.home.oneTimeKeys(s.ghost, device), 50)
    })

    it('are left alone while there are enough', async () => {
      await using s = await scene()
      const device = await s.ghosts.deviceOf(s.ghost)
      const delivery = { ...nothing, otkCounts: { [s.ghost]: { [device]: { signed_curve25519: 49 } } } }
      assert.deepEqual(await s.database.transaction((tx) => s.ghosts.storeDelivery(tx, delivery)), [])
    })

    it('go to nobody when the last device of the readers is gone, so nothing is encrypted', async () => {
      await using s = await scene()
      await s.say('hello')
      delete s.home.devices.get(`${alice} ${s.client.device}`)!.keys
      const delivery = { ...nothing, deviceLists: { changed: [alice], left: [] } }
      await s.database.transaction((tx) => s.ghosts.storeDelivery(tx, delivery))
      await assert.rejects(s.say('is anybody there?'), { code: 'unreadable', retry: true })
    })

    it('of a reader are asked for anew when the homeserver says that they changed', async () => {
      await using s = await scene()
      await s.say('hello')
      const queries = () => s.home.calls.filter((call) => call === 'query').length
      const before = queries()
      await s.say('nothing changed')
      assert.equal(queries(), before)
      const delivery = { ...nothing, deviceLists: { changed: [alice, '@stranger:hs.test'], left: [] } }
      await s.database.transaction((tx) => s.ghosts.storeDelivery(tx, delivery))
      await s.say('changed')
      assert.equal(queries(), before + 1)
    })
  })

  describe('changed devices', () => {
    const strangers = (count: number) => Array.from({ length: count }, (_, at) => `@stranger${at}:hs.test`)
    const seen = async (s: Scene, ghost: GhostId) =>
      (
        await s.database.query<{ seen: number; newest: number }>(
          `select lists_seen as seen, (select max(position) from device_change) as newest from ghost where mxid = $1`,
          [ghost],
        )
      )[0]!
    /** How many rows each look at the list gave, from now on. */
    const reads = (t: TestContext, s: Scene): number[] => {
      const read: number[] = []
      const { query } = s.database
      t.mock.method(s.database, 'query', async (text: string, parameters?: readonly unknown[]) => {
        const rows = await query(text, parameters)
        if (text.includes('from device_change where')) read.push(rows.length)
        return rows
      })
      return read
    }
    const queried = (s: Scene): string[][] => {
      const asked: string[][] = []
      s.home.override = (path, body) => {
        if (path.endsWith('/keys/query')) asked.push(Object.keys(body.device_keys as object))
        return undefined
      }
      return asked
    }

    it('from before it was made are no concern of a ghost, which asks for whom it begins to follow all the same', async () => {
      await using s = await scene()
      await tellChanged(s, [...strangers(20), alice])
      const asked = queried(s)
      const later = await s.ghosts.ensure(account())
      const { seen: at, newest } = await seen(s, later)
      assert.ok(newest > 0)
      assert.equal(at, newest)
      await s.ghosts.encrypt(later, room, 'm.room.message', { body: 'x' }, [alice])
      assert.ok(asked.some((users) => users.includes(alice)))
    })

    it('from before a restore are no concern of a ghost, whose new device follows nobody yet', async (t) => {
      await using s = await scene()
      await s.say('before')
      await tellChanged(s, strangers(20))
      await s.ghosts.close()
      await s.database.transaction(beginIncarnation)
      const read = reads(t, s)
      const ghosts = await openOn(s.home, s.database)
      const asked = queried(s)
      await ghosts.encrypt(s.ghost, room, 'm.room.message', { body: 'after' }, [alice])
      await ghosts.close()
      assert.deepEqual(read, [0])
      assert.ok(asked.some((users) => users.includes(alice)))
    })

    it('that could not be asked for are asked for before the next message, also after a restart', async () => {
      for (const restarted of [false, true]) {
        await using s = await scene()
        await s.say('hello')
        await tellChanged(s, [alice])
        const later = await fakeClient(s.home, alice, 'LATER')
        const encrypt = (ghosts: Ghosts) =>
          ghosts.encrypt(s.ghost, room, 'm.room.message', { body: 'to both' }, [alice])
        s.home.override = (path) => (path.endsWith('/keys/query') ? new Response('{}', { status: 502 }) : undefined)
        await assert.rejects(encrypt(s.ghosts), { code: 'homeserver', retry: true })
        s.home.override = undefined
        if (restarted) await s.ghosts.close()
        const ghosts = restarted ? await openOn(s.home, s.database) : s.ghosts
        const content = await encrypt(ghosts)
        for (const client of [s.client, later]) {
          await client.receive()
          assert.equal(await client.decrypt(room, content, s.ghost), 'to both')
        }
        if (restarted) await ghosts.close()
      }
    })

    it('are looked at some at a time, and only those are opened that may be of somebody whom the ghost follows', async (t) => {
      await using s = await scene({ listsBatch: 50 })
      await s.say('hello')
      await tellChanged(s, [...strangers(120), alice, '@after:hs.test'])
      const opened = t.mock.method(sealer, 'open')
      const read = reads(t, s)
      const asked = queried(s)
      await s.say('changed')
      assert.deepEqual(asked, [[alice]])
      assert.deepEqual(read, [50, 50, 22, 0])
      const places = opened.mock.calls.map(({ arguments: [, place] }) => String(place))
      assert.deepEqual(
        places.filter((place) => place.startsWith('device_change|')),
        [],
      )
    })

    // The embedded database has one connection: there transactions do not overlap.
    if (dialect === 'postgres')
      it('of a transaction that commits behind a later one are not passed over', async () => {
        await using s = await scene()
        await s.say('hello')
        const asked = queried(s)
        const { promise: released, resolve: release } = Promise.withResolvers<void>()
        const { promise: stored, resolve: isStored } = Promise.withResolvers<void>()
        const slow = s.database.transaction(async (tx) => {
          await s.ghosts.storeDelivery(tx, { ...nothing, deviceLists: { changed: [alice], left: [] } })
          isStored()
          await released
        })
        await stored
        const quick = tellChanged(s, ['@other:hs.test'])
        await Promise.race([quick, new Promise((resolve) => setTimeout(resolve, 200))])
        await s.say('in between')
        release()
        await Promise.all([slow, quick])
        await s.say('afterwards')
        assert.ok(asked.some((users) => users.includes(alice)))
      })

    it('of the same users in another order are stored by both', async () => {
      await using s = await scene()
      const some = strangers(2000)
      await Promise.all([some, some.toReversed(), some, some.toReversed()].map((changed) => tellChanged(s, changed)))
    })
  })

  describe('a room key that nobody uses', () => {
    const day = 24 * 3600 * 1000
    const sessions = 'inbound_group_sessions3'
    const age = (s: Scene, days: number, store = '%') =>
      s.database.query('update ghost_crypto set used_at = used_at - $1 where store like $2', [days * day, store])
    const rows = (s: Scene, store: string) =>
      s.database.query<{ used_at: number }>('select used_at from ghost_crypto where store = $1', [store])
    const reopened = async (s: Scene, work: (ghosts: Ghosts) => Promise<void>) => {
      await s.ghosts.close()
      const ghosts = await openOn(s.home, s.database)
      await work(ghosts)
      await ghosts.close()
    }
    const isRead = async (s: Scene, ghosts: Ghosts, event: Record<string, unknown>) =>
      isDecrypted(await ghosts.decrypt(s.ghost, room, event))

    it('goes when the store is opened, for good, and nothing else does', async () => {
      await using s = await scene()
      const old = await s.client.encrypt(room, 'old', [s.ghost])
      const device = await s.ghosts.deviceOf(s.ghost)
      const delivery = s.home.take(s.ghost, device)
      const deliver = async (ghosts: Ghosts) =>
        ghosts.receive(await s.database.transaction((tx) => ghosts.storeDelivery(tx, delivery)))
      await deliver(s.ghosts)
      assert.ok(await isRead(s, s.ghosts, old))
      for (const store of [sessions, 'olm_hashes']) await age(s, 31, store)
      await s.client.newRoomKey(room)
      const recent = await s.client.encrypt(room, 'recent', [s.ghost])
      await s.deliver()
      await reopened(s, async (ghosts) => {
        assert.ok(!(await isRead(s, ghosts, old)))
        assert.ok(await isRead(s, ghosts, recent))
        // Nor does it come back by a repetition of what brought it.
        await deliver(ghosts)
        assert.ok(!(await isRead(s, ghosts, old)))
        await s.client.newRoomKey(room)
        const next = await s.client.encrypt(room, 'next', [s.ghost])
        const brought = s.home.take(s.ghost, device)
        await ghosts.receive(await s.database.transaction((tx) => ghosts.storeDelivery(tx, brought)))
        assert.ok(await isRead(s, ghosts, next))
      })
      assert.equal((await rows(s, sessions)).length, 2)
    })

    it('stays as long as something is read with it', async () => {
      await using s = await scene()
      const event = await s.client.encrypt(room, 'still used', [s.ghost])
      await s.deliver()
      await age(s, 20, sessions)
      await reopened(s, async (ghosts) => assert.ok(await isRead(s, ghosts, event)))
      await age(s, 20, sessions)
      await reopened(s, async (ghosts) => assert.ok(await isRead(s, ghosts, event)))
    })

    it('stays where nothing at all happened for as long', async () => {
      await using s = await scene()
      const event = await s.client.encrypt(room, 'before a long stop', [s.ghost])
      await s.deliver()
      await age(s, 100)
      await reopened(s, async (ghosts) => assert.ok(await isRead(s, ghosts, event)))
    })

    it('goes from a machine that stays open, too', async () => {
      await using s = await scene({ unusedKeyMs: 300, unusedEveryMs: 50, idleGhostMs: 2_000 })
      const event = await s.client.encrypt(room, 'old', [s.ghost])
      await s.deliver()
      assert.ok(await isRead(s, s.ghosts, event))
      const fence = async () =>
        (await s.database.query("select name, fence from lease where name like 'ghost %'")) as unknown
      const before = await fence()
      while ((await rows(s, sessions)).length > 0) await new Promise((done) => setTimeout(done, 20))
      assert.ok(!(await isRead(s, s.ghosts, event)))
      assert.deepEqual(await fence(), before)
      await s.say('still there')
    })
  })

  describe('a room key that all readers have', () => {
    const encrypt = (s: Scene) => s.ghosts.encrypt(s.ghost, room, 'm.room.message', { body: 'x' }, [alice, s.ghost])
    /** By then nothing has to be looked up any more. */
    const settle = async (s: Scene) => {
      for (const body of ['one', 'two', 'three']) await s.say(body)
    }

    it('goes to a device that comes later, with the next message', async () => {
      await using s = await scene()
      await settle(s)
      const later = await fakeClient(s.home, alice, 'LATER')
      const delivery = { ...nothing, deviceLists: { changed: [alice], left: [] } }
      await s.database.transaction((tx) => s.ghosts.storeDelivery(tx, delivery))
      const content = await s.ghosts.encrypt(s.ghost, room, 'm.room.message', { body: 'to both' }, [alice, s.ghost])
      for (const client of [s.client, later]) {
        await client.receive()
        assert.equal(await client.decrypt(room, content, s.ghost), 'to both')
      }
    })

    it('serves as many messages as it may, and its successor the next', async () => {
      await using s = await scene({ rotationMessages: 4 })
      await settle(s)
      const indexes: unknown[] = []
      for (let message = 0; message < 7; message++) indexes.push(indexOf(await encrypt(s)))
      assert.deepEqual(indexes, [3, 0, 1, 2, 3, 0, 1])
    })

    for (const [way, days] of [
      ['ahead', 8],
      ['back', -1],
    ] as const)
      it(`has a successor when the clock has gone ${way} by ${Math.abs(days)} days`, async (t) => {
        await using s = await scene()
        await settle(s)
        const { session_id: before } = await encrypt(s)
        const now = Date.now
        t.mock.method(Date, 'now', () => now() + days * 24 * 3600 * 1000)
        const { session_id: after } = await encrypt(s)
        assert.notEqual(after, before)
      })
  })
})
