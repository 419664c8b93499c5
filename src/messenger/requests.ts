import { type Asker, type Hub, HubError } from '../hub/index.ts'
import { type CreateRoom, IdentifierKind, type SubmitCommit } from '../protocol/index.ts'
import type { GatewayContext } from './context.ts'
import {
  type Body,
  fromFirstContact,
  fromReportReason,
  fromRoomKind,
  numberOf,
  type Request,
  toFirstContact,
  toRoomKind,
  toStanding,
} from './frames.ts'
import { accountOf, roomOf } from './names.ts'
import type { Resolvers } from './resolvers.ts'

const done: Body = { case: 'done', value: {} }

/** Answers what an authenticated device asks of the hub. What concerns its own channel is answered there. */
export async function answerDevice(ctx: GatewayContext, asker: Asker, request: Request): Promise<Body> {
  const { hub, resolvers } = ctx
  switch (request.case) {
    case 'putManifest':
      return putManifest(ctx, request.value)
    case 'getManifest': {
      const { account, number } = request.value
      return { case: 'manifest', value: await hub.getManifest(asker, accountOf(account), numberOf(number)) }
    }
    case 'completeLink':
      // Only who can sign a manifest has something to hand over.
      if (asker.deviceKind !== 'primary') throw new HubError('not-allowed')
      await hub.completeLink(request.value.rendezvous, request.value.payload)
      return done
    case 'publishKeyPackages': {
      const { keyPackages, lastResort } = request.value
      const supply = { keyPackages, lastResort: lastResort.length > 0 ? lastResort : undefined }
      return { case: 'keyPackageCount', value: { available: await hub.publishKeyPackages(asker, supply) } }
    }
    case 'claimKeyPackages':
      return { case: 'claimedKeyPackages', value: await hub.claimKeyPackages(asker, accountOf(request.value.account)) }
    case 'lookUp':
      return { case: 'found', value: await lookUp(hub, resolvers, asker, request.value) }
    case 'createRoom':
      return accepted(await hub.createRoom(asker, creationOf(request.value)))
    case 'submitCommit':
      return accepted(await hub.submitCommit(asker, commitOf(request.value)))
    case 'submitMessage': {
      const { room, idempotencyKey: key, message, further } = request.value
      const messages = further.map(({ idempotencyKey, message }) => ({ key: idempotencyKey, message }))
      const places = await hub.submitMessages(asker, { room: roomOf(room), messages: [{ key, message }, ...messages] })
      const [first, ...others] = places.map(placeOf)
      return { case: 'accepted', value: { ...first, further: others } }
    }
    case 'sendEphemeral':
      await hub.sendEphemeral(asker, roomOf(request.value.room), request.value.frame)
      return done
    case 'getGroupInfo': {
      const { groupInfo, manifests, seq, at, invite } = await hub.getGroupInfo(asker, roomOf(request.value.room))
      return { case: 'groupInfo', value: { groupInfo, manifests, seq: BigInt(seq), timestampMs: BigInt(at), invite } }
    }
    case 'listRooms': {
      const rooms = await hub.listRooms(asker)
      return {
        case: 'rooms',
        value: {
          rooms: rooms.map((each) => ({
            room: each.room,
            kind: toRoomKind(each.kind),
            standing: toStanding(each.standing),
            epoch: BigInt(each.epoch),
            seq: BigInt(each.seq),
            joined: each.joined,
            ...(each.other && { other: toStanding(each.other) }),
            lostAfter: BigInt(each.lostAfter),
            lostBefore: BigInt(each.lostBefore),
            lost: each.lost.map(({ after, before }) => ({ after: BigInt(after), before: BigInt(before) })),
          })),
        },
      }
    }
    case 'leaveRoom':
      await hub.leaveRoom(asker, roomOf(request.value.room))
      return done
    case 'answerRoom':
      await hub.answerRoom(asker, roomOf(request.value.room), request.value.accept)
      return done
    case 'getSettings':
      return settings(await hub.getPreferences(asker))
    case 'putSettings': {
      const { firstContact, handle, reachable, unreachable } = request.value
      const change = {
        firstContact: firstContact === undefined ? undefined : fromFirstContact(firstContact),
        handle,
        reachable,
        unreachable,
      }
      return settings(await hub.putPreferences(asker, change))
    }
    case 'block':
      await hub.block(asker, accountOf(request.value.account), request.value.blocked)
      return done
    case 'report': {
      const { room, account, reason } = request.value
      await hub.report(asker, { room: roomOf(room), account: accountOf(account), reason: fromReportReason(reason) })
      return done
    }
    case 'requestConsent':
      await hub.requestConsent(asker, accountOf(request.value.account))
      return done
    case 'answerConsent':
      await hub.answerConsent(asker, accountOf(request.value.account), request.value.granted)
      return done
    case 'putInvite': {
      const { invite, pin, approval, singleUse, shown, replaces, expiresInMs, idleMs } = request.value
      const times = { expiresInMs: numberOf(expiresInMs), idleMs: numberOf(idleMs) }
      return inviteOptions(await hub.putInvite(asker, { invite, pin, approval, singleUse, shown, replaces, ...times }))
    }
    case 'listInvites':
      return invites(await hub.listInvites(asker))
    case 'revokeInvite':
      await hub.revokeInvite(asker, request.value.invite, request.value.keepChats)
      return done
    case 'extendInvite':
      return inviteOptions(await hub.extendInvite(asker, request.value.invite, numberOf(request.value.expiresInMs)))
    case 'answerGuest': {
      const { invite, account, accept } = request.value
      await hub.answerGuest(asker, { invite, account: accountOf(account), accept })
      return done
    }
    default:
      throw new HubError('unsupported')
  }
}

