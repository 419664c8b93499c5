import {
  type CborPair,
  checkCbor,
  decodeCbor,
  encodeCbor,
  itemsOf,
  pairsOf,
  rawArray,
  rawMap,
  readArray,
} from '../cbor/index.ts'
import { utf8 } from '../crypto/index.ts'
import { asContentError, ContentError } from './errors.ts'
import { contentLimits, maxExtensionDepth, maxTopicBytes } from './limits.ts'
import { messageIdLength, requireKnownHash } from './message-id.ts'
import { readPart, writePart } from './part-codec.ts'
import type { Expiration, MimiContent } from './types.ts'

const saltLength = 16
const extensionKey = { sender: 1, room: 2 } as const
const max32 = 0xffff_ffff
const name = 'message'

/**
 * Reads a message (media type application/mimi-content). Size, depth and number of items are bounded before anything is
 * built. Only the deterministic encoding is taken, so `encodeContent` gives the same bytes again. What the sender wrote
 * about sender and room is theirs to write: compare it with the group's before showing it. Throws ContentError and
 * nothing else.
 */
export function decodeContent(bytes: Uint8Array): MimiContent {
  return asContentError(name, () => {
    checkCbor(bytes, contentLimits)
    const items = itemsOf(bytes)
    if (items.length !== 7) throw new ContentError('malformed', 'a message has seven fields')
    const [salt, replaces, topicId, expires, inReplyTo, extensions, body] = items as FieldBytes
    // fields of one kind each, so that a reader by kinds can take them; the map is kept in pieces as it came
    const fields = readArray([salt, replaces, topicId, expires, inReplyTo, body].map(decodeItem), name)
    const content: Omit<MimiContent, 'body'> = { salt: fields.bytes(saltLength) }
    const replaced = fields.bytesOrNull(messageIdLength)
    if (replaced) content.replaces = requireKnownHash(replaced)
    const topic = fields.bytesUpTo(maxTopicBytes)
    if (topic.length > 0) content.topicId = topic
    const expiration = fields.any()
    if (expiration !== null) content.expires = readExpiration(expiration)
    const answered = fields.bytesOrNull(messageIdLength)
    if (answered) content.inReplyTo = requireKnownHash(answered)
    return { ...content, ...readExtensions(extensions), body: readPart(fields.any()) }
  })
}

/** The deterministic encoding of a message. Throws ContentError for what `decodeContent` would refuse. */
export function encodeContent(content: MimiContent): Uint8Array {
  const { salt, replaces = null, topicId = new Uint8Array(), expires, inReplyTo = null, body } = content
  const bytes = asContentError(name, () =>
    rawArray([
      ...[salt, replaces, topicId, expires ? [expires.relative, expires.seconds] : null, inReplyTo].map(encodeCbor),
      writeExtensions(content),
      encodeCbor(writePart(body)),
    ]),
  )
  // one rule for both ways: what a peer would refuse is not sent
  decodeContent(bytes)
  return bytes
}

type FieldBytes = [Uint8Array, Uint8Array, Uint8Array, Uint8Array, Uint8Array, Uint8Array, Uint8Array]

function decodeItem(bytes: Uint8Array): unknown {
  return decodeCbor(bytes, contentLimits)
}

function readExpiration(value: unknown): Expiration {
  const fields = readArray(value, 'expires')
  const expiration = { relative: fields.boolean(), seconds: fields.unsigned(max32) }
  fields.end()
  return expiration
}

function readExtensions(bytes: Uint8Array): Pick<MimiContent, 'sender' | 'room' | 'extensions'> {
  const read: Pick<MimiContent, 'sender' | 'room' | 'extensions'> = {}
  const others = new Map<number | string, Uint8Array>()
  // the walk over the message has checked the rest of §6; only the depth is stricter here
  checkCbor(bytes, { ...contentLimits, depth: maxExtensionDepth })
  for (const { key, value } of pairsOf(bytes)) {
    const decoded = decodeItem(key)
    if (decoded === extensionKey.sender) read.sender = readUri(value)
    else if (decoded === extensionKey.room) read.room = readUri(value)
    else others.set(readKey(decoded), value.slice())
  }
  if (others.size > 0) read.extensions = others
  return read
}

function readUri(bytes: Uint8Array): string {
  return readArray([decodeItem(bytes)], 'extension').text(contentLimits.bytes)
}

function readKey(key: unknown): number | string {
  if (typeof key === 'number') return key
  if (typeof key === 'string' && key !== '' && utf8(key).length <= 255) return key
  throw new ContentError('malformed', 'an extension key that is neither an integer nor a text of up to 255 bytes')
}

function writeExtensions({ sender, room, extensions = new Map() }: MimiContent): Uint8Array {
  const pairs: CborPair[] = [...extensions].map(([key, value]) => ({ key: encodeCbor(key), value }))
  if (sender !== undefined) pairs.push({ key: encodeCbor(extensionKey.sender), value: encodeCbor(sender) })
  if (room !== undefined) pairs.push({ key: encodeCbor(extensionKey.room), value: encodeCbor(room) })
  return rawMap(pairs)
}
