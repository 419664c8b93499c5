import { decodeCbor, encodeCbor, readArray } from '../cbor/index.ts'
import { asContentError } from './errors.ts'
import { documentLimits } from './limits.ts'
import { bodyOfType, mediaTypes, singlePart } from './media-type.ts'
import { messageIdLength, requireKnownHash } from './message-id.ts'
import { type ContentDraft, disposition, type MimiContent } from './types.ts'

const kinds = ['full', 'partial', 'dropped', 'rejected', 'delivered'] as const

/**
 * What became of a message behind an edge. `full` and `partial`: it was handed over, whole or with a loss that `code`
 * names. `dropped`: the network has nothing like it and it was left out. `rejected`: it was refused, and the sender may
 * do something about it. `delivered`: the foreign network has confirmed it.
 */
export type OutcomeKind = (typeof kinds)[number]

export interface Outcome {
  /** The message it is about. */
  messageId: Uint8Array
  outcome: OutcomeKind
  /** Why, in kebab-case, for a program: `formatting-simplified`, `not-opted-in`. Empty when there is nothing to say. */
  code: string
  /** For a person, in English; holds nothing of the message. At most 512 UTF-16 units. */
  detail?: string
}

const maxCodeLength = 64
const maxDetailLength = 512
const name = 'outcome'

/** A message that reports an outcome (media type application/vnd.silta.outcome+cbor: `[id, outcome, code, detail or null]`). */
export function outcomeMessage({ messageId, outcome, code, detail = '' }: Outcome): ContentDraft {
  const bytes = asContentError(name, () => encodeCbor([messageId, outcome, code, detail || null]))
  decodeOutcome(bytes)
  return { body: singlePart(mediaTypes.outcome, bytes, disposition.unspecified) }
}

/** The outcome that a message reports; undefined for another message. Throws ContentError when it cannot be read. */
export function readOutcome(content: Pick<MimiContent, 'body'>): Outcome | undefined {
  const bytes = bodyOfType(content, mediaTypes.outcome)
  return bytes && decodeOutcome(bytes)
}

function decodeOutcome(bytes: Uint8Array): Outcome {
  return asContentError(name, () => {
    const fields = readArray(decodeCbor(bytes, documentLimits), name)
    const outcome: Outcome = {
      messageId: requireKnownHash(fields.bytes(messageIdLength)),
      outcome: fields.oneOf(kinds),
      code: fields.text(maxCodeLength),
    }
    const detail = fields.textOrNull(maxDetailLength)
    fields.end()
    if (detail !== undefined) outcome.detail = detail
    return outcome
  })
}
