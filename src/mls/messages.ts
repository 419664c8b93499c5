import type { MLSMessage } from 'ts-mls'
import { decodeMlsMessage, encodeMlsMessage } from 'ts-mls/message.js'
import { decodeAll } from './decode.ts'
import { MlsError } from './errors.ts'
import { maxKeyPackageBytes, maxMessageBytes, maxTreeMessageBytes } from './limits.ts'

type WireFormat = MLSMessage['wireformat']
type Of<W extends WireFormat> = Extract<MLSMessage, { wireformat: W }>

const wireFormats: Record<number, WireFormat> = {
  1: 'mls_public_message',
  2: 'mls_private_message',
  3: 'mls_welcome',
  4: 'mls_group_info',
  5: 'mls_key_package',
}

/** The wire format by the first four bytes (RFC 9420 §6). Throws MlsError 'malformed' for another version or format. */
function wireFormatOf(bytes: Uint8Array): WireFormat {
  const format = wireFormats[(bytes[2] ?? 0) * 256 + (bytes[3] ?? 0)]
  if (bytes[0] !== 0 || bytes[1] !== 1 || format === undefined)
    throw new MlsError('malformed', 'not a message of MLS 1.0')
  return format
}

function limitOf(format: WireFormat): number {
  if (format === 'mls_welcome' || format === 'mls_group_info') return maxTreeMessageBytes
  return format === 'mls_key_package' ? maxKeyPackageBytes : maxMessageBytes
}

/** The size limit of a message's kind. Throws MlsError 'too-large' or 'malformed'. */
export function checkSize(bytes: Uint8Array): WireFormat {
  const format = wireFormatOf(bytes)
  if (bytes.length > limitOf(format)) throw new MlsError('too-large', 'message too large')
  return format
}

/**
 * A message of one of these kinds; nothing may follow it. The result shares no memory with the input. Throws MlsError
 * 'malformed' or 'too-large'.
 */
export function decodeMessage<W extends WireFormat>(bytes: Uint8Array, ...expected: W[]): Of<W> {
  const format = checkSize(bytes)
  if (!(expected as WireFormat[]).includes(format)) throw new MlsError('malformed', 'a message of another kind')
  return decodeAll(decodeMlsMessage, bytes, 'message') as Of<W>
}

export const encodeMessage: (message: MLSMessage) => Uint8Array = encodeMlsMessage
