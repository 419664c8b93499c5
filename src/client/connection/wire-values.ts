import { type AccountAddress, parseAccountAddress, parseRoomId, type RoomId } from '../../identity/index.ts'
import {
  GuestEnd as WireEnd,
  FirstContact as WireFirstContact,
  RoomKind as WireKind,
  ReportReason as WireReason,
  RoomStanding as WireStanding,
} from '../../protocol/index.ts'
import { ClientError } from '../errors.ts'
import type { FirstContact, GuestEnd, ReportReason, RoomKind, RoomStanding } from '../types.ts'

const kinds: Partial<Record<WireKind, RoomKind>> = {
  [WireKind.DIRECT]: 'direct',
  [WireKind.GROUP]: 'group',
  [WireKind.GUEST]: 'guest',
  [WireKind.SELF]: 'self',
}
const standings: Partial<Record<WireStanding, RoomStanding>> = {
  [WireStanding.REQUESTED]: 'requested',
  [WireStanding.ACCEPTED]: 'accepted',
  [WireStanding.DECLINED]: 'declined',
  [WireStanding.LEFT]: 'left',
}
const policies: Partial<Record<WireFirstContact, FirstContact>> = {
  [WireFirstContact.ANYONE]: 'anyone',
  [WireFirstContact.CONSENT]: 'consent',
  [WireFirstContact.NOBODY]: 'nobody',
}

const ends: Partial<Record<WireEnd, GuestEnd>> = {
  [WireEnd.IDLE]: 'idle',
  [WireEnd.REVOKED]: 'revoked',
  [WireEnd.GUEST_BLOCKED]: 'blocked',
  [WireEnd.GUEST_LEFT]: 'left',
}

const reasons: Partial<Record<WireReason, ReportReason>> = {
  [WireReason.SPAM]: 'spam',
  [WireReason.ABUSE]: 'abuse',
  [WireReason.IMPERSONATION]: 'impersonation',
  [WireReason.OTHER]: 'other',
}

function known<W extends number, T>(table: Partial<Record<W, T>>, value: W): T {
  const found = table[value]
  if (found === undefined) throw new ClientError('protocol', 'a value that this version does not know')
  return found
}
function back<W extends number, T>(table: Partial<Record<W, T>>, value: T): W {
  return Number(Object.keys(table).find((key) => table[Number(key) as W] === value)) as W
}

/** Values of the wire as this room names them. Errors: protocol. */
export const kindOf = (value: WireKind): RoomKind => known(kinds, value)
export const standingOf = (value: WireStanding): RoomStanding => known(standings, value)
export const policyOf = (value: WireFirstContact): FirstContact => known(policies, value)
export const endOf = (value: WireEnd): GuestEnd => known(ends, value)
export const wireKind = (kind: RoomKind): WireKind => back(kinds, kind)
export const wirePolicy = (policy: FirstContact): WireFirstContact => back(policies, policy)

export const wireReason = (reason: ReportReason): WireReason => back(reasons, reason)

export function parseRoom(text: string): RoomId {
  return parsed(() => parseRoomId(text))
}
export function parseAddress(text: string): AccountAddress {
  return parsed(() => parseAccountAddress(text))
}
function parsed<T>(parse: () => T): T {
  try {
    return parse()
  } catch (cause) {
    throw new ClientError('protocol', 'an address that cannot be read', { cause })
  }
}
