import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type DescMessage, fromBinary, create as referenceCreate, toBinary } from '@bufbuild/protobuf'
import * as compact from '../../src/protocol/compact.ts'
import { file_messenger as file } from '../../src/protocol/index.ts'
import fc from '../../test/support/fast-check.ts'
import { compactTable } from './compact-codecs.ts'

const table = compactTable()

/** Any value of a message, as it may be given to `create`: fields may be missing. */
function anyMessage(of: DescMessage, depth: number): fc.Arbitrary<Record<string, unknown>> {
  const alone = of.fields.filter(({ oneof, proto }) => !oneof || proto.proto3Optional)
  const record = Object.fromEntries(alone.map((field) => [field.localName, anyField(field, depth)]))
  const choices = of.oneofs
    .filter(({ fields }) => !fields.some(({ proto }) => proto.proto3Optional))
    .map(({ localName, fields }) => {
      const cases = fields
        .filter(({ message }) => !message || depth > 0)
        .map((field) => anyField(field, depth).map((value) => ({ case: field.localName, value })))
      return [localName, cases.length > 0 ? fc.oneof(...cases) : fc.constant({ case: undefined })] as const
    })
  return fc.record({ ...record, ...Object.fromEntries(choices) }, { requiredKeys: [] }) as fc.Arbitrary<
    Record<string, unknown>
  >
}

function anyField(field: DescMessage['fields'][number], depth: number): fc.Arbitrary<unknown> {
  const one = () => {
    if (field.message) return depth > 0 ? anyMessage(field.message, depth - 1) : fc.constant({})
    if (field.enum) return fc.constantFrom(...field.enum.values.map(({ number }) => number))
    if (field.scalar === 4) return fc.bigInt({ min: 0n, max: 2n ** 64n - 1n })
    if (field.scalar === 8) return fc.boolean()
    if (field.scalar === 9) return fc.string({ unit: 'binary', maxLength: 8 }).map((text) => text.toWellFormed())
    if (field.scalar === 12) return fc.uint8Array({ maxLength: 8 })
    return fc.nat({ max: 2 ** 32 - 1 })
  }
  return field.fieldKind === 'list' ? fc.array(one(), { maxLength: 3 }) : one()
}

/** What the reference knows besides: the type's name, and fields that nobody knows. */
function bare(value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString('hex')
  if (Array.isArray(value)) return value.map(bare)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value)
      .filter(([key]) => !key.startsWith('$'))
      .map(([key, inner]) => [key, bare(inner)]),
  )
}

test('writes and reads every message as the reference does', () => {
  for (const [index, message] of file.messages.entries()) {
    const small = compact.schema(table, index)
    fc.assert(
      fc.property(anyMessage(message, 3), (init) => {
        const theirs = referenceCreate(message, init as never)
        const ours = compact.create(small, init)
        assert.deepEqual(bare(ours), bare(theirs))
        const bytes = toBinary(message, theirs)
        assert.deepEqual(compact.toBinary(small, ours), bytes)
        assert.deepEqual(bare(compact.fromBinary(small, bytes)), bare(fromBinary(message, bytes)))
      }),
      { numRuns: message.name.endsWith('Frame') ? 300 : 10 },
    )
  }
})

test('any bytes are read as the reference reads them, or refused', () => {
  const frame = file.messages.find(({ name }) => name === 'ServerFrame')!
  const small = compact.schema(table, file.messages.indexOf(frame))
  const mutated = anyMessage(frame, 3).chain((init) => {
    const bytes = toBinary(frame, referenceCreate(frame, init as never))
    return fc.tuple(fc.nat({ max: bytes.length }), fc.nat({ max: 255 }), fc.boolean()).map(([at, byte, cut]) => {
      const changed = cut ? bytes.slice(0, at) : bytes.slice()
      if (!cut) changed[at] = byte
      return changed
    })
  })
  const read = (bytes: Uint8Array) => {
    try {
      return bare(compact.fromBinary(small, bytes))
    } catch (error) {
      assert.ok(error instanceof RangeError || error instanceof TypeError, String(error))
      return undefined
    }
  }
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ maxLength: 64 }), mutated), (bytes) => {
      const ours = read(bytes)
      let theirs: unknown
      try {
        theirs = bare(fromBinary(frame, bytes))
      } catch {
        return
      }
      if (ours !== undefined) assert.deepEqual(ours, theirs)
    }),
    { numRuns: 1000 },
  )
})

test('without some cases of the frames, reads and writes the others as before', () => {
  const [frame] = file.messages
  const less = compactTable(new Set(['openInvite', 'listRooms']))
  assert.ok(JSON.stringify(less).length < JSON.stringify(table).length)
  const request = (name: string, value: object) => ({ id: 7n, channel: 1, request: { case: name, value } })
  const bytesOf = (of: compact.Table, given: ReturnType<typeof request>) => {
    const small = compact.schema(of, 0)
    return compact.toBinary(small, compact.create(small, given))
  }
  assert.equal(frame!.name, 'ClientFrame')
  for (const given of [request('leaveRoom', { room: 'a room' }), request('ping', {})])
    assert.deepEqual(bytesOf(less, given), bytesOf(table, given))
  const left = compact.fromBinary(compact.schema(less, 0), bytesOf(table, request('listRooms', {})))
  assert.deepEqual(left.request, { case: undefined })
})
