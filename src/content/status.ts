import { decodeCbor, encodeCbor, readArray } from '../cbor/index.ts'
import { asContentError, ContentError } from './errors.ts'
import { documentLimits } from './limits.ts'
import { bodyOfType, mediaTypes, singlePart } from './media-type.ts'
import { messageIdLength, requireKnownHash } from './message-id.ts'
import { type ContentDraft, disposition, type MimiContent } from './types.ts'

/** draft-mahy-mimi-message-status-01 §3; positions are its numbers. */
const statuses = ['unread', 'delivered', 'read', 'expired', 'deleted', 'hidden', 'error'] as const

/** What became of a message at the one who reports. A number is a status that is not known here, up to 255. */
export type MessageStatus = (typeof statuses)[number] | number

export interface StatusEntry {
  messageId: Uint8Array
  status: MessageStatus
}

const name = 'status report'

/** A report on messages of the same room (media type application/mimi-message-status). */
export function encodeStatusReport(entries: readonly StatusEntry[]): Uint8Array {
  const bytes = asContentError(name, () =>
    encodeCbor(
      entries.map(({ messageId, status }) => [
        messageId,
        typeof status === 'number' ? status : statuses.indexOf(status),
      ]),
    ),
  )
  decodeStatusReport(bytes)
  return bytes
}

/** Reads a report, at most some 1300 entries. Throws ContentError. */
export function decodeStatusReport(bytes: Uint8Array): StatusEntry[] {
  return asContentError(name, () => {
    const entries = readArray([decodeCbor(bytes, documentLimits)], name).array()
    return entries.map((entry) => {
      const fields = readArray(entry, name)
      const messageId = requireKnownHash(fields.bytes(messageIdLength))
      const number = fields.unsigned(255)
      fields.end()
      return { messageId, status: statuses[number] ?? number }
    })
  })
}

/** A message that reports; it is never shown itself. */
export function statusMessage(entries: readonly StatusEntry[]): ContentDraft {
  if (entries.length === 0) throw new ContentError('malformed', 'a report on no message')
  return { body: singlePart(mediaTypes.status, encodeStatusReport(entries), disposition.unspecified) }
}

/** The report that a message is; undefined when it is another message. Throws ContentError when it cannot be read. */
export function readStatus(content: Pick<MimiContent, 'body'>): StatusEntry[] | undefined {
  const bytes = bodyOfType(content, mediaTypes.status)
  return bytes && decodeStatusReport(bytes)
}
