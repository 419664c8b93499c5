import { equalBytes } from '../../crypto/index.ts'
import { parseAccountAddress, providerOf, readEndorsement, readManifest } from '../../identity/index.ts'
import { createCommit, createGroup } from '../../mls/index.ts'
import { type InviteEntry, inviteProofBytes } from '../../protocol/index.ts'
import { certify, nextManifestOf, storeOwnManifest } from '../account/manifests.ts'
import { sendProfileIfOwed } from '../account/profiles.ts'
import { requireClock, timed } from '../clock.ts'
import { pause } from '../connection/pause.ts'
import type { Connection } from '../connection/types.ts'
import { expect, ProviderRefusal } from '../connection/wire.ts'
import { parseAddress } from '../connection/wire-values.ts'
import type { Context } from '../context.ts'
import { asClientError, ClientError, IdentityRefusal, notAboutIt } from '../errors.ts'
import { makeContext } from '../make-context.ts'
import { admitClaim, prepareRoom } from '../rooms/create.ts'
import { creationOf } from '../rooms/outbox.ts'
import { adoptPending } from '../rooms/receive.ts'
import { defaultSettings } from '../settings.ts'
import {
  accounts,
  type GuestEntryRecord,
  guestEntry,
  ownManifest,
  ownProfile,
  pendingCommits,
  rooms,
  type SelfRecord,
  selfRecord,
  storageFormat,
} from '../state/records.ts'
import { inRoom } from '../state/room-work.ts'
import type { DeviceOptions, GuestOptions, OpenedInvite, StorageTx } from '../types.ts'
import { decodeLink, fingerprintOf, type InviteLink, openName, pinCodeOf, pskOf, sealName } from './link.ts'
import { requireHonestName } from './names.ts'

/** What a link offers. Nothing is used up by looking. Errors: bad-link, not-found (whatever the reason), rate-limited. */
export async function openInvite(
  { connection, crypto }: Pick<DeviceOptions, 'crypto'> & { connection: Connection },
  text: string,
): Promise<OpenedInvite> {
  const link = decodeLink(crypto, text)
  const request = { case: 'openInvite', value: { invite: link.invite } } as const
  const { expiresMs, idleMs, shown, ...options } = expect(await connection.request(request), 'inviteOptions')
  const { pin, pinTries, approval, singleUse } = options
  const hostName = openName(crypto, link, 'host', shown)
  return {
    ...{ pin, pinTries, approval, singleUse },
    expiresAt: Number(expiresMs),
    idleMs: Number(idleMs),
    ...(hostName && { hostName }),
  }
}

/**
 * Makes what coming in takes and nobody has to be asked for: while a person types their name, the keys are made and kept,
 * and a group of nobody is made once and thrown away, since the first time everything has to be compiled. Nothing leaves.
 * `join` need not have been prepared. Errors: bad-link.
 */
export async function prepareToJoin(
  { storage, crypto, mls }: Pick<DeviceOptions, 'storage' | 'crypto' | 'mls'>,
  text: string,
): Promise<void> {
  const link = decodeLink(crypto, text)
  const keyPair = crypto.generateKeyPair()
  await storage.transaction(async (tx) => {
    if ((await selfRecord.get(tx)) || (await guestEntry.get(tx))?.invite === link.invite) return
    await begin({ crypto }, tx, link)
  })
  crypto.verify(keyPair.publicKey, link.secret, crypto.sign(keyPair.privateKey, link.secret))
  const groupId = crypto.randomBytes(16)
  const group = await createGroup(mls, { groupId, identity: new Uint8Array(1), keyPair, extensions: [] })
  const psk = { id: groupId, secret: crypto.randomBytes(32) }
  await createCommit(mls, group, { forcePath: true, psks: [psk] })
}

/**
 * Comes in by a link: a guest account with this one device, and a room with the host's devices in it. All that is made is
 * durable before it is shown, so that this can be repeated with the same storage after any failure. Gives the device's
 * record.
 *
 * Errors: device-exists, bad-link, not-found (unknown, used, expired, revoked, turned away), wrong-pin, wrong-host (another
 * account key than the link's), misleading-name, old-manifest, not-in-manifest, bad-identity, no-key-packages, wrong-clock, rate-limited.
 */
