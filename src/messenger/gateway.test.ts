import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { nodeCrypto as crypto } from '../crypto/node.ts'
import { randomKey } from '../hub/testing/values.ts'
import { openWorld } from '../hub/testing/world.ts'
import { inProcessPipe } from '../protocol/in-process-pipe.ts'
import { ErrorCode, RoomStanding } from '../protocol/index.ts'
import { StoreError } from '../store/index.ts'
import { freshDatabase } from '../store/testing.ts'
import type { GatewaySettings } from './index.ts'
import { openClient, openTestGateway } from './testing/client.ts'

async function open(settings: Partial<GatewaySettings> = {}) {
  const database = await freshDatabase()
  const world = openWorld(database)
  const { gateway, ...rest } = openTestGateway(world, settings)
  return {
    world,
    gateway,
    ...rest,
    async [Symbol.asyncDispose]() {
      gateway.drain()
      await world[Symbol.asyncDispose]()
      await database.close()
    },
  }
}

describe('authentication', () => {
  test('an account is made with a token and a proof of its key, and again with the same', async () => {
    await using service = await open()
    const client = await service.connect()
    assert.equal(client.hello.version, 1)
    assert.equal(client.hello.challenge.length, 32)
    const keys = crypto.generateKeyPair()
    const accessToken = service.token(service.world.token())
    const value = { accessToken, accountKey: keys.publicKey, proof: client.accountProof(keys.privateKey, accessToken) }
    const account = await client.expect('account', { case: 'createAccount', value })
    assert.deepEqual(await client.expect('account', { case: 'createAccount', value }), account)
    assert.equal(
      await client.refused({ case: 'createAccount', value: { ...value, proof: new Uint8Array(64) } }),
      'BAD_CERTIFICATE',
    )
    assert.equal(await client.refused({ case: 'createAccount', value: { ...value, accessToken: 'x' } }), 'BAD_TOKEN')
    const others = crypto.generateKeyPair()
    const other = {
      accessToken,
      accountKey: others.publicKey,
      proof: client.accountProof(others.privateKey, accessToken),
    }
    assert.equal(await client.refused({ case: 'createAccount', value: other }), 'ACCOUNT_EXISTS')
  })

  test('a device proves its key against this connection only', async () => {
    await using service = await open()
    const device = await service.world.device()
    const [one, other] = [await service.connect(), await service.connect()]
    const value = { deviceId: device.deviceId, signature: other.proof(device) }
    assert.equal(await one.refused({ case: 'authenticate', value }), 'UNAUTHENTICATED')
    const unknown = { deviceId: 'A'.repeat(22), signature: one.proof(device) }
    assert.equal(await one.refused({ case: 'authenticate', value: unknown }), 'UNAUTHENTICATED')
    assert.equal(await one.refused({ case: 'listRooms', value: {} }), 'UNAUTHENTICATED')
    assert.equal(await one.refused({ case: 'listRooms', value: {} }, 7), 'UNAUTHENTICATED')
    const channel = await one.authenticate(device)
    await one.expect('rooms', { case: 'listRooms', value: {} }, channel)
    await one.expect('done', { case: 'closeChannel', value: {} }, channel)
    assert.equal(await one.refused({ case: 'listRooms', value: {} }, channel), 'UNAUTHENTICATED')
  })

  test('one connection carries several devices, each on its channel', async () => {
    await using service = await open()
    const [alice, bob] = [await service.world.device(), await service.world.device()]
    const client = await service.connect()
    const [one, two] = [await client.resume(alice), await client.resume(bob)]
    assert.notEqual(one, two)
    const creation = await alice.prepareRoom('direct', [bob.account])
    const { key: idempotencyKey, ...commit } = creation.commit
    await client.expect(
      'accepted',
      {
        case: 'createRoom',
        value: { room: creation.room, kind: 1, groupInfo: creation.groupInfo, commit: { ...commit, idempotencyKey } },
      },
      one,
    )
    const own = await client.event('deliver', one)
    assert.equal(own.own, true)
    const welcome = await client.event('welcome', two)
    assert.equal(welcome.standing, RoomStanding.REQUESTED)
    assert.equal(welcome.inviter, alice.account.address)
  })

  test('a device that authenticates elsewhere leaves its old channel', async () => {
    await using service = await open()
    const device = await service.world.device()
    const [old, fresh] = [await service.connect(), await service.connect()]
    const before = await old.resume(device)
    const after = await fresh.resume(device)
    assert.equal((await old.event('error', before)).code, ErrorCode.UNAUTHENTICATED)
    assert.equal(await old.refused({ case: 'ping', value: {} }, before), 'UNAUTHENTICATED')
    await fresh.expect('pong', { case: 'ping', value: {} }, after)
  })

  test('a connection on which nobody authenticates is closed', async () => {
    await using service = await open({ unauthenticatedMs: 30 })
    const client = await service.connect()
    assert.equal((await client.whenClosed()).code, 1008)
    assert.equal(service.gateway.connections, 0)
  })
})

