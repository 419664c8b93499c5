import type { AccountAddress } from '../../identity/index.ts'
import { currentManifest } from '../account/manifests.ts'
import { requireClock } from '../clock.ts'
import { expect } from '../connection/wire.ts'
import { parseAddress, parseRoom } from '../connection/wire-values.ts'
import type { Context } from '../context.ts'
import { ClientError } from '../errors.ts'
import type { Workers } from '../rooms/workers.ts'
import { type InviteRecord, invites, rooms } from '../state/records.ts'
import { inRoom } from '../state/room-work.ts'
import type { Device, Invite, InviteChoices } from '../types.ts'
import { encodeLink, fingerprintOf, newInviteId, newInviteSecret, openName, pinCodeOf, sealName } from './link.ts'
import { misleads } from './names.ts'
import { shareInvites } from './share.ts'

type InviteCalls = Pick<
  Device,
  'createInvite' | 'invites' | 'revokeInvite' | 'reissueInvite' | 'extendInvite' | 'answerGuest'
>

/** What a device does as a host of guests. */
export function inviteCalls(context: Context, workers: Workers): InviteCalls {
  const create = async (choices: InviteChoices, replaces = ''): Promise<Invite> => {
    const { crypto, self, settings } = context
    if (self.kind === 'guest' || self.kind === 'edge') throw new ClientError('not-allowed')
    await requireClock(context)
    const invite = newInviteId(crypto)
    const secret = newInviteSecret(crypto)
    const { pin, approval = false, singleUse = true, label, name } = choices
    const { expiresInMs, idleMs } = choices
    const made = await context.storage.transaction(async (tx): Promise<InviteRecord> => {
      const now = context.clock()
      const first: InviteRecord = {
        secret,
        base: choices.base ?? `https://${self.provider}`,
        manifest: (await currentManifest(context, tx)).number,
        pin: pin !== undefined,
        approval,
        singleUse,
        createdAt: now,
        expiresAt: now + (expiresInMs ?? settings.inviteLongest) + settings.clockTolerance * 1000,
        idleMs: idleMs ?? 0,
        revoked: false,
        shared: false,
        ...(label !== undefined && { label: label.slice(0, 256) }),
        ...(name !== undefined && { name: name.slice(0, 64) }),
      }
      await invites.put(tx, invite, first)
      return first
    })
    const value = {
      invite,
      pin: pin === undefined ? new Uint8Array() : pinCodeOf(crypto, secret, pin),
      approval,
      singleUse,
      expiresInMs: BigInt(expiresInMs ?? 0),
      idleMs: BigInt(idleMs ?? 0),
      shown: sealName(crypto, { invite, secret }, 'host', name),
      replaces,
    }
    let record: InviteRecord
    try {
      const holds = expect(await context.request({ case: 'putInvite', value }), 'inviteOptions')
      // The provider's choice where none was made, and never longer than was chosen.
      record = { ...made, expiresAt: Math.min(made.expiresAt, Number(holds.expiresMs)), idleMs: Number(holds.idleMs) }
      await context.storage.transaction((tx) => invites.put(tx, invite, record))
    } catch (error) {
      // Whatever became of it: nobody has seen its secret.
      await context.storage.transaction((tx) => invites.delete(tx, invite))
      throw error
    }
    await share(context, workers)
    return view(context, invite, record)
  }

  const markRevoked = async (id: string): Promise<void> => {
    await context.storage.transaction(async (tx) => {
      const known = await invites.get(tx, id)
      if (known) await invites.put(tx, id, { ...known, revoked: true, shared: false })
    })
    await share(context, workers)
  }

  return {
    createInvite: (choices = {}) => create(choices),

    async invites() {
      const known = new Map(
        (await context.storage.transaction((tx) => invites.list(tx))).map(({ key, value }) => [key, value]),
      )
      const { invites: all } = expect(await context.request({ case: 'listInvites', value: {} }), 'invites')
      const views: Invite[] = []
      for (const each of all) {
        const record = known.get(each.invite)
        if (!record) continue
        views.push({
          ...view(context, each.invite, record),
          open: each.open,
          expiresAt: Number(each.expiresMs),
          revoked: each.revoked,
          pinTries: each.pinTries,
          waiting: await Promise.all(each.waiting.map((guest) => waitingGuest(context, record, guest))),
          chats: each.chats.map((chat) => ({ account: parseAddress(chat.account), room: parseRoom(chat.room) })),
        })
      }
      return views
    },

    async revokeInvite(invite, { keepChats = false } = {}) {
      expect(await context.request({ case: 'revokeInvite', value: { invite, keepChats } }), 'done')
      await markRevoked(invite)
    },

    async reissueInvite(invite, choices = {}) {
      const known = await context.storage.transaction((tx) => invites.get(tx, invite))
      if (!known) throw new ClientError('not-found')
      // What a PIN was is not kept: it is set again, or there is none.
      const { approval, singleUse, idleMs, label, name, base, createdAt, expiresAt } = known
      const texts = { ...(label && { label }), ...(name && { name }) }
      const kept = { approval, singleUse, idleMs, base, expiresInMs: expiresAt - createdAt, ...texts }
      const made = await create({ ...kept, ...choices }, invite)
      await markRevoked(invite)
      return made
    },

    async extendInvite(invite, expiresInMs) {
      // Here first: a guest whom the provider lets in must not be refused by this device.
      await context.storage.transaction(async (tx) => {
        const known = await invites.get(tx, invite)
        if (!known) throw new ClientError('not-found')
        const longest = expiresInMs ?? context.settings.inviteLongest
        const expiresAt = Math.max(known.expiresAt, context.clock() + longest)
        await invites.put(tx, invite, { ...known, expiresAt, shared: false })
      })
      await share(context, workers)
      const value = { invite, expiresInMs: BigInt(expiresInMs ?? 0) }
      const { expiresMs } = expect(await context.request({ case: 'extendInvite', value }), 'inviteOptions')
      await context.storage.transaction(async (tx) => {
        const known = await invites.get(tx, invite)
        if (known) await invites.put(tx, invite, { ...known, expiresAt: Math.min(known.expiresAt, Number(expiresMs)) })
      })
    },

    async answerGuest({ invite, account }, accept) {
      expect(await context.request({ case: 'answerGuest', value: { invite, account, accept } }), 'done')
    },
  }
}

