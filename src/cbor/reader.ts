import { CborError } from './errors.ts'

/** Takes the items of a decoded array one after another; each call throws CborError 'unexpected' on another kind. */
export interface ArrayReader {
  /** A text of at most `maxLength` UTF-16 units. */
  text(maxLength: number): string
  textOrNull(maxLength: number): string | undefined
  /** A byte string of exactly `length` bytes. */
  bytes(length: number): Uint8Array
  bytesUpTo(maxLength: number): Uint8Array
  bytesOrNull(length: number): Uint8Array | undefined
  bytesUpToOrNull(maxLength: number): Uint8Array | undefined
  /** An integer from 0 to `max` ≤ 2^53 - 1. */
  unsigned(max: number): number
  /** An integer from 0 to 2^64 - 1. */
  unsigned64(): bigint
  boolean(): boolean
  array(): unknown[]
  oneOf<T extends string>(values: readonly T[]): T
  /** Any item that is left, for a reader of its own. */
  any(): unknown
  /** Throws unless all items were taken. */
  end(): void
}

const isUnsigned64 = (item: unknown): boolean =>
  (Number.isSafeInteger(item) && Number(item) >= 0) || (typeof item === 'bigint' && item >= 0n)

/** `what` names the array in messages. */
export function readArray(value: unknown, what: string): ArrayReader {
  if (!Array.isArray(value)) throw new CborError('unexpected', `${what} is not an array`)
  const items: unknown[] = value
  let next = 0

  function take<T>(is: (item: unknown) => item is T): T {
    const position = next++
    const item = items[position]
    if (position >= items.length || !is(item)) throw new CborError('unexpected', `item ${position} of ${what}`)
    return item
  }
  const isText = (maxLength: number) => (item: unknown) => typeof item === 'string' && item.length <= maxLength
  const isBytes = (least: number, most: number) => (item: unknown) =>
    item instanceof Uint8Array && item.length >= least && item.length <= most
  const orNull = (is: (item: unknown) => boolean) => (item: unknown) => item === null || is(item)
  const as = <T>(is: (item: unknown) => boolean) => is as (item: unknown) => item is T

  return {
    text: (maxLength) => take(as<string>(isText(maxLength))),
    textOrNull: (maxLength) => take(as<string | null>(orNull(isText(maxLength)))) ?? undefined,
    bytes: (length) => take(as<Uint8Array>(isBytes(length, length))),
    bytesUpTo: (maxLength) => take(as<Uint8Array>(isBytes(0, maxLength))),
    bytesOrNull: (length) => take(as<Uint8Array | null>(orNull(isBytes(length, length)))) ?? undefined,
    bytesUpToOrNull: (maxLength) => take(as<Uint8Array | null>(orNull(isBytes(0, maxLength)))) ?? undefined,
    unsigned: (max) =>
      take(as<number>((item) => Number.isSafeInteger(item) && Number(item) >= 0 && Number(item) <= max)),
    unsigned64: () => BigInt(take(as<number | bigint>(isUnsigned64))),
    boolean: () => take(as<boolean>((item) => typeof item === 'boolean')),
    array: () => take(as<unknown[]>(Array.isArray)),
    oneOf: <T extends string>(values: readonly T[]) => take(as<T>((item) => values.some((value) => value === item))),
    any: () => take(as<unknown>(() => true)),
    end() {
      if (next !== items.length) throw new CborError('unexpected', `${what} has more items than it should`)
    },
  }
}