describe('frames', () => {
  test('bytes that are no frame are answered and end the connection', async () => {
    await using service = await open()
    const client = await service.connect()
    client.pipe.send(Uint8Array.of(0xff, 0xff, 0xff))
    assert.equal((await client.event('error')).code, ErrorCode.MALFORMED)
    assert.equal((await client.whenClosed()).code, 1007)
  })

  test('a frame beyond the limit ends the connection', async () => {
    await using service = await open({ firstFrameBytes: 1000 })
    const client = await service.connect()
    client.pipe.send(new Uint8Array(1001))
    assert.equal((await client.event('error')).code, ErrorCode.TOO_LARGE)
    assert.equal((await client.whenClosed()).code, 1009)
  })

  test('requests without an id, with one that is open, or of no known kind are refused and the connection goes on', async () => {
    await using service = await open()
    const client = await service.connect()
    client.raw({ id: 0n, request: { case: 'ping', value: {} } as never })
    assert.equal((await client.event('error')).code, ErrorCode.MALFORMED)
    assert.equal(await client.refused({ case: undefined } as never), 'UNSUPPORTED')
    client.raw({ id: 100n, request: { case: 'createAccount', value: { accessToken: 'slow' } } as never })
    client.raw({ id: 100n, request: { case: 'ping', value: {} } as never })
    assert.equal((await client.event('error')).code, ErrorCode.MALFORMED)
    await client.expect('pong', { case: 'ping', value: {} })
  })

  test('random bytes and mangled frames never stop the service', async () => {
    await using service = await open()
    const device = await service.world.device()
    for (let round = 0; round < 30; round++) {
      const client = await service.connect()
      const channel = await client.authenticate(device)
      const bytes = new Uint8Array(crypto.randomBytes(1 + round * 7))
      if (round % 2 === 0) client.pipe.send(bytes)
      else
        client.raw({
          id: 99n,
          channel,
          request: { case: 'submitMessage', value: { room: '\u0000', message: bytes, idempotencyKey: bytes } } as never,
        })
      await client.until(() => client.closed ?? client.events.find(({ body }) => body.case === 'error'))
      client.pipe.close()
    }
    const client = await service.connect()
    await client.expect('pong', { case: 'ping', value: {} })
    assert.deepEqual(
      service.counted.filter((each) => each.startsWith('faults')),
      [],
    )
  })

  test('more requests than allowed are refused with the time to wait', async () => {
    await using service = await open({ requestBurst: 3, requestsPerSecond: 1 })
    const device = await service.world.device()
    const client = await service.connect()
    const channel = await client.authenticate(device)
    const answers = await Promise.all([1, 2, 3, 4].map(() => client.ask({ case: 'listRooms', value: {} }, channel)))
    assert.deepEqual(
      answers.map((answer) => answer.case),
      ['rooms', 'rooms', 'rooms', 'error'],
    )
    const error = answers[3]!.value as { retry: boolean; retryAfterMs: number; code: ErrorCode }
    assert.equal(error.code, ErrorCode.RATE_LIMITED)
    assert.ok(error.retry && error.retryAfterMs > 0 && error.retryAfterMs <= 1000)
  })
})

test('a name of a wrong form is malformed, and never a fault of the service', async () => {
  await using service = await open()
  const device = await service.world.device()
  const client = await service.connect()
  const channel = await client.authenticate(device)
  const bad = ['', '\0', 'mimi://x', "'; drop table hub.room; --", 'x'.repeat(100_000)]
  for (const text of bad) {
    const requests: Parameters<typeof client.refused>[0][] = [
      { case: 'getManifest', value: { account: text } },
      { case: 'claimKeyPackages', value: { account: text } },
      { case: 'submitMessage', value: { room: text } },
      { case: 'submitCommit', value: { room: text } },
      { case: 'getGroupInfo', value: { room: text } },
      { case: 'leaveRoom', value: { room: text } },
      { case: 'answerRoom', value: { room: text } },
      { case: 'acknowledge', value: { cursors: [{ room: text }] } },
      { case: 'block', value: { account: text, blocked: true } },
      { case: 'requestConsent', value: { account: text } },
      { case: 'putSettings', value: { reachable: [text] } },
      { case: 'createRoom', value: { room: text, kind: 1, commit: {} } },
    ]
    for (const request of requests) assert.equal(await client.refused(request, channel), 'MALFORMED', request.case)
    const value = { deviceId: text, signature: new Uint8Array(64) }
    assert.equal(await client.refused({ case: 'authenticate', value }), 'UNAUTHENTICATED')
    const lookUp = { case: 'lookUp', value: { kind: 1, value: text } } as const
    assert.equal(await client.refused(lookUp, channel), 'NOT_REACHABLE')
    const foreign = { case: 'lookUp', value: { kind: 2, value: 'x', network: text } } as const
    assert.equal(await client.refused(foreign, channel), 'NOT_OPTED_IN')
  }
  const many = Array.from({ length: 5000 }, () => ({ room: 'x' }))
  assert.equal(await client.refused({ case: 'acknowledge', value: { cursors: many } }, channel), 'MALFORMED')
  const faults = [...service.counted, ...service.world.counted].filter((each) => each.startsWith('faults'))
  assert.deepEqual(faults, [])
})

