import { MlsError } from './errors.ts'
import { checkSize } from './messages.ts'

/** What anyone can read of a message. `groupId` and `epoch` are absent for a Welcome and a KeyPackage. */
export interface MessagePeek {
  wireFormat: 'public-message' | 'private-message' | 'welcome' | 'group-info' | 'key-package'
  groupId?: Uint8Array
  epoch?: bigint
  contentType?: 'application' | 'proposal' | 'commit'
}

const contentTypes = ['application', 'proposal', 'commit'] as const

/**
 * Reads the head of an MLSMessage (RFC 9420 §6) without decoding it: a few hundred bytes are looked at, whatever its
 * size. It does not say that the message is valid. Throws MlsError 'malformed' or 'too-large'.
 */
export function peekMessage(bytes: Uint8Array): MessagePeek {
  const format = checkSize(bytes)
  const reader = headReader(bytes, 4)
  switch (format) {
    case 'mls_welcome':
      return { wireFormat: 'welcome' }
    case 'mls_key_package':
      return { wireFormat: 'key-package' }
    case 'mls_group_info':
      reader.skip(4) // version and suite of the GroupContext
      return { wireFormat: 'group-info', groupId: reader.vector(), epoch: reader.uint64() }
    case 'mls_private_message':
      return {
        wireFormat: 'private-message',
        groupId: reader.vector(),
        epoch: reader.uint64(),
        contentType: contentType(reader.byte()),
      }
    case 'mls_public_message': {
      const groupId = reader.vector()
      const epoch = reader.uint64()
      const sender = reader.byte()
      if (sender < 1 || sender > 4) throw new MlsError('malformed', 'unknown sender type')
      if (sender <= 2) reader.skip(4) // a member's leaf or an external sender's place
      reader.vector() // authenticated data
      return { wireFormat: 'public-message', groupId, epoch, contentType: contentType(reader.byte()) }
    }
  }
}

function contentType(code: number): 'application' | 'proposal' | 'commit' {
  const type = contentTypes[code - 1]
  if (type === undefined) throw new MlsError('malformed', 'unknown content type')
  return type
}

function headReader(bytes: Uint8Array, start: number) {
  let offset = start
  const skip = (count: number) => {
    if (offset + count > bytes.length) throw new MlsError('malformed', 'message ends early')
    offset += count
    return offset - count
  }
  const byte = () => bytes[skip(1)]!
  /** A length of one, two or four bytes (RFC 9420 §2.1.2). */
  const length = () => {
    const first = byte()
    const extra = [0, 1, 3][first >> 6]
    if (extra === undefined) throw new MlsError('malformed', 'unknown length encoding')
    let value = first & 0x3f
    for (let i = 0; i < extra; i++) value = value * 256 + byte()
    return value
  }
  return {
    byte,
    skip,
    uint64() {
      const at = skip(8)
      return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getBigUint64(at)
    },
    vector() {
      const size = length()
      const at = skip(size)
      return bytes.slice(at, at + size)
    },
  }
}
