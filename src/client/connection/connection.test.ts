import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { create, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf'
import { nodeCrypto } from '../../crypto/node.ts'
import { inProcessPipe } from '../../protocol/in-process-pipe.ts'
import {
  authenticationBytes,
  type ClientFrame,
  ClientFrameSchema,
  ErrorCode,
  type FramePipe,
  ServerFrameSchema,
} from '../../protocol/index.ts'
import { ClientError } from '../errors.ts'
import { connect } from './connection.ts'

type Body = NonNullable<Exclude<MessageInitShape<typeof ServerFrameSchema>, { $typeName: string }>['body']>
interface Side {
  say(id: bigint, channel: number, body: Body): void
  pipe: FramePipe
}

const challenge = new Uint8Array(32).fill(7)
const quick = { reconnectFirst: 5, reconnectMost: 20, requestTimeout: 400, connectTimeout: 200 }

/** A provider that greets and then does what the script says to each frame. */
function scripted(script: (frame: ClientFrame, side: Side, link: number) => void, greet = true) {
  const sides: Side[] = []
  return {
    sides,
    async open(): Promise<FramePipe> {
      const [ours, theirs] = inProcessPipe()
      const side: Side = {
        pipe: theirs,
        say: (id, channel, body) =>
          theirs.send(toBinary(ServerFrameSchema, create(ServerFrameSchema, { id, channel, body }))),
      }
      sides.push(side)
      const link = sides.length
      theirs.onFrame((bytes) => script(fromBinary(ClientFrameSchema, bytes), side, link))
      if (greet) side.say(0n, 0, { case: 'hello', value: { version: 1, challenge, provider: 'p.example' } })
      return ours
    },
  }
}
const lookUp = { case: 'lookUp', value: { value: 'x' } } as const
const refusal = (code: ClientErrorCode) => (error: unknown) => error instanceof ClientError && error.code === code
type ClientErrorCode = ClientError['code']
const device = (events: string[] = []) => {
  const keys = nodeCrypto.generateKeyPair()
  return {
    keys,
    options: {
      deviceId: 'd'.repeat(22),
      sign: (bytes: Uint8Array) => nodeCrypto.sign(keys.privateKey, bytes),
      onOpen: () => void events.push('open'),
      onEvent: (event: { case: string }) => void events.push(event.case),
      onLost: () => void events.push('lost'),
      onRefused: (error: ClientError) => void events.push(error.code),
    },
  }
}

test('answers find their requests in whatever order they come', async () => {
  const held: [bigint, string][] = []
  const provider = scripted((frame, side) => {
    if (frame.request.case !== 'lookUp') return
    held.push([frame.id, frame.request.value.value])
    if (held.length === 2)
      for (const [id, value] of held.reverse()) side.say(id, 0, { case: 'found', value: { account: value } })
  })
  await using connection = connect(provider.open, quick)
  const ask = (value: string) => connection.request({ case: 'lookUp', value: { value } })
  const answers = await Promise.all([ask('one'), ask('two')])
  assert.deepEqual(
    answers.map((answer) => answer.case === 'found' && answer.value.account),
    ['one', 'two'],
  )
})

test('an error frame becomes a ClientError that says whether to try again and what to tell a person', async () => {
  const provider = scripted((frame, side) =>
    side.say(frame.id, 0, { case: 'error', value: { code: ErrorCode.RATE_LIMITED, retry: true, retryAfterMs: 70 } }),
  )
  await using connection = connect(provider.open, quick)
  const error = await connection.request(lookUp).catch((e: unknown) => e)
  assert.ok(error instanceof ClientError)
  assert.deepEqual([error.code, error.retry, error.retryAfterMs], ['rate-limited', true, 70])
  assert.match(error.explanation, /again in a while/)
})

test('a code that this version does not know is a closed one all the same', async () => {
  const provider = scripted((frame, side) =>
    side.say(frame.id, 0, { case: 'error', value: { code: 999 as ErrorCode } }),
  )
  await using connection = connect(provider.open, quick)
  await assert.rejects(connection.request(lookUp), refusal('protocol'))
})

test('a request without an answer ends with timeout, one without a link with disconnected', async () => {
  await using silent = connect(scripted(() => {}).open, { ...quick, requestTimeout: 30 })
  await assert.rejects(silent.request(lookUp), refusal('timeout'))
  await using alone = connect(() => Promise.reject(new Error('no route')), { ...quick, requestTimeout: 30 })
  await assert.rejects(alone.request(lookUp), refusal('disconnected'))
})

test('a provider that never greets, or speaks another version, is no link', async () => {
  await using mute = connect(scripted(() => {}, false).open, { ...quick, connectTimeout: 20, requestTimeout: 100 })
  await assert.rejects(mute.hello(), refusal('disconnected'))
  const other = scripted(() => {}, false)
  const open = async () => {
    const pipe = await other.open()
    other.sides.at(-1)?.say(0n, 0, { case: 'hello', value: { version: 2, challenge } })
    return pipe
  }
  await using newer = connect(open, { ...quick, requestTimeout: 100 })
  await assert.rejects(newer.hello(), refusal('disconnected'))
})

test('a broken link rejects what was under way, comes back, and authenticates its devices again', async () => {
  const events: string[] = []
  const { keys, options } = device(events)
  const provider = scripted((frame, side, link) => {
    if (frame.request.case === 'authenticate') {
      const bytes = authenticationBytes(challenge, 'p.example', options.deviceId)
      assert.ok(nodeCrypto.verify(keys.publicKey, bytes, frame.request.value.signature))
      side.say(frame.id, 0, { case: 'authenticated', value: { channel: 5 + link } })
      side.say(0n, 5 + link, { case: 'caughtUp', value: {} })
    } else if (link === 1) side.pipe.close(1001)
    else side.say(frame.id, frame.channel, { case: 'found', value: { account: String(frame.channel) } })
  })
  await using connection = connect(provider.open, quick)
  const channel = connection.channel(options)
  await assert.rejects(channel.request(lookUp), refusal('disconnected'))
  const answer = await channel.request(lookUp)
  assert.ok(answer.case === 'found' && answer.value.account === '7')
  assert.deepEqual(events, ['open', 'caughtUp', 'lost', 'open', 'caughtUp'])
})

test('a channel keeps no answer that was given, and closing it rejects what is under way', async () => {
  const provider = scripted((frame, side) => {
    if (frame.request.case === 'authenticate') side.say(frame.id, 0, { case: 'authenticated', value: { channel: 5 } })
    else if (frame.request.case === 'lookUp')
      side.say(frame.id, frame.channel, { case: 'found', value: { account: 'somebody' } })
  })
  await using connection = connect(provider.open, quick)
  const channel = connection.channel(device().options)
  const given = new WeakRef(await channel.request(lookUp))
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  for (let turn = 0; turn < 100 && given.deref(); turn++) {
    await new Promise((resolve) => setTimeout(resolve, 10))
    collect()
  }
  assert.equal(given.deref(), undefined)
  const underWay = channel.request({ case: 'listRooms', value: {} })
  await new Promise((resolve) => setImmediate(resolve))
  const notYet = channel.request({ case: 'listRooms', value: {} })
  channel.close()
  await assert.rejects(underWay, refusal('closed'))
  await assert.rejects(notYet, refusal('closed'))
  await assert.rejects(channel.request(lookUp), refusal('closed'))
})

test('a device that is refused stays refused; one that is put off tries again', async () => {
  const events: string[] = []
  let tries = 0
  const provider = scripted((frame, side) => {
    const code = tries++ === 0 ? ErrorCode.UNAVAILABLE : ErrorCode.UNLINKED
    side.say(frame.id, 0, { case: 'error', value: { code, retry: code === ErrorCode.UNAVAILABLE } })
  })
  await using connection = connect(provider.open, quick)
  const channel = connection.channel(device(events).options)
  await assert.rejects(channel.request(lookUp), refusal('unlinked'))
  await assert.rejects(channel.request(lookUp), refusal('unlinked'))
  assert.deepEqual([tries, events], [2, ['unlinked']])
})

test('no more devices authenticate at once than the setting says, and all do in the end', async () => {
  let under = 0
  let most = 0
  let number = 0
  const provider = scripted((frame, side) => {
    most = Math.max(most, ++under)
    setTimeout(() => {
      under--
      side.say(frame.id, 0, { case: 'authenticated', value: { channel: ++number } })
    }, 2)
  })
  await using connection = connect(provider.open, { ...quick, authentications: 3 })
  const channels = Array.from({ length: 10 }, () => connection.channel(device().options))
  while (!channels.every(({ open }) => open)) await new Promise((resolve) => setTimeout(resolve, 2))
  assert.ok(most <= 3)
})

test('an unreadable or oversized frame ends the link, not the process', async () => {
  const provider = scripted((_, side, link) => {
    if (link === 1) side.pipe.send(Uint8Array.of(255, 255, 255))
    else if (link === 2) side.pipe.send(new Uint8Array(5000))
  })
  await using connection = connect(provider.open, { ...quick, frameBytes: 4096, requestTimeout: 100 })
  await assert.rejects(connection.request(lookUp), refusal('disconnected'))
  await assert.rejects(connection.request(lookUp), refusal('disconnected'))
  await connection.hello()
  assert.equal(provider.sides.length, 3)
})

test('an idle link is pinged, and given up when it does not answer', async () => {
  const provider = scripted(() => {})
  await using connection = connect(provider.open, { ...quick, pingInterval: 15, pingTimeout: 15 })
  const links: boolean[] = []
  connection.onLink((up) => void links.push(up))
  while (provider.sides.length < 2) await new Promise((resolve) => setTimeout(resolve, 5))
  assert.deepEqual(links.slice(0, 2), [true, false])
})

test('closing rejects what waits and connects no more', async () => {
  const provider = scripted(() => {})
  const connection = connect(provider.open, quick)
  await connection.hello()
  const open = connection.request(lookUp)
  const closing = assert.rejects(open, (error: unknown) => error instanceof ClientError)
  await connection.close()
  await closing
  await assert.rejects(connection.request(lookUp), refusal('closed'))
  assert.equal(provider.sides.length, 1)
})