/** Tells own other devices of links, as soon as there is a self room; tried again at each log-in. */
export async function share(context: Context, workers: Workers): Promise<void> {
  const room = await shareInvites(context)
  if (room) workers.send(room)
}

/** Guests' rooms that this device was kept from for want of their link, now that it has learned of links. */
export async function enterAwaited(context: Context, workers: Workers): Promise<void> {
  const waiting = await context.storage.transaction(async (tx) =>
    (await rooms.list(tx)).filter(({ value }) => value.kind === 'guest' && !value.joined && value.awaitsInvite),
  )
  for (const { key } of waiting) {
    await inRoom(context, key, async (work) => {
      if (!work.record || work.record.joined) return
      const { refused: _, awaitsInvite: __, ...record } = work.record
      work.begin({ ...record, enter: true })
    })
    workers.send(key)
  }
}

/** Somebody waits to be let in, as this device can tell who: by the name sealed under the link. */
export async function guestWaiting(
  context: Context,
  guest: { invite: string; account: string; introduction: Uint8Array },
): Promise<{ invite: string; account: AccountAddress; name?: string; misleading?: true }> {
  const record = await context.storage.transaction((tx) => invites.get(tx, guest.invite))
  return {
    invite: guest.invite,
    ...(record ? await waitingGuest(context, record, guest) : { account: parseAddress(guest.account) }),
  }
}

async function waitingGuest(
  context: Context,
  record: InviteRecord,
  { invite, account, introduction }: { invite: string; account: string; introduction: Uint8Array },
): Promise<{ account: AccountAddress; name?: string; misleading?: true }> {
  const name = openName(context.crypto, { invite, secret: record.secret }, 'guest', introduction)
  if (!name) return { account: parseAddress(account) }
  if (await context.storage.transaction((tx) => misleads(context, tx, record, name)))
    return { account: parseAddress(account), misleading: true }
  return { account: parseAddress(account), name }
}

function view(context: Context, id: string, record: InviteRecord): Invite {
  const { crypto, self } = context
  const { base, secret, manifest, pin, approval, singleUse, expiresAt, idleMs, label, revoked } = record
  const link = encodeLink(crypto, base, {
    invite: id,
    secret,
    fingerprint: fingerprintOf(crypto, self.accountKey),
    manifest,
  })
  return {
    ...{ id, link, pin, approval, singleUse, expiresAt, idleMs, revoked },
    ...(label !== undefined && { label }),
    open: !revoked,
    pinTries: 0,
    waiting: [],
    chats: [],
  }
}