export async function join(options: DeviceOptions & GuestOptions): Promise<SelfRecord> {
  const { storage, crypto } = options
  const link = decodeLink(crypto, options.link)
  const { provider } = await options.connection.hello()
  await requireClock(timed(options))
  requireHonestName(options.name, provider, [options.hostName])
  const entry = await storage.transaction(async (tx) => {
    if (await selfRecord.get(tx)) throw new ClientError('device-exists')
    const known = await guestEntry.get(tx)
    if (known?.invite === link.invite) return known
    return begin(options, tx, link)
  })
  let made = entry
  try {
    if (!made.room) made = await prepare(options, link, entry)
    return await finish(options, made, link)
  } catch (failure) {
    const error = asClientError(failure, 'protocol')
    // Nothing came of it: the keys and the group are nobody's. A wrong PIN is asked for again under the same key. Once the
    // room may have been shown, only the provider can say so: the link is used up by these keys, and no others come in.
    const refused = made.room ? error instanceof ProviderRefusal : !notAboutIt.has(error.code)
    if (refused && !error.retry && error.code !== 'wrong-pin') await storage.transaction(forget)
    throw error
  }
}

async function begin(
  options: Pick<DeviceOptions, 'crypto'>,
  tx: StorageTx,
  link: InviteLink,
): Promise<GuestEntryRecord> {
  await forget(tx)
  const accountPrivateKey = options.crypto.generateKeyPair().privateKey
  const devicePrivateKey = options.crypto.generateKeyPair().privateKey
  const made = { invite: link.invite, accountPrivateKey, devicePrivateKey }
  await guestEntry.put(tx, made)
  return made
}

async function forget(tx: StorageTx): Promise<void> {
  for (const { key } of await rooms.list(tx)) {
    await rooms.delete(tx, key)
    await pendingCommits.delete(tx, key)
  }
  for (const { key } of await accounts.list(tx)) await accounts.delete(tx, key)
  await ownManifest.delete(tx)
  await guestEntry.delete(tx)
}

/** Asks until there is an answer: where the host lets guests in by hand, that takes as long as it takes. */
async function ask(options: DeviceOptions & GuestOptions, link: InviteLink, entry: GuestEntryRecord) {
  const { connection, crypto, pin, name, signal } = options
  const { invite } = link
  const accountKey = crypto.publicKeyOf(entry.accountPrivateKey)
  const introduction = sealName(crypto, link, 'guest', name)
  for (let asked = 0; ; asked++) {
    const answered = listenForAnswer(options, invite)
    try {
      const answer = await connection.request((hello) => ({
        case: 'enterInvite',
        value: {
          invite,
          pin: pin === undefined ? new Uint8Array() : pinCodeOf(crypto, link.secret, pin),
          accountKey,
          proof: crypto.sign(entry.accountPrivateKey, inviteProofBytes(hello.challenge, invite)),
          introduction,
        },
      }))
      const said = expect(answer, 'inviteEntry')
      if (!said.waiting) return said
      if (asked === 0) options.onWaiting?.()
      await answered.wait()
    } catch (error) {
      // Who waits already waits on through a broken link.
      if (asked === 0 || !(error instanceof ClientError) || !error.retry) throw error
      await pause(options.settings?.retryFirst ?? defaultSettings.retryFirst, signal)
    } finally {
      answered.stop()
    }
    if (signal?.aborted) throw new ClientError('closed', undefined, { retry: true })
  }
}

/** From before it asks: the provider says when there is an answer, on the link on which it was asked. On another it is asked again. */
function listenForAnswer({ connection, signal, settings }: DeviceOptions & GuestOptions, invite: string) {
  const answered = new AbortController()
  const end = () => answered.abort()
  let lost = false
  const stops = [
    connection.onEvent((event) => event.case === 'guestAnswered' && event.value.invite === invite && end()),
    connection.onLink((up) => {
      if (up && lost) end()
      lost ||= !up
    }),
    () => signal?.removeEventListener('abort', end),
  ]
  signal?.addEventListener('abort', end)
  if (signal?.aborted) end()
  return {
    wait: () => pause(settings?.approvalPoll ?? defaultSettings.approvalPoll, answered.signal),
    stop() {
      for (const stop of stops) stop()
    },
  }
}

