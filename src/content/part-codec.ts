import { type ArrayReader, readArray } from '../cbor/index.ts'
import { ContentError } from './errors.ts'
import { contentLimits, maxParts } from './limits.ts'
import type { ExternalPart, Part, PartSemantics } from './types.ts'

const cardinality = { null: 0, single: 1, external: 2, multi: 3 } as const
/** Positions are the draft's numbers. */
const semantics: readonly PartSemantics[] = ['chooseOne', 'singleUnit', 'processAll']

const max8 = 0xff
const max16 = 0xffff
const max32 = 0xffff_ffff
// the whole message is bounded before it is decoded; its parts need no bound of their own
const anyLength = contentLimits.bytes

/** The items of a NestedPart. */
export function writePart(part: Part): unknown[] {
  const head = [part.disposition, part.language, cardinality[part.cardinality]]
  switch (part.cardinality) {
    case 'null':
      return head
    case 'single':
      return [...head, part.contentType, part.content]
    case 'external':
      return [...head, ...writeExternal(part)]
    case 'multi':
      return [...head, semantics.indexOf(part.semantics), part.parts.map(writePart)]
  }
}

function writeExternal(part: ExternalPart): unknown[] {
  const { contentType, url, expires, size, encAlg, key, nonce, aad, hashAlg, contentHash, description, filename } = part
  return [contentType, url, expires, size, encAlg, key, nonce, aad, hashAlg, contentHash, description, filename]
}

/** Reads a NestedPart from its decoded items, which the limits of the message have bounded in depth. */
export function readPart(value: unknown): Part {
  const count = { parts: 0 }
  return readNested(value, count)
}

function readNested(value: unknown, count: { parts: number }): Part {
  if (++count.parts > maxParts) throw new ContentError('too-many-items', `more than ${maxParts} parts`)
  const fields = readArray(value, 'part')
  const base = { disposition: fields.unsigned(max8), language: fields.text(anyLength) }
  const part = readBody(fields, base, count)
  fields.end()
  return part
}

function readBody(
  fields: ArrayReader,
  base: { disposition: number; language: string },
  count: { parts: number },
): Part {
  switch (fields.unsigned(cardinality.multi)) {
    case cardinality.null:
      return { ...base, cardinality: 'null' }
    case cardinality.single:
      return {
        ...base,
        cardinality: 'single',
        contentType: fields.text(anyLength),
        content: fields.bytesUpTo(anyLength),
      }
    case cardinality.external:
      return { ...base, cardinality: 'external', ...readExternal(fields) }
    default: {
      const chosen = semantics[fields.unsigned(semantics.length - 1)]!
      const parts = fields.array().map((part) => readNested(part, count))
      if (parts.length < 2) throw new ContentError('malformed', 'a multi part of fewer than two parts')
      return { ...base, cardinality: 'multi', semantics: chosen, parts }
    }
  }
}

function readExternal(fields: ArrayReader) {
  return {
    contentType: fields.text(anyLength),
    url: fields.text(anyLength),
    expires: fields.unsigned(max32),
    size: fields.unsigned64(),
    encAlg: fields.unsigned(max16),
    key: fields.bytesUpTo(anyLength),
    nonce: fields.bytesUpTo(anyLength),
    aad: fields.bytesUpTo(anyLength),
    hashAlg: fields.unsigned(max8),
    contentHash: fields.bytesUpTo(anyLength),
    description: fields.text(anyLength),
    filename: fields.text(anyLength),
  }
}