describe('delivery', () => {
  async function conversation(service: Awaited<ReturnType<typeof open>>) {
    const [alice, bob] = [await service.world.device(), await service.world.device()]
    const room = await alice.create('direct', bob.account)
    await alice.receive()
    await bob.receive()
    await service.world.hub.answerRoom(bob.asker, room, true)
    return { alice, bob, room }
  }

  test('what waited comes in order, then CaughtUp, then what is new', async () => {
    await using service = await open()
    const { alice, bob, room } = await conversation(service)
    for (const words of ['1', '2', '3']) await alice.send(room, words)
    const client = await service.connect()
    const channel = await client.resume(bob)
    await client.event('caughtUp', channel)
    const seqs = client.events
      .filter(({ body }) => body.case === 'deliver')
      .map(({ body }) => (body.value as { seq: bigint }).seq)
    assert.deepEqual(seqs, [2n, 3n, 4n])
    client.events.length = 0
    await alice.send(room, '4')
    assert.equal((await client.event('deliver', channel)).seq, 5n)
    await client.expect('done', { case: 'acknowledge', value: { cursors: [{ room, seq: 4n }] } }, channel)
    client.pipe.close()

    const again = await service.connect()
    await again.resume(bob)
    assert.equal((await again.event('deliver')).seq, 5n)
    await again.event('caughtUp')
    assert.equal(
      again.events.some(({ body }) => body.case === 'deliver'),
      false,
    )
  })

  test('nothing is delivered before Resume', async () => {
    await using service = await open()
    const { alice, bob, room } = await conversation(service)
    await alice.send(room, '1')
    const client = await service.connect()
    await client.authenticate(bob)
    await alice.send(room, '2')
    await sleep(20)
    assert.deepEqual(client.events, [])
  })

  test('no more is under way than the window allows', async () => {
    await using service = await open()
    const { alice, bob, room } = await conversation(service)
    for (let i = 0; i < 5; i++) await alice.send(room, `${i}`)
    const client = await service.connect()
    const channel = await client.resume(bob, 2)
    const delivered = () => client.events.filter(({ body }) => body.case === 'deliver').length
    await client.until(() => (delivered() === 2 ? true : undefined))
    await sleep(20)
    assert.equal(delivered(), 2)
    await client.expect('done', { case: 'acknowledge', value: { cursors: [{ room, seq: 2n }] } }, channel)
    await client.until(() => (delivered() === 3 ? true : undefined))
    await client.expect('done', { case: 'acknowledge', value: { cursors: [{ room, seq: 4n }] } }, channel)
    await client.until(() => (delivered() === 5 ? true : undefined))
    await client.expect('done', { case: 'acknowledge', value: { cursors: [{ room, seq: 6n }] } }, channel)
    await client.event('caughtUp')
  })

  test('a reader whose pipe is full is delivered nothing more until it empties', async () => {
    await using service = await open({ pauseBytes: 500, pauseMs: 5 })
    const { alice, bob, room } = await conversation(service)
    for (let i = 0; i < 4; i++) await alice.send(room, `${i}`)
    const [ours, theirs] = inProcessPipe()
    let stuck = 0
    service.gateway.connect({
      send: (frame) => theirs.send(frame),
      onFrame: (listener) => theirs.onFrame(listener),
      onClose: (listener) => theirs.onClose(listener),
      close: (code, reason) => theirs.close(code, reason),
      get buffered() {
        return stuck
      },
    })
    const client = await openClient(ours)
    stuck = 1000
    await client.resume(bob)
    await sleep(30)
    assert.deepEqual(client.events, [])
    stuck = 0
    await client.event('caughtUp')
    stuck = 64 * 1024 * 1024
    client.raw({ id: 50n, request: { case: 'ping', value: {} } as never })
    assert.equal((await client.whenClosed()).code, 1013)
  })

  test('an unlinked device is told so and hears nothing more', async () => {
    await using service = await open()
    const { alice, bob, room } = await conversation(service)
    const tablet = await bob.account.link()
    await tablet.join(room)
    const client = await service.connect()
    const channel = await client.resume(tablet)
    await client.event('caughtUp', channel)
    await bob.account.unlink(tablet)
    await client.event('unlinked', channel)
    assert.equal(await client.refused({ case: 'listRooms', value: {} }, channel), 'UNAUTHENTICATED')
    const value = { deviceId: tablet.deviceId, signature: client.proof(tablet) }
    assert.equal(await client.refused({ case: 'authenticate', value }), 'UNLINKED')
    await alice.receive()
    assert.equal(
      client.events.some(({ body }) => body.case === 'deliver'),
      false,
    )
  })

  test('going away is said, and the pipe closed with 1001', async () => {
    await using service = await open()
    const client = await service.connect()
    service.gateway.drain()
    await client.event('goingAway')
    assert.equal((await client.whenClosed()).code, 1001)
    const [ours, theirs] = inProcessPipe()
    const closed = new Promise<number>((resolve) => ours.onClose(resolve))
    service.gateway.connect(theirs)
    assert.equal(await closed, 1001)
  })
})

