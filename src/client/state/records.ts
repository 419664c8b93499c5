import { type CborLimits, decodeCbor, encodeCbor } from '../../cbor/index.ts'
import type { CapabilityDocument, Profile } from '../../content/index.ts'
import type { AccountAddress, AccountKind, DeviceKind, Leaf, Role, RoomId } from '../../identity/index.ts'
import { ClientError } from '../errors.ts'
import type { RoomKind, RoomStanding, StorageTx } from '../types.ts'

/** Layout of what is stored; a later version that changes it knows from this number what it finds. */
export const storageFormat = 1

/** The device itself. The account's private key is on the primary only. */
export interface SelfRecord {
  format: number
  address: AccountAddress
  kind: DeviceKind
  accountKind: AccountKind
  accountKey: Uint8Array
  accountPrivateKey?: Uint8Array
  deviceKey: Uint8Array
  devicePrivateKey: Uint8Array
  certificate: Uint8Array
  endorsement: Uint8Array
  provider: string
  /** The key that endorsed this account when it was made; another one later is not believed by itself. */
  providerKey: Uint8Array
  unlinked?: boolean
}

/** Keys made before the provider was asked for an account: asking again must present the same ones. */
export interface RegistrationRecord {
  accountPrivateKey: Uint8Array
  devicePrivateKey: Uint8Array
}

export interface ManifestRecord {
  bytes: Uint8Array
  number: number
  hash: Uint8Array
}
/** A manifest that is made and may or may not have reached the provider. */
export interface NextManifestRecord extends ManifestRecord {
  certificates: Uint8Array[]
}

/** What this device knows of another account (and of its own). */
export interface AccountRecord {
  accountKey: Uint8Array
  /** The newest manifest ever seen, with the keys of its devices: an older one cannot bring a device back. */
  manifest?: { number: number; hash: Uint8Array; devices: Uint8Array[] }
  profile?: Profile
  /** Of an account behind an edge: what its network carries. */
  capabilities?: CapabilityDocument
}

export interface KeyPackageRecord {
  publicPart: Uint8Array
  privatePart: Uint8Array
  /** Seconds since the epoch. */
  notAfter: number
  lastResort: boolean
  published: boolean
}

export interface RoomRecord {
  kind: RoomKind
  standing: RoomStanding
  answered: boolean
  joined: boolean
  /** Sequence number of the last log entry that was processed. */
  cursor: number
  /** Epoch of the group, as it was last stored. */
  epoch?: number
  /** Epoch in which entries of the log are missing here: a sender may be too far ahead for it. */
  missed?: number
  other?: AccountAddress
  otherStanding?: RoomStanding
  inviter?: AccountAddress
  /** This device makes the room, and the provider has not said yes yet. */
  creating?: boolean
  /** The device must enter from outside: it is new in the account, or its group state is lost or cannot follow. */
  enter?: boolean
  /** Why this device does not enter the room: what was presented there is not believed. */
  refused?: string
  /** There is something to commit: a device to remove, or a renewed certificate for the own leaf. */
  commitDue?: boolean
  /** This device is the one of its account that tells the room the profile, and has not done so. */
  profileOwed?: boolean
  /** What the network of this edge carries, as the room was told of it last: the hash of that. */
  capabilitiesTold?: Uint8Array
  /** Messages of others for which receipts are still to be sent: come here, and the newest that was read. */
  receipts?: { delivered?: Uint8Array[]; read?: Uint8Array }
  /** Of the self room: a device has come in that was not told of contacts yet. The primary tells them. */
  contactsOwed?: boolean
  /** Of a guest's room: what every device that enters it has to show. */
  psk?: { id: Uint8Array; secret: Uint8Array }
  /** A guest came by a link that this device has not been told of (yet). */
  awaitsInvite?: boolean
  /** Counts messages: the next one's place in the order of sending. */
  sends?: number
  /** Place in the log of the newest of them that is known to be there: what comes before it need not be looked for. */
  settled?: number
  /** Of a group, as the last commit left it: its name, and what this account is in it. */
  group?: { name: string; role: Role }
  /** Removals that the hub proposed, each with the manifest that its commit must carry. */
  proposals?: { manifests: Uint8Array[] }[]
}

/** A guest link of this account. Its secret is on the account's devices and in the link, nowhere else. */
export interface InviteRecord {
  secret: Uint8Array
  /** https://host */
  base: string
  /** The account's manifest when it was made. */
  manifest: number
  pin: boolean
  approval: boolean
  singleUse: boolean
  /** Milliseconds since the epoch. */
  createdAt: number
  expiresAt: number
  idleMs: number
  revoked: boolean
  /** Own other devices were told. */
  shared: boolean
  label?: string
  /** Who invites, as the link says. */
  name?: string
  /** The chat that began by it, the first one. */
  room?: string
}

/** A guest who is coming in: keys made before they are shown, then what is to be shown. */
export interface GuestEntryRecord {
  invite: string
  accountPrivateKey: Uint8Array
  devicePrivateKey: Uint8Array
  self?: SelfRecord
  room?: RoomId
}

export interface MemberLeaf extends Leaf {
  index: number
}

/** Who is in a room and which manifests are in force there. Changes with commits only. */
export interface RosterRecord {
  leaves: MemberLeaf[]
  /** As `encodeRoster` gives it. */
  manifests: Uint8Array
}

