import { create, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf'
import { concatBytes, utf8 } from '../../crypto/index.ts'
import {
  ClientFrameSchema,
  ErrorCode,
  type Error as ErrorFrame,
  type ServerFrame,
  ServerFrameSchema,
} from '../../protocol/index.ts'
import { ClientError, isProviderCode } from '../errors.ts'

type FrameInit = Exclude<MessageInitShape<typeof ClientFrameSchema>, { $typeName: string }>
/** A request as it is written down: fields that keep their default may be left out. */
export type Request = Exclude<NonNullable<FrameInit['request']>, { case: undefined } | { case?: undefined }>
export type Answer = NonNullable<Exclude<ServerFrame['body'], { case: undefined }>>
export type AnswerOf<C extends Answer['case']> = Extract<Answer, { case: C }>['value']

export function encodeFrame(id: bigint, channel: number, request: Request): Uint8Array {
  return toBinary(ClientFrameSchema, create(ClientFrameSchema, { id, channel, request }))
}

/** Errors: protocol (not a frame, or larger than `limit` bytes). */
export function decodeFrame(bytes: Uint8Array, limit: number): ServerFrame {
  if (bytes.length > limit) throw new ClientError('protocol', 'a frame is larger than the limit')
  try {
    return fromBinary(ServerFrameSchema, bytes)
  } catch (cause) {
    throw new ClientError('protocol', 'a frame cannot be read', { cause })
  }
}

/** What the provider refused, with what it said beside the code. */
export class ProviderRefusal extends ClientError {
  /** DIRECT_ROOM_EXISTS: the room. */
  readonly room: string
  /** WRONG_EPOCH: the room's epoch. */
  readonly epoch: bigint

  constructor(frame: ErrorFrame) {
    const name = (ErrorCode[frame.code] ?? '').toLowerCase().replaceAll('_', '-')
    super(isProviderCode(name) ? name : 'protocol', frame.message || name, {
      retry: frame.retry,
      retryAfterMs: frame.retryAfterMs,
    })
    this.room = frame.room
    this.epoch = frame.epoch
  }
}

/** The value of an answer of that kind. Errors: protocol when it is another kind. */
export function expect<C extends Answer['case']>(answer: Answer, kind: C): AnswerOf<C> {
  if (answer.case !== kind) throw new ClientError('protocol', `expected ${kind}, got ${answer.case}`)
  return answer.value as AnswerOf<C>
}

const sized = (text: string) => {
  const bytes = utf8(text)
  return concatBytes(Uint8Array.of(bytes.length >> 8, bytes.length & 0xff), bytes)
}

/** What a device signs to authenticate: bound to this link's challenge, this provider and this device. */
export function authenticationBytes(challenge: Uint8Array, provider: string, deviceId: string): Uint8Array {
  return concatBytes(utf8('silta messenger v1 authenticate\0'), challenge, sized(provider), sized(deviceId))
}

/** What an account key signs to claim an account: possession of the key, bound to this link and this token. */
export function accountProofBytes(challenge: Uint8Array, accessToken: string): Uint8Array {
  return concatBytes(utf8('silta messenger v1 account\0'), challenge, utf8(accessToken))
}
