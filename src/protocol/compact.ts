/**
 * The messenger protocol's messages for a page that must stay small: `create`, `toBinary` and `fromBinary` as
 * `@bufbuild/protobuf` has them, for what our schema uses, over a table instead of descriptors. The build of the pages puts it
 * in that package's place (`scripts/pages/compact-codecs.ts`); its test compares the two byte by byte.
 *
 * Bytes from outside: what they cost is bounded by their length, and nesting by `deepest`. Unknown fields are passed over.
 */

/** uint64, uint32, bool, enum, string, bytes, message. */
export type Kind = 'U' | 'u' | 'b' | 'e' | 's' | 'y' | 'm'
/** Whether a field is repeated (1) or has presence (2). */
export type Flags = 0 | 1 | 2
/** Number, name, kind, flags, the oneof that it belongs to (or ''), and the message that it holds (or -1). */
export type Field = readonly [number: number, name: string, kind: Kind, flags: Flags, oneof: string, message: number]
/** Fields of all messages, by the message's place in the file. */
export type Table = readonly (readonly Field[])[]

export interface CompactSchema {
  readonly table: Table
  readonly index: number
}

type Value = Record<string, unknown>
interface Choice {
  case: string | undefined
  value?: unknown
}

const deepest = 16

export function schema(table: Table, index: number): CompactSchema {
  return { table, index }
}

/** A message with every field that it lacks at its default. */
export function create({ table, index }: CompactSchema, init: Value = {}): Value {
  const made: Value = {}
  for (const [, name, kind, flags, oneof, message] of table[index]!) {
    const whole = (value: unknown) => (kind === 'm' ? create({ table, index: message }, value as Value) : value)
    if (oneof) {
      const choice = init[oneof] as Choice | undefined
      if (choice?.case === name) made[oneof] = { case: name, value: whole(choice.value) }
      else made[oneof] ??= { case: undefined }
      continue
    }
    const given = init[name]
    if (flags === 1) made[name] = ((given ?? []) as unknown[]).map(whole)
    else if (given !== undefined) made[name] = whole(given)
    else if (kind !== 'm' && flags !== 2) made[name] = defaultOf(kind)
  }
  return made
}

function defaultOf(kind: Kind): unknown {
  if (kind === 'U') return 0n
  if (kind === 's') return ''
  if (kind === 'b') return false
  return kind === 'y' ? new Uint8Array() : 0
}

const encoder = new TextEncoder()
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

export function toBinary({ table, index }: CompactSchema, message: Value): Uint8Array {
  const out: Uint8Array[] = []
  write(table, index, message, out)
  return join(out)
}

function write(table: Table, index: number, message: Value, out: Uint8Array[]): void {
  for (const [number, name, kind, flags, oneof, inner] of table[index]!) {
    let value = message[name]
    if (oneof) {
      const choice = message[oneof] as Choice | undefined
      if (choice?.case !== name) continue
      value = choice.value
    }
    const one = (item: unknown) => {
      if (kind === 's' || kind === 'y' || kind === 'm') {
        const bytes =
          kind === 's'
            ? encoder.encode(item as string)
            : kind === 'y'
              ? (item as Uint8Array)
              : toBinary({ table, index: inner }, item as Value)
        return out.push(varint(number * 8 + 2), varint(bytes.length), bytes)
      }
      return out.push(varint(number * 8), varint(item as number | bigint | boolean))
    }
    if (flags === 1) packed(value as unknown[], number, kind, one, out)
    else if (value !== undefined && (flags === 2 || oneof || !isDefault(kind, value))) one(value)
  }
}

/** Numbers go one after another in one field, as proto3 has it; the rest repeats its field. */
function packed(items: unknown[], number: number, kind: Kind, one: (item: unknown) => void, out: Uint8Array[]): void {
  if (kind === 's' || kind === 'y' || kind === 'm') for (const item of items) one(item)
  else if (items.length > 0) {
    const bytes = join(items.map((item) => varint(item as number | bigint | boolean)))
    out.push(varint(number * 8 + 2), varint(bytes.length), bytes)
  }
}

