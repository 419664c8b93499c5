import { decodeCbor, encodeCbor, readArray } from '../../cbor/index.ts'
import {
  bodyOfType,
  ContentError,
  disposition,
  type MimiContent,
  type Profile,
  profileMessage,
  singlePart,
} from '../../content/index.ts'
import { equalBytes } from '../../crypto/index.ts'
import { type AccountAddress, type Leaf, parseAccountAddress, readCertificate } from '../../identity/index.ts'
import { type Context, seconds } from '../context.ts'
import { ClientError } from '../errors.ts'
import { addSubmission } from '../rooms/submissions.ts'
import { accountSettings, accounts, ownProfile, rooms, selfRecord } from '../state/records.ts'
import type { RoomWork } from '../state/room-work.ts'
import type { StorageTx } from '../types.ts'
import { certify } from './manifests.ts'
import { certificateType, renewOthers } from './others-certificates.ts'
import { settingsMessage } from './own-devices.ts'
import { storeProfile } from './profiles.ts'

/** What the primary tells the account's other devices in the self room; media types of its messages there. */
const contactsType = 'application/vnd.silta.contacts+cbor'

/** Bytes of contacts in one message: under the 64 KiB that a provider takes, with room for what is around them. */
const contactsAtOnce = 48 * 1024
const limits = { bytes: 64 * 1024, depth: 3, items: 8192 }

type Contact = [address: string, accountKey: Uint8Array, name: string | null, foreignAddress: string | null]

/**
 * Primary, in the self room after a device has come into it: names and keys of everybody this device knows. The new one
 * was in no room when they were said there.
 */
export async function sendContactsIfOwed(context: Context, work: RoomWork): Promise<void> {
  if (!work.record?.contactsOwed) return
  work.update({ contactsOwed: false })
  if ((await work.roster()).leaves.length < 2) return
  const own = await ownProfile.get(work.tx)
  const contacts: Contact[] = own ? [contactOf(context.self.address, context.self.accountKey, own)] : []
  for (const { key, value } of await accounts.list(work.tx))
    if (value.profile && key !== context.self.address) contacts.push(contactOf(key, value.accountKey, value.profile))
  let page: Uint8Array[] = []
  let bytes = 0
  const send = async () => {
    if (page.length === 0) return
    const all = page.map((each) => decodeCbor(each, limits))
    await addSubmission(context, work, { body: singlePart(contactsType, encodeCbor(all), disposition.unspecified) })
    page = []
    bytes = 0
  }
  for (const contact of contacts) {
    const encoded = encodeCbor(contact)
    if (bytes + encoded.length > contactsAtOnce) await send()
    page.push(encoded)
    bytes += encoded.length
  }
  await send()
  const settings = await accountSettings.get(work.tx)
  if (settings) await addSubmission(context, work, settingsMessage(settings.readReceipts ?? true))
}

function contactOf(address: string, accountKey: Uint8Array, { name, foreignAddress }: Profile): Contact {
  return [address, accountKey, name ?? null, foreignAddress ?? null]
}

/**
 * Takes what the primary says in the self room. True: it was nothing for an application to show. What cannot be read, or
 * comes from another device than the primary, is passed over.
 */
export async function receiveFromPrimary(
  context: Context,
  work: RoomWork,
  sender: Leaf,
  content: MimiContent,
): Promise<boolean> {
  const contacts = bodyOfType(content, contactsType)
  const certificate = bodyOfType(content, certificateType)
  if (!contacts && !certificate) return false
  if (sender.deviceKind !== 'primary') return true
  try {
    if (contacts) await storeContacts(context, work.tx, contacts)
    if (certificate) await storeCertificate(context, work, certificate)
  } catch (cause) {
    if (cause instanceof ClientError && cause.code === 'storage') throw cause
    context.events.tell('fault', new ClientError('bad-content', 'from the primary', { cause }))
  }
  return true
}

/** Keys that this device has seen itself stand: the primary's word makes nothing of them undone. */
async function storeContacts(context: Context, tx: StorageTx, bytes: Uint8Array): Promise<void> {
  for (const item of readArray([decodeCbor(bytes, limits)], 'contacts').array()) {
    const { address, accountKey, profile } = readContact(item)
    const known = await accounts.get(tx, address)
    if (known && (!equalBytes(known.accountKey, accountKey) || known.profile)) continue
    if (!known) await accounts.put(tx, address, { accountKey })
    await storeProfile(context, tx, address, profile)
  }
}

function readContact(item: unknown): { address: AccountAddress; accountKey: Uint8Array; profile: Profile } {
  const fields = readArray(item, 'contact')
  const address = parseAccountAddress(fields.text(300))
  const accountKey = fields.bytes(32)
  const [name, foreignAddress] = [fields.textOrNull(256), fields.textOrNull(1024)]
  fields.end()
  const profile = { ...(name !== undefined && { name }), ...(foreignAddress !== undefined && { foreignAddress }) }
  profileMessage(profile)
  return { address, accountKey, profile }
}

/** A longer certificate for this very device, by the account key. It goes into every leaf, like a fresh endorsement. */
async function storeCertificate(context: Context, work: RoomWork, bytes: Uint8Array): Promise<void> {
  const { self, crypto } = context
  const fresh = readCertificate(crypto, bytes)
  const present = readCertificate(crypto, self.certificate)
  if (!equalBytes(fresh.deviceKey, self.deviceKey) || fresh.notAfter <= present.notAfter) return
  const sound =
    fresh.account === self.address && equalBytes(fresh.accountKey, self.accountKey) && fresh.kind === self.kind
  if (!sound) throw new ContentError('malformed', 'a certificate of something else')
  await selfRecord.put(work.tx, { ...self, certificate: bytes })
  work.update({ commitDue: true })
  const renewed = await renewLeaves(work.tx)
  work.afterwards(() => {
    self.certificate = bytes
    for (const room of renewed) context.hooks.send?.(room)
  })
}

/** Every room in which the device has a leaf has to be told of its new credential. Gives those rooms. */
export async function renewLeaves(tx: StorageTx) {
  const joined = (await rooms.list(tx)).filter(({ value }) => value.joined)
  for (const { key, value } of joined) await rooms.put(tx, key, { ...value, commitDue: true })
  return joined.map(({ key }) => key)
}

/**
 * Whoever has the account key renews certificates before their end: its own, and those of the other devices, which are
 * told in the self room. Gives the rooms in which the own leaf has to be renewed.
 */
export async function renewCertificates(context: Context) {
  const { self, crypto, settings } = context
  if (!self.accountPrivateKey) return []
  const ends = seconds(context.clock()) + settings.certificateRenewal
  if (self.kind === 'primary') await renewOthers(context, ends)
  if (readCertificate(crypto, self.certificate).notAfter > ends) return []
  const certificate = certify(context, self, { deviceKey: self.deviceKey, kind: self.kind })
  const renewed = await context.storage.transaction(async (tx) => {
    await selfRecord.put(tx, { ...self, certificate })
    return renewLeaves(tx)
  })
  self.certificate = certificate
  return renewed
}