/** Looks at what the provider handed out, and makes the group with the link's key in it. Nothing has left yet. */
async function prepare(
  options: DeviceOptions & GuestOptions,
  link: InviteLink,
  entry: GuestEntryRecord,
): Promise<GuestEntryRecord> {
  const said = await ask(options, link, entry)
  const { provider, providerKey } = await options.connection.hello()
  const host = requireHost(options, link, said, options.trust?.providerKeys(provider) ?? [providerKey])
  const { self, manifest } = ownSelf(options, entry, said, { provider, providerKey })
  const context = makeContext(options, self)
  await options.storage.transaction(async (tx) => {
    // What an attempt before this one left was never shown.
    await forget(tx)
    await guestEntry.put(tx, entry)
    await accounts.put(tx, self.address, { accountKey: self.accountKey })
    await storeOwnManifest(context, tx, manifest)
    if (options.name) await ownProfile.put(tx, { name: options.name })
  })
  const claimed = { manifest: said.manifest, endorsement: said.hostEndorsement, keyPackages: said.keyPackages }
  const invitation = await options.storage.transaction((tx) => admitClaim(context, tx, host, claimed))
  if (invitation.keyPackages.length === 0) throw new ClientError('no-key-packages')
  const psk = pskOf(options.crypto, link.invite, link.secret)
  const room = await prepareRoom(context, { kind: 'guest' }, providerKey, [invitation], { psk })
  const ready = { ...entry, self, room }
  await options.storage.transaction((tx) => guestEntry.put(tx, ready))
  return ready
}

/** The host is who the link says, under a list of devices that is no older than the link. */
function requireHost(
  { crypto }: DeviceOptions,
  link: InviteLink,
  said: InviteEntry,
  providerKeys: readonly Uint8Array[],
) {
  const address = parseAddress(said.host)
  try {
    const { account, accountKey } = readEndorsement(crypto, said.hostEndorsement, providerKeys)
    if (account !== address) throw new IdentityRefusal('bad-identity', address)
    if (!equalBytes(fingerprintOf(crypto, accountKey), link.fingerprint))
      throw new IdentityRefusal('wrong-host', address)
    const { number } = readManifest(crypto, said.manifest, accountKey)
    if (number < link.manifest) throw new IdentityRefusal('old-manifest', address)
    return address
  } catch (error) {
    throw error instanceof ClientError ? error : new IdentityRefusal('bad-identity', address, error)
  }
}

/** The guest's own documents: its account is its own, also towards the provider. */
function ownSelf(
  options: DeviceOptions,
  { accountPrivateKey, devicePrivateKey }: GuestEntryRecord,
  said: InviteEntry,
  { provider, providerKey }: { provider: string; providerKey: Uint8Array },
): { self: SelfRecord; manifest: Uint8Array } {
  const { crypto } = options
  const accountKey = crypto.publicKeyOf(accountPrivateKey)
  const deviceKey = crypto.publicKeyOf(devicePrivateKey)
  const endorsement = readEndorsement(crypto, said.endorsement, options.trust?.providerKeys(provider) ?? [providerKey])
  const address = parseAccountAddress(said.account)
  const sound =
    endorsement.account === address && endorsement.kind === 'guest' && equalBytes(endorsement.accountKey, accountKey)
  if (!sound || providerOf(address) !== provider) throw new ClientError('bad-identity')
  const self: SelfRecord = {
    format: storageFormat,
    address,
    kind: 'guest',
    accountKind: 'guest',
    accountKey,
    accountPrivateKey,
    deviceKey,
    devicePrivateKey,
    certificate: new Uint8Array(),
    endorsement: said.endorsement,
    provider,
    providerKey,
  }
  const issuer = makeContext(options, self)
  const device = { deviceKey, kind: 'guest' } as const
  self.certificate = certify(issuer, self, device)
  return { self, manifest: nextManifestOf(issuer, self, undefined, [device]).bytes }
}

/** Shows it to the provider, which takes account, device and room in one step; the same again after a broken link. */
async function finish(options: DeviceOptions, entry: GuestEntryRecord, link: InviteLink): Promise<SelfRecord> {
  const { self, room } = entry
  if (!self || !room) throw new ClientError('storage')
  const context: Context = makeContext(options, self)
  const { pending, manifest } = await options.storage.transaction(async (tx) => ({
    pending: await pendingCommits.get(tx, room),
    manifest: await ownManifest.get(tx),
  }))
  if (!pending || !manifest) throw new ClientError('storage')
  const value = {
    invite: link.invite,
    manifest: manifest.bytes,
    certificate: self.certificate,
    room: creationOf(room, 'guest', pending),
  }
  const answer = await options.connection.request({ case: 'createGuestRoom', value })
  const { seq, timestampMs } = expect(answer, 'accepted')
  await inRoom(context, room, async (work) => {
    await adoptPending(context, work, pending, { seq: Number(seq), timestampMs: Number(timestampMs) })
    // Before anything that the application sends: who it is from is known when it comes.
    await sendProfileIfOwed(context, work)
    await selfRecord.put(work.tx, self)
    await guestEntry.delete(work.tx)
  })
  return self
}