describe('linking', () => {
  test('a payload reaches the one who waits at the rendezvous, once', async () => {
    await using service = await open()
    const primary = await service.world.device()
    const [waiting, phone] = [await service.connect(), await service.connect()]
    const channel = await phone.authenticate(primary)
    const rendezvous = crypto.randomBytes(16)
    const payload = Uint8Array.of(1, 2, 3)
    const complete = { case: 'completeLink', value: { rendezvous, payload } } as const
    assert.equal(await phone.refused(complete, channel), 'NOT_FOUND')
    await waiting.expect('done', { case: 'openLink', value: { rendezvous } })
    await phone.expect('done', complete, channel)
    assert.deepEqual((await waiting.event('linkCompleted')).payload, payload)
    assert.equal(await phone.refused(complete, channel), 'NOT_FOUND')
    const back = await service.connect()
    await back.expect('done', { case: 'openLink', value: { rendezvous } })
    assert.deepEqual((await back.event('linkCompleted')).payload, payload)
  })

  test('a rendezvous ends with its time, and keeps its connection until then', async () => {
    await using service = await open({ unauthenticatedMs: 1_000 })
    const primary = await service.world.device()
    const waiting = await service.connect()
    const rendezvous = crypto.randomBytes(16)
    await waiting.expect('done', { case: 'openLink', value: { rendezvous } })
    await sleep(1_500)
    assert.equal(waiting.closed, undefined)
    service.world.clock.now += 10 * 60_000 + 1
    const phone = await service.connect()
    const channel = await phone.authenticate(primary)
    const value = { rendezvous, payload: Uint8Array.of(1) }
    assert.equal(await phone.refused({ case: 'completeLink', value }, channel), 'NOT_FOUND')
  })
})