function isDefault(kind: Kind, value: unknown): boolean {
  return kind === 'y' ? (value as Uint8Array).length === 0 : value === defaultOf(kind)
}

function varint(value: number | bigint | boolean): Uint8Array {
  const bytes: number[] = []
  let rest = BigInt(value)
  for (; rest > 127n; rest >>= 7n) bytes.push(Number(rest & 127n) | 128)
  bytes.push(Number(rest))
  return Uint8Array.from(bytes)
}

function join(parts: readonly Uint8Array[]): Uint8Array {
  const joined = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (const part of parts) {
    joined.set(part, at)
    at += part.length
  }
  return joined
}

/** Errors: RangeError (bytes that end too early or are no such message), TypeError (a text that is not UTF-8). */
export function fromBinary(of: CompactSchema, bytes: Uint8Array): Value {
  return read(of, bytes, create(of), 0)
}

function read({ table, index }: CompactSchema, bytes: Uint8Array, message: Value, depth: number): Value {
  if (depth > deepest) throw new RangeError('nested too deep')
  const fields = table[index]!
  let at = 0
  const number = (): bigint => {
    let value = 0n
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = bytes[at++]
      if (byte === undefined) throw new RangeError('ends too early')
      value |= BigInt(byte & 127) << shift
      if (byte < 128) return BigInt.asUintN(64, value)
    }
    throw new RangeError('a number is too long')
  }
  const piece = (length: number): Uint8Array => {
    if (length > bytes.length - at) throw new RangeError('ends too early')
    at += length
    return bytes.subarray(at - length, at)
  }
  while (at < bytes.length) {
    const tag = Number(number() & 0xffff_ffffn)
    const type = tag & 7
    const field = fields.find(([each]) => each === tag >>> 3)
    if (type === 1 || type === 5) {
      piece(type === 1 ? 8 : 4)
      if (field) throw new RangeError('a field of another type')
    } else if (type === 0) {
      const value = number()
      if (field) put(message, field, numberOf(field[2], value))
    } else if (type === 2) {
      const inside = piece(Number(number()))
      if (!field) continue
      const [, , kind, flags, , inner] = field
      const of = { table, index: inner }
      if (kind === 'm') put(message, field, read(of, inside, present(message, field) ?? create(of), depth + 1))
      else if (kind === 's') put(message, field, decoder.decode(inside))
      else if (kind === 'y') put(message, field, inside.slice())
      else if (flags !== 1) throw new RangeError('a field of another type')
      else for (const value of numbersIn(inside)) put(message, field, numberOf(kind, value))
    } else throw new RangeError('a kind of field that is not used')
  }
  return message
}

function* numbersIn(bytes: Uint8Array): Generator<bigint> {
  let value = 0n
  let shift = 0n
  for (const byte of bytes) {
    value |= BigInt(byte & 127) << shift
    shift += 7n
    if (shift > 70n) throw new RangeError('a number is too long')
    if (byte > 127) continue
    yield BigInt.asUintN(64, value)
    value = shift = 0n
  }
  if (shift > 0n) throw new RangeError('ends too early')
}

/** What a field that comes again is merged into. */
function present(message: Value, [, name, , flags, oneof]: Field): Value | undefined {
  if (flags === 1) return undefined
  const choice = message[oneof] as Choice | undefined
  return ((oneof ? choice?.case === name && choice.value : message[name]) as Value | undefined) || undefined
}

/** Errors: RangeError when the kind is none of a number. */
function numberOf(kind: Kind, value: bigint): unknown {
  if (kind === 's' || kind === 'y' || kind === 'm') throw new RangeError('a field of another type')
  if (kind === 'U') return value
  if (kind === 'b') return value !== 0n
  return Number(kind === 'e' ? BigInt.asIntN(32, value) : BigInt.asUintN(32, value))
}

function put(message: Value, [, name, , flags, oneof]: Field, value: unknown): void {
  if (oneof) message[oneof] = { case: name, value }
  else if (flags === 1) (message[name] as unknown[]).push(value)
  else message[name] = value
}
