import assert from 'node:assert/strict'
import { test } from 'node:test'
import { create, type MessageInitShape, toBinary } from '@bufbuild/protobuf'
import { openWorld } from '../hub/testing/world.ts'
import { ClientFrameSchema, ErrorCode } from '../protocol/index.ts'
import { freshDatabase } from '../store/testing.ts'
import { decodeFrame } from './frames.ts'
import { defaultGatewaySettings as settings } from './index.ts'
import { openTestGateway } from './testing/client.ts'

const mebibyte = 1024 * 1024
const room = 'mimi://messenger.example/r/AAAAAAAAAAAAAAAAAAAAAA'

type FrameInit = Exclude<MessageInitShape<typeof ClientFrameSchema>, { $typeName: string }>

function encode(request: NonNullable<FrameInit['request']>): Uint8Array {
  return toBinary(ClientFrameSchema, create(ClientFrameSchema, { id: 1n, channel: 7, request }))
}

/** A frame whose request has this body, whatever that is. */
function frame(request: string, body: Uint8Array): Uint8Array {
  const { number } = ClientFrameSchema.fields.find(({ localName }) => localName === request)!
  return Buffer.concat([Uint8Array.of(8, 1), varint(number * 8 + 2), varint(body.length), body])
}

function varint(value: number): Uint8Array {
  const bytes: number[] = []
  for (; value > 127; value = Math.floor(value / 128)) bytes.push((value & 127) | 128)
  return Uint8Array.of(...bytes, value)
}

const crowded = (bytes: number) => {
  const elements = (field: number) => Buffer.alloc(bytes, Uint8Array.of(field * 8 + 2, 0))
  const numbers = Buffer.concat([Uint8Array.of(2 * 8 + 2), varint(bytes), Buffer.alloc(bytes, 1)])
  return {
    'KeyPackages without a byte': frame('publishKeyPackages', elements(1)),
    'cursors without a byte': frame('acknowledge', elements(1)),
    'Welcomes in one piece': frame('acknowledge', numbers),
    'Welcomes one by one': frame('acknowledge', Buffer.alloc(bytes, Uint8Array.of(2 * 8, 1))),
    'further messages': frame('submitMessage', Buffer.alloc(bytes - (bytes % 3), Uint8Array.of(0xd2, 0x05, 0))),
    'fields that nobody knows': frame('ping', Buffer.alloc(bytes, Uint8Array.of(0x78, 1))),
  }
}

test('millions of values in a frame are refused before anything is made of them', () => {
  for (const [what, bytes] of Object.entries(crowded(7 * mebibyte))) {
    const begun = performance.now()
    assert.equal(decodeFrame(bytes, settings.frameValues), undefined, what)
    // Decoding one took a second; a busy machine is no defect.
    assert.ok(performance.now() - begun < 300, what)
  }
  for (const [what, bytes] of Object.entries(crowded(60))) assert.ok(decodeFrame(bytes, settings.frameValues), what)
})

test('the largest requests that are allowed pass', () => {
  const cursors = Array.from({ length: settings.acknowledgements }, (_, at) => ({ room, seq: BigInt(at + 1) }))
  const welcomes = cursors.map(({ seq }) => seq << 40n)
  const names = (count: number) => Array.from({ length: count }, () => 'AAAAAAAAAAAAAAAAAAAAAA')
  const packages = (count: number) => Array.from({ length: count }, () => new Uint8Array(400))
  const requests = [
    { case: 'acknowledge', value: { cursors } },
    { case: 'acknowledge', value: { welcomes } },
    { case: 'watchDevices', value: { deviceIds: names(settings.watchesAtOnce) } },
    { case: 'publishKeyPackages', value: { keyPackages: packages(200), lastResort: new Uint8Array(400) } },
    { case: 'putManifest', value: { manifest: new Uint8Array(4096), certificates: packages(32) } },
    { case: 'submitMessage', value: { room, further: packages(63).map((message) => ({ message })) } },
    { case: 'submitMessage', value: { room, message: new Uint8Array(2 * mebibyte) } },
  ] as const
  for (const request of requests) {
    const decoded = decodeFrame(encode(request), settings.frameValues)
    assert.equal(decoded?.request.case, request.case)
    assert.deepEqual(encode(decoded!.request as never), encode(request))
  }
})

test('bytes whose fields have other forms than the schema says are no frame', () => {
  const long = Buffer.alloc(200, Uint8Array.of(10, 0))
  // A message written as a number: the decoder would take the number for its length.
  const { number } = ClientFrameSchema.fields.find(({ localName }) => localName === 'acknowledge')!
  const asNumber = Buffer.concat([Uint8Array.of(8, 1), varint(number * 8), varint(long.length), long])
  const inner = frame('acknowledge', Uint8Array.of(10, 20, 10, 0))
  const group = Uint8Array.of(8, 1, 0x7b, 0x7c)
  const wideTag = Uint8Array.of(8, 1, 0x88, 0x80, 0x80, 0x80, 0x10, 1)
  for (const bytes of [asNumber, inner, group, wideTag, Uint8Array.of(0), Uint8Array.of(8)])
    assert.equal(decodeFrame(bytes, settings.frameValues), undefined)
})

test('who sends such a frame is told MALFORMED and closed with 1007', async () => {
  await using database = await freshDatabase()
  await using world = openWorld(database)
  const { connect, gateway } = openTestGateway(world)
  const client = await connect()
  await client.authenticate(await world.device())
  client.pipe.send(crowded(mebibyte)['cursors without a byte'])
  assert.equal((await client.event('error')).code, ErrorCode.MALFORMED)
  assert.equal((await client.whenClosed()).code, 1007)
  gateway.drain()
})