/** A commit of ours that the provider has not taken or refused yet, with the state that it leads to. */
export interface PendingCommitRecord {
  kind: 'create' | 'commit' | 'join'
  key: Uint8Array
  /** Epoch that it was made in. */
  epoch: number
  commit: Uint8Array
  welcome?: Uint8Array
  groupInfo: Uint8Array
  /** create: the GroupInfo of epoch 0. */
  firstGroupInfo?: Uint8Array
  group: Uint8Array
  ratchets: Uint8Array
  roster: RosterRecord
  /** Accounts that it takes out because this one wants it. */
  removes?: AccountAddress[]
  /** The provider took it; its place in the log is still to come. */
  accepted?: boolean
}

export interface SubmissionRecord {
  messageId: Uint8Array
  key: Uint8Array
  /** The key is the caller's, who may come again with it. */
  keyGiven: boolean
  /** Encoded MIMI content. */
  content: Uint8Array
  /** Missing until it could be encrypted; made anew when the epoch has changed. */
  message?: Uint8Array
  epoch?: number
}

/** A message that was sent under its caller's key, for the caller that repeats itself. */
export interface SentRecord {
  messageId: Uint8Array
  /** When it was handed over, milliseconds since the epoch. */
  at: number
  seq?: number
  timestampMs?: number
}

export interface Table<T, K extends string = string> {
  get(tx: StorageTx, key: K): Promise<T | undefined>
  put(tx: StorageTx, key: K, value: T): Promise<void>
  delete(tx: StorageTx, key: K): Promise<void>
  list(tx: StorageTx, prefix?: string, limit?: number): Promise<{ key: K; value: T }[]>
}

/** All that a device stores things in. */
const collections = new Set<string>()

function table<T, K extends string = string>(collection: string): Table<T, K> {
  collections.add(collection)
  return {
    async get(tx, key) {
      const bytes = await tx.get(collection, key)
      return bytes && read<T>(bytes)
    },
    put: (tx, key, value) => tx.put(collection, key, encodeCbor(value)),
    delete: (tx, key) => tx.delete(collection, key),
    async list(tx, prefix, limit) {
      return (await tx.list(collection, prefix, limit)).map(({ key, value }) => ({
        key: key as K,
        value: read<T>(value),
      }))
    },
  }
}

/** Our own bytes: the bounds only keep a damaged record from being taken for a huge one. */
const limits: CborLimits = { bytes: 64 * 2 ** 20, depth: 8, items: 2 ** 20 }

function read<T>(bytes: Uint8Array): T {
  try {
    return plain(decodeCbor(bytes, limits)) as T
  } catch (cause) {
    throw new ClientError('storage', 'a record cannot be read', { cause })
  }
}

/** Maps as objects, as they were before they were encoded. */
function plain(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(plain)
  if (!(value instanceof Map)) return value
  return Object.fromEntries([...value].map(([key, inner]) => [key, plain(inner)]))
}

/** Bytes as they are. */
function raw(collection: string) {
  collections.add(collection)
  return {
    get: (tx: StorageTx, key: string) => tx.get(collection, key),
    put: (tx: StorageTx, key: string, value: Uint8Array) => tx.put(collection, key, value),
    delete: (tx: StorageTx, key: string) => tx.delete(collection, key),
  }
}

/** One record under a fixed key. */
function single<T>(key: string) {
  const records = table<T>('device')
  return {
    get: (tx: StorageTx) => records.get(tx, key),
    put: (tx: StorageTx, value: T) => records.put(tx, key, value),
    delete: (tx: StorageTx) => records.delete(tx, key),
  }
}

export const selfRecord = single<SelfRecord>('self')
export const registration = single<RegistrationRecord>('registration')
export const ownManifest = single<ManifestRecord>('manifest')
export const nextManifest = single<NextManifestRecord>('next-manifest')
/** When callers' keys were last looked through, milliseconds since the epoch. */
export const lastForgotten = single<{ at: number }>('forgotten')
/** How often storage and provider were put back from a backup, as this device has followed it. */
export const incarnations = single<{ storage: number; provider: number }>('incarnations')
export const ownProfile = single<Profile>('profile')
/** What holds for the account on all its devices, as they tell each other in the self room. */
export const accountSettings = single<{ readReceipts?: boolean }>('account-settings')
export const guestEntry = single<GuestEntryRecord>('guest-entry')
export const invites = table<InviteRecord>('invite')
export const accounts = table<AccountRecord, AccountAddress>('account')
/** Primary. Key: another device's key in hexadecimal. Until when it is certified, seconds since the epoch. */
export const issuedCertificates = table<{ notAfter: number }>('issued')
export const keyPackages = table<KeyPackageRecord>('key-package')
export const rooms = table<RoomRecord, RoomId>('room')
export const rosters = table<RosterRecord, RoomId>('roster')
export const pendingCommits = table<PendingCommitRecord, RoomId>('pending')
/** Key: room, a space, sixteen digits of a growing number: their order is the order of sending. */
export const submissions = table<SubmissionRecord>('submission')
/** Key: room, a space, the idempotency key in hexadecimal. */
export const sentKeys = table<SentRecord>('sent')
/** Collections with a record for each message, which hardly anybody reads again: no room in memory is spent on them. */
export const seldomRead: ReadonlySet<string> = new Set(['sent'])

/** The two parts of an MLS state, as `encodeState` gives them: a message changes the second only. */
export const groups = raw('group')
export const ratchets = raw('ratchets')

/** Nothing is left of the device. */
export async function eraseAll(tx: StorageTx): Promise<void> {
  for (const collection of collections)
    for (const { key } of await tx.list(collection)) await tx.delete(collection, key)
}

export const submissionPrefix = (room: RoomId) => `${room} `
export const submissionKey = (room: RoomId, order: number) => `${room} ${String(order).padStart(16, '0')}`
