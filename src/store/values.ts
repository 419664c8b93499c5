import { StoreError } from './errors.ts'

/** Type numbers of PostgreSQL (pg_type.oid) whose JavaScript form the dialects would choose differently. */
export const bytea = 17
export const int8 = 20
export const byteaArray = 1001
export const int8Array = 1016

/** int8 as number; beyond 2^53 it would change its value silently, so it is refused. */
export function parseInt8(text: string): number {
  const value = Number(text)
  if (!Number.isSafeInteger(value)) throw new StoreError('value', 'an int8 is beyond what a number can hold')
  return value
}

/** The text form of bytea, `\x` and hexadecimal. */
export function parseBytea(text: string): Uint8Array {
  return plainBytes(Buffer.from(text.slice(2), 'hex'))
}

export function serializeBytea(bytes: Uint8Array): string {
  return `\\x${Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex')}`
}

/** A Uint8Array with memory of its own: a Buffer compares unequal to one and may share a pool that others write into. */
export function plainBytes(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes)
}

/**
 * Refuses what the drivers would guess about (objects, dates, undefined, numbers that are none), so that a statement means
 * the same on both.
 */
export function checkParameters(parameters: readonly unknown[]): unknown[] {
  return parameters.map((value, index) => {
    if (Array.isArray(value)) return value.map((element) => checkParameter(element, index))
    return checkParameter(value, index)
  })
}

function checkParameter(value: unknown, index: number): unknown {
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return value
  if (typeof value === 'number') {
    if (Number.isFinite(value)) return value
  } else if (typeof value === 'bigint') return value.toString()
  else if (value instanceof Uint8Array) return value
  throw new StoreError(
    'value',
    `parameter $${index + 1} is neither text, number, boolean, bytes, null nor a list of them`,
  )
}
