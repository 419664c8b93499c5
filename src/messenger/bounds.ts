import { type DescField, type DescMessage, ScalarType } from '@bufbuild/protobuf'

/** Wire types of protobuf; groups (3 and 4) are in no schema of ours. */
const wire = { varint: 0, fixed64: 1, bytes: 2, fixed32: 5 } as const

/** What a field may look like on the wire. */
interface Form {
  readonly wire: number
  /** A list of numbers, which may come in one piece. */
  readonly packable: boolean
  readonly message: Form[] | undefined
}

/** Deeper than any request is. A schema that is recursive one day is not to take the stack along. */
const deepest = 8
/** A number takes ten bytes at most. */
const longestVarint = 10

/**
 * Whether these bytes can be a message of the schema with so many values at most: fields, at any depth, and elements of
 * lists. A decoder makes an object of a value that takes two bytes, so eight megabytes would become half a gigabyte and
 * hold the process for a second. Looks at tags and lengths alone, and is strict about them, so that the decoder behind it
 * cannot come to other values than were counted.
 */
export function withinBounds(schema: DescMessage, bytes: Uint8Array, most: number): boolean {
  let at = 0
  let left = most

  /** A number of 32 bits; undefined where there is none. */
  const uint32 = (end: number): number | undefined => {
    let value = 0
    for (let shift = 0; shift < 35 && at < end; shift += 7) {
      const byte = bytes[at++]!
      if (shift === 28 && byte > 0x0f) return undefined
      value += (byte & 0x7f) * 2 ** shift
      if (byte < 0x80) return value
    }
    return undefined
  }

  const skipVarint = (end: number): boolean => {
    const last = Math.min(end, at + longestVarint)
    while (at < last) if (bytes[at++]! < 0x80) return true
    return false
  }

  /** Elements of a list of numbers in one piece. */
  const packed = (element: number, end: number): boolean => {
    if (element !== wire.varint) {
      const size = element === wire.fixed64 ? 8 : 4
      left -= Math.ceil((end - at) / size)
      at = end
      return left >= 0
    }
    while (at < end) if (--left < 0 || !skipVarint(end)) return false
    return true
  }

  const fields = (forms: Form[] | undefined, end: number, depth: number): boolean => {
    if (depth > deepest) return false
    while (at < end) {
      const tag = uint32(end)
      if (tag === undefined || tag < 8 || --left < 0) return false
      const type = tag & 7
      const form = forms?.[tag >>> 3]
      const inOnePiece = form?.packable === true && type === wire.bytes
      if (form && type !== form.wire && !inOnePiece) return false
      if (type === wire.varint) {
        if (!skipVarint(end)) return false
      } else if (type === wire.fixed64) at += 8
      else if (type === wire.fixed32) at += 4
      else if (type === wire.bytes) {
        const length = uint32(end)
        if (length === undefined || length > end - at) return false
        if (inOnePiece) {
          if (!packed(form.wire, at + length)) return false
        } else if (form?.message) {
          if (!fields(form.message, at + length, depth + 1)) return false
        } else at += length
      } else return false
      if (at > end) return false
    }
    return true
  }

  return fields(formsOf(schema), bytes.length, 1)
}

const known = new Map<DescMessage, Form[]>()

/** The fields of a message by their numbers, which are small. */
function formsOf(schema: DescMessage): Form[] {
  const before = known.get(schema)
  if (before) return before
  const forms: Form[] = []
  // Known before its fields are looked at: a message may contain itself.
  known.set(schema, forms)
  for (const field of schema.fields) forms[field.number] = formOf(field)
  return forms
}

function formOf(field: DescField): Form {
  const whole = field.fieldKind === 'message' || (field.fieldKind === 'list' && field.listKind === 'message')
  const message = whole ? formsOf(field.message) : undefined
  const type = wireOf(field)
  return { wire: type, packable: field.fieldKind === 'list' && type !== wire.bytes, message }
}

function wireOf(field: DescField): number {
  if ('enum' in field && field.enum) return wire.varint
  switch (field.fieldKind === 'map' ? undefined : field.scalar) {
    case undefined:
    case ScalarType.STRING:
    case ScalarType.BYTES:
      return wire.bytes
    case ScalarType.DOUBLE:
    case ScalarType.FIXED64:
    case ScalarType.SFIXED64:
      return wire.fixed64
    case ScalarType.FLOAT:
    case ScalarType.FIXED32:
    case ScalarType.SFIXED32:
      return wire.fixed32
    default:
      return wire.varint
  }
}
