import { create, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf'
import {
  type ChatEnding,
  HubError,
  type HubErrorCode,
  type GuestEnd as HubGuestEnd,
  type ReportReason as HubReportReason,
  type RoomKind as HubRoomKind,
  type Standing,
} from '../hub/index.ts'
import {
  type ClientFrame,
  ClientFrameSchema,
  EntryKind,
  ErrorCode,
  FirstContact,
  GuestEnd,
  ReportReason,
  RoomKind,
  RoomStanding,
  ServerFrameSchema,
} from '../protocol/index.ts'
import { withinBounds } from './bounds.ts'

type FrameInit = Exclude<MessageInitShape<typeof ServerFrameSchema>, { $typeName: string }>
/** An answer or an event, before it is put into a frame. */
export type Body = Exclude<NonNullable<FrameInit['body']>, { case: undefined } | { case?: undefined }>
/** A request as it came. */
export type Request = Exclude<ClientFrame['request'], { case: undefined }>

export function encodeFrame(id: bigint, channel: number, body: Body): Uint8Array {
  return toBinary(ServerFrameSchema, create(ServerFrameSchema, { id, channel, body }))
}

/** Undefined for bytes that are no frame, or one of more than so many values. */
export function decodeFrame(bytes: Uint8Array, values: number): ClientFrame | undefined {
  if (!withinBounds(ClientFrameSchema, bytes, values)) return undefined
  try {
    return fromBinary(ClientFrameSchema, bytes, { readUnknownFields: false })
  } catch {
    return undefined
  }
}

export function errorBody(error: HubError): Body {
  return {
    case: 'error',
    value: {
      code: codeOf(error.code),
      message: error.message,
      retry: error.retry,
      retryAfterMs: Math.min(error.retryAfterMs, 0xffff_ffff),
      room: error.room,
      proposals: [...error.proposals],
      epoch: BigInt(error.epoch),
      ended: error.ended ? toGuestEnd(error.ended) : GuestEnd.GUEST_END_UNSPECIFIED,
    },
  }
}

function codeOf(code: HubErrorCode): ErrorCode {
  return ErrorCode[code.toUpperCase().replaceAll('-', '_') as keyof typeof ErrorCode]
}

/** A chat's end, as a device is told of it now. */
export function chatEnding({ room, endsAt, idleMs }: ChatEnding, now: number) {
  return {
    room,
    endsMs: BigInt(endsAt),
    leftMs: BigInt(Math.max(0, endsAt - now)),
    idleMs: BigInt(idleMs),
  }
}

/** An unsigned number of the wire that a number can hold. Errors: malformed. */
export function numberOf(value: bigint): number {
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw new HubError('malformed')
  return Number(value)
}

const roomKinds: Record<HubRoomKind, RoomKind> = {
  direct: RoomKind.DIRECT,
  group: RoomKind.GROUP,
  guest: RoomKind.GUEST,
  self: RoomKind.SELF,
}
const standings: Record<Standing, RoomStanding> = {
  requested: RoomStanding.REQUESTED,
  accepted: RoomStanding.ACCEPTED,
  declined: RoomStanding.DECLINED,
  left: RoomStanding.LEFT,
}
const contacts = { anyone: FirstContact.ANYONE, consent: FirstContact.CONSENT, nobody: FirstContact.NOBODY } as const
const entryKinds = { message: EntryKind.MESSAGE, commit: EntryKind.COMMIT, proposal: EntryKind.PROPOSAL } as const

const reasons: Record<HubReportReason, ReportReason> = {
  spam: ReportReason.SPAM,
  abuse: ReportReason.ABUSE,
  impersonation: ReportReason.IMPERSONATION,
  other: ReportReason.OTHER,
}

const guestEnds: Record<HubGuestEnd, GuestEnd> = {
  idle: GuestEnd.IDLE,
  revoked: GuestEnd.REVOKED,
  blocked: GuestEnd.GUEST_BLOCKED,
  left: GuestEnd.GUEST_LEFT,
}

export const toGuestEnd = (reason: HubGuestEnd): GuestEnd => guestEnds[reason]
export const toRoomKind = (kind: HubRoomKind): RoomKind => roomKinds[kind]
export const toStanding = (standing: Standing): RoomStanding => standings[standing]
export const toFirstContact = (policy: keyof typeof contacts): FirstContact => contacts[policy]
export const toEntryKind = (kind: keyof typeof entryKinds): EntryKind => entryKinds[kind]

/** Errors: malformed (a number that is no kind). */
export function fromRoomKind(value: RoomKind): HubRoomKind {
  return keyOf(roomKinds, value)
}

/** Errors: malformed. */
export function fromReportReason(value: ReportReason): HubReportReason {
  return keyOf(reasons, value)
}

/** Errors: malformed. */
export function fromFirstContact(value: FirstContact): keyof typeof contacts {
  return keyOf(contacts, value)
}

function keyOf<K extends string, V>(table: Readonly<Record<K, V>>, value: V): K {
  const found = (Object.entries(table) as [K, V][]).find(([, each]) => each === value)
  if (!found) throw new HubError('malformed')
  return found[0]
}
