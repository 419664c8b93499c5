import { create, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf'
import {
  ClientFrameSchema,
  ErrorCode,
  type Error as ErrorFrame,
  type GuestEnd,
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
  /** ENDED: why. */
  readonly ended: GuestEnd

  constructor(frame: ErrorFrame) {
    const name = (ErrorCode[frame.code] ?? '').toLowerCase().replaceAll('_', '-')
    super(isProviderCode(name) ? name : 'protocol', frame.message || name, {
      retry: frame.retry,
      retryAfterMs: frame.retryAfterMs,
    })
    this.room = frame.room
    this.epoch = frame.epoch
    this.ended = frame.ended
  }
}

/** The value of an answer of that kind. Errors: protocol when it is another kind. */
export function expect<C extends Answer['case']>(answer: Answer, kind: C): AnswerOf<C> {
  if (answer.case !== kind) throw new ClientError('protocol', `expected ${kind}, got ${answer.case}`)
  return answer.value as AnswerOf<C>
}