/** What holds of a link. */
export function inviteOptions({ expiresMs, idleMs, ...options }: Awaited<ReturnType<Hub['openInvite']>>): Body {
  const value = { ...options, expiresMs: BigInt(expiresMs), idleMs: BigInt(idleMs) }
  return { case: 'inviteOptions', value }
}

function invites(all: Awaited<ReturnType<Hub['listInvites']>>): Body {
  const list = all.map(({ expiresMs, idleMs, ...each }) => ({
    ...each,
    expiresMs: BigInt(expiresMs),
    idleMs: BigInt(idleMs),
  }))
  return { case: 'invites', value: { invites: list } }
}

/** A room with its first commit. Errors: malformed. */
export function creationOf({ room, kind, groupInfo, commit }: CreateRoom) {
  if (!commit) throw new HubError('malformed')
  return { room: roomOf(room), kind: fromRoomKind(kind), groupInfo, commit: commitOf(commit) }
}

/** Counted for the account that has signed it, whoever brings it. */
export async function putManifest(
  { hub, rates }: GatewayContext,
  documents: { manifest: Uint8Array; certificates: readonly Uint8Array[] },
): Promise<Body> {
  await hub.putManifest(documents, (account) => {
    const waitMs = rates.changes.take(account)
    if (waitMs > 0) throw new HubError('rate-limited', { retryAfterMs: waitMs })
  })
  return done
}

async function lookUp(
  hub: Hub,
  resolvers: Resolvers,
  asker: Asker,
  { kind, value, network }: { kind: IdentifierKind; value: string; network: string },
) {
  if (kind === IdentifierKind.HANDLE) return hub.findByHandle(asker, value)
  if (kind !== IdentifierKind.FOREIGN) throw new HubError('malformed')
  await hub.checkForeignLookUp(asker, network)
  const { account, operator } = await resolvers.resolve(network, value)
  return hub.acceptForeign(asker, { network, operator }, account)
}

function commitOf({ room, idempotencyKey: key, commit, welcome, groupInfo }: SubmitCommit) {
  return { room: roomOf(room), key, commit, welcome, groupInfo }
}

const placeOf = ({ seq, at }: { seq: number; at: number }) => ({ seq: BigInt(seq), timestampMs: BigInt(at) })

export function accepted(place: { seq: number; at: number }): Body {
  return { case: 'accepted', value: placeOf(place) }
}

function settings({ firstContact, networks, handle, blocked }: Awaited<ReturnType<Hub['getPreferences']>>): Body {
  return {
    case: 'settings',
    value: { firstContact: toFirstContact(firstContact), networks, handle: handle ?? '', blocked },
  }
}
