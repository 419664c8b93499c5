import { checkCbor, decodeCbor, encodeCbor, itemsOf, rawArray, readArray } from '../cbor/index.ts'
import { asContentError, ContentError } from './errors.ts'
import { contentLimits, documentLimits } from './limits.ts'
import { messageIdLength, requireKnownHash } from './message-id.ts'

/** MessageDerivedValues (draft-ietf-mimi-content-08 §3.6): what a receiver knows of a message besides its content. */
export interface DerivedValues {
  messageId: Uint8Array
  /** Milliseconds since the epoch; or the encoded extended time (tag 1001 of RFC 9581), kept as it came. */
  hubAcceptedTimestamp: bigint | Uint8Array
  mlsGroupId: Uint8Array
  senderLeafIndex: number
  senderClientUrl: string
  senderUserUrl: string
  roomUrl: string
}

const name = 'derived values'
const anyLength = contentLimits.bytes
/** First byte of the head of tag 1001. */
const extendedTime = Uint8Array.of(0xd9, 0x03, 0xe9)

export function decodeDerivedValues(bytes: Uint8Array): DerivedValues {
  return asContentError(name, () => {
    checkCbor(bytes, { ...documentLimits, depth: 8 })
    const items = itemsOf(bytes)
    const time = items[1]
    if (items.length !== 7 || !time) throw new ContentError('malformed', 'derived values have seven fields')
    const isExtended = extendedTime.every((byte, i) => time[i] === byte)
    const decoded = items.map((item, i) => (i === 1 && isExtended ? item.slice() : decodeCbor(item, contentLimits)))
    const fields = readArray(decoded, name)
    return {
      messageId: requireKnownHash(fields.bytes(messageIdLength)),
      hubAcceptedTimestamp: isExtended ? fields.bytesUpTo(anyLength) : fields.unsigned64(),
      mlsGroupId: fields.bytesUpTo(anyLength),
      senderLeafIndex: fields.unsigned(0xffff_ffff),
      senderClientUrl: fields.text(anyLength),
      senderUserUrl: fields.text(anyLength),
      roomUrl: fields.text(anyLength),
    }
  })
}

export function encodeDerivedValues(values: DerivedValues): Uint8Array {
  const { messageId, hubAcceptedTimestamp: time, mlsGroupId, senderLeafIndex } = values
  const bytes = asContentError(name, () =>
    rawArray([
      encodeCbor(messageId),
      time instanceof Uint8Array ? time : encodeCbor(time),
      ...[mlsGroupId, senderLeafIndex, values.senderClientUrl, values.senderUserUrl, values.roomUrl].map(encodeCbor),
    ]),
  )
  decodeDerivedValues(bytes)
  return bytes
}