describe('networks behind an edge', () => {
  async function withEdge() {
    const service = await open({ resolveMs: 60 })
    const token = service.token(service.world.token('edge'))
    const edge = await service.connect()
    await edge.expect('done', { case: 'serveNetwork', value: { network: 'matrix', accessToken: token } })
    return { service, edge, token }
  }

  test('a look-up is answered by the edge that serves the network', async () => {
    const { service, edge } = await withEdge()
    await using _ = service
    const [alice, ghost] = [await service.world.device(), await service.world.device('edge')]
    const phone = await service.connect()
    const channel = await phone.authenticate(alice)
    const lookUp = { case: 'lookUp', value: { kind: 2, network: 'matrix', value: '@bob:example.org' } } as const
    assert.equal(await phone.refused(lookUp, channel), 'NOT_OPTED_IN')
    await phone.expect('settings', { case: 'putSettings', value: { reachable: ['matrix'] } }, channel)
    const found = phone.ask(lookUp, channel)
    const request = await edge.event('resolveRequest')
    assert.equal(request.value, '@bob:example.org')
    const value = { resolve: request.resolve, account: ghost.account.address }
    await edge.expect('done', { case: 'answerResolve', value })
    assert.equal(((await found).value as { account: string }).account, ghost.account.address)
    assert.equal(await edge.refused({ case: 'answerResolve', value }), 'NOT_FOUND')

    const unwilling = phone.ask(lookUp, channel)
    const second = await edge.event('resolveRequest')
    await edge.expect('done', { case: 'answerResolve', value: { resolve: second.resolve, account: '' } })
    assert.equal(((await unwilling).value as { code: number }).code, ErrorCode.NOT_REACHABLE)

    const away = phone.ask(lookUp, channel)
    const lost = await edge.event('resolveRequest')
    const code = ErrorCode.SERVER_UNREACHABLE
    await edge.expect('done', { case: 'answerResolve', value: { resolve: lost.resolve, code } })
    const { value: error } = (await away) as { value: { code: number; retry: boolean } }
    assert.deepEqual([error.code, error.retry], [code, true])

    const foreign = phone.ask(lookUp, channel)
    const third = await edge.event('resolveRequest')
    const posing = { resolve: third.resolve, account: alice.account.address }
    await edge.expect('done', { case: 'answerResolve', value: posing })
    assert.equal(((await foreign).value as { code: number }).code, ErrorCode.NOT_REACHABLE)
  })

  test('an edge that is slow or gone is a passing fault', async () => {
    const { service, edge } = await withEdge()
    await using _ = service
    const alice = await service.world.device()
    await service.world.hub.putPreferences(alice.asker, { reachable: ['matrix', 'other'], unreachable: [] })
    const phone = await service.connect()
    const channel = await phone.authenticate(alice)
    const lookUp = (network: string) => ({ case: 'lookUp', value: { kind: 2, network, value: 'x' } }) as const
    assert.equal(await phone.refused(lookUp('other'), channel), 'UNAVAILABLE')
    assert.equal(await phone.refused(lookUp('matrix'), channel), 'UNAVAILABLE')
    const asked = phone.refused(lookUp('matrix'), channel)
    await edge.event('resolveRequest')
    await edge.event('resolveRequest')
    edge.pipe.close()
    assert.equal(await asked, 'UNAVAILABLE')
    assert.equal(await phone.refused(lookUp('matrix'), channel), 'UNAVAILABLE')
  })

  test('only an edge serves, and only its own network', async () => {
    const { service, token } = await withEdge()
    await using _ = service
    const client = await service.connect()
    const person = service.token(service.world.token())
    const serve = (network: string, accessToken: string) =>
      client.refused({ case: 'serveNetwork', value: { network, accessToken } })
    assert.equal(await serve('matrix', person), 'NOT_ALLOWED')
    assert.equal(await serve('other', token), 'NOT_ALLOWED')
    assert.equal(await serve('matrix', 'none'), 'BAD_TOKEN')
  })
})

test('what a device submits enters the log in the order in which it was sent', async () => {
  await using service = await open()
  const [alice, bob] = [await service.world.device(), await service.world.device()]
  const room = await alice.create('direct', bob.account)
  await alice.receive()
  await service.world.hub.answerRoom(bob.asker, room, true)
  const client = await service.connect()
  const channel = await client.authenticate(alice)
  const messages = []
  for (let i = 0; i < 10; i++) messages.push(await alice.message(room, `${i}`))
  const answers = await Promise.all(
    messages.map(({ message }) =>
      client.expect(
        'accepted',
        { case: 'submitMessage', value: { room, idempotencyKey: randomKey(), message } },
        channel,
      ),
    ),
  )
  assert.deepEqual(
    answers.map(({ seq }) => seq),
    [2n, 3n, 4n, 5n, 6n, 7n, 8n, 9n, 10n, 11n],
  )
  assert.deepEqual(await bob.receive(), ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9'])
})

describe('a fault inside', () => {
  test('is told with the error itself by whoever has it, and the client learns nothing of it', async () => {
    await using service = await open()
    const { world, faults } = service
    const device = await world.device()
    const client = await service.connect()
    const channel = await client.authenticate(device)
    const ask = () => client.refused({ case: 'listRooms', value: {} }, channel)

    const listRooms = world.hub.listRooms
    const bug = new TypeError('nobody thought of this')
    world.hub.listRooms = () => Promise.reject(bug)
    assert.equal(await ask(), 'UNAVAILABLE')
    assert.deepEqual([faults, world.faults], [[{ error: bug, where: 'gateway' }], []])
    assert.ok(service.counted.includes('faults gateway'))

    world.hub.listRooms = listRooms
    await world.database.query('alter table hub.room rename to room_that_was')
    assert.equal(await ask(), 'UNAVAILABLE')
    assert.equal(faults.length, 1, 'the hub has told of it')
    assert.deepEqual(
      world.faults.map(({ error, where }) => [where, error instanceof StoreError]),
      [['store-failed', true]],
    )
    assert.ok(world.counted.includes('faults store-failed'))
  })
})
