import type { KeyPair } from '../../crypto/index.ts'
import { nodeCrypto as crypto } from '../../crypto/node.ts'
import {
  type AccountAddress,
  type AccountKind,
  applyManifests,
  type DeviceId,
  type DeviceKind,
  deviceIdOf,
  emptyRoster,
  encodeCredential,
  joinRoster,
  type ProviderTrust,
  type RoomState,
  type Roster,
  readVerifiedLeaf,
  statedManifests,
  verifyLeaf,
} from '../../identity/index.ts'
import {
  type CommitView,
  createCommit,
  createGroup,
  decodeCommitData,
  encodeCommitData,
  encryptMessage,
  externalSenderExtension,
  type GroupState,
  generateKeyPackage,
  groupInfoOf,
  joinByWelcome,
  joinExternally,
  type LeafClaim,
  type LeafView,
  leavesOf,
  manifestsExtension,
  processMessage,
  type RoomKind,
  readManifests,
  roomExtension,
  type StoredKeyPackage,
} from '../../mls/index.ts'
import { checkGroupInfo, openPublicGroup, publicLeaves } from '../../mls/public.ts'
import type { Accepted, Asker, CommitSubmission, Entry, Hub, MessageSubmission, RoomCreation } from '../index.ts'
import { mls, newRoom, provider, randomKey, text } from './values.ts'

const day = 24 * 3600

/** What a device needs of the world and of its account. */
export interface DeviceWorld {
  hub: Hub
  trust: ProviderTrust
  /** The provider's. */
  keyPair: KeyPair
  clock: { now: number }
}
export interface DeviceOwner {
  world: DeviceWorld
  address: AccountAddress
  kind: AccountKind
  endorsement: Uint8Array
  /** The newest manifest as signed. */
  manifest: Uint8Array
  seconds(): number
  certify(deviceKey: Uint8Array, kind: DeviceKind, change?: { notBefore?: number; notAfter?: number }): Uint8Array
}

interface Membership {
  state: GroupState
  roster: Roster
  /** What a submitted commit will make of it. */
  next?: { state: GroupState; roster: Roster }
}

export interface CommitPlan {
  add?: { keyPackages: Uint8Array[]; manifests: Uint8Array[] }
  remove?: number[]
  manifests?: Uint8Array[]
  /** Leave out, or state other manifests in the GroupInfo. */
  groupInfoExtensions?: Parameters<typeof groupInfoOf>[2] extends { extensions?: infer E } | undefined ? E : never
  extensions?: Parameters<typeof createCommit>[2] extends { extensions?: infer E } | undefined ? E : never
}

/** A device that keeps its groups in memory and makes what it submits with the members' side of MLS. */
export function makeDevice<Owner extends DeviceOwner>(
  account: Owner,
  kind: DeviceKind,
  certify?: (deviceKey: Uint8Array) => Uint8Array,
) {
  const { world } = account
  const { hub } = world
  const keys: KeyPair = crypto.generateKeyPair()
  const deviceId: DeviceId = deviceIdOf(crypto, keys.publicKey)
  const certificate = certify?.(keys.publicKey) ?? account.certify(keys.publicKey, kind)
  const identity = encodeCredential({ certificate, endorsement: account.endorsement })
  const edge = account.kind === 'edge' ? { operator: 'bridge.example', network: 'matrix' } : {}
  const asker: Asker = {
    device: deviceId,
    account: account.address,
    deviceKind: kind,
    accountKind: account.kind,
    ...edge,
  }
  const rooms = new Map<string, Membership>()
  const keyPackages: StoredKeyPackage[] = []

  const authenticate = ({ identity: claimed, signatureKey }: LeafClaim) =>
    void verifyLeaf(crypto, world.trust, claimed, signatureKey, account.seconds())
  const leafOf = (leaf: LeafView) => ({ ...readVerifiedLeaf(crypto, leaf.identity), index: leaf.index })
  const membership = (room: string) => {
    const found = rooms.get(room)
    if (!found) throw new Error('not in the room')
    return found
  }

  const fold = (room: Membership, after: GroupState, view: Pick<CommitView, 'added' | 'external' | 'aad'>) =>
    applyManifests(crypto, room.roster, {
      before: leavesOf(room.state).map(leafOf),
      after: leavesOf(after).map(leafOf),
      added: view.added.map(leafOf),
      external: view.external,
      manifests: decodeCommitData(view.aad).manifests,
      at: account.seconds(),
    }).roster

  const makeKeyPackage = async (lastResort = false) => {
    const lifetime = { notBefore: account.seconds() - day, notAfter: account.seconds() + 30 * day }
    const made = await generateKeyPackage(mls, { identity, keyPair: keys, ...lifetime, lastResort })
    keyPackages.push(made)
    return made.publicPart
  }

  /** A commit of this device; its group moves on when the commit is delivered. */
  const commit = async (room: string, plan: CommitPlan = {}): Promise<CommitSubmission> => {
    const { state, roster } = membership(room)
    const manifests = [...(plan.add?.manifests ?? []), ...(plan.manifests ?? [])]
    const aad = encodeCommitData({ manifests })
    const options = { add: plan.add?.keyPackages ?? [], remove: plan.remove ?? [], aad }
    const extensions = plan.extensions ? { extensions: plan.extensions } : {}
    // Once to see who is in it, once more with the GroupInfo that states the manifests in force then.
    const trial = await createCommit(mls, state, { ...options, ...extensions, forcePath: true })
    const before = new Set(leavesOf(state).map(({ signatureKey }) => Buffer.from(signatureKey).toString('hex')))
    const added = leavesOf(trial.state).filter((l) => !before.has(Buffer.from(l.signatureKey).toString('hex')))
    let next = roster
    try {
      next = fold({ state, roster }, trial.state, { added, external: false, aad })
    } catch {
      // A test of what the hub refuses: the rule is broken on purpose.
    }
    const groupInfoExtensions = plan.groupInfoExtensions ?? [manifestsExtension(statedManifests(next))]
    const made = await createCommit(mls, state, { ...options, ...extensions, forcePath: true, groupInfoExtensions })
    membership(room).next = { state: made.state, roster: next }
    return {
      room,
      key: randomKey(),
      commit: made.commit,
      welcome: made.welcome ?? new Uint8Array(),
      groupInfo: made.groupInfo,
    }
  }

  const prepareRoom = async (
    roomKind: RoomKind,
    others: readonly Pick<DeviceOwner, 'address'>[],
    change: {
      room?: string
      stated?: RoomKind
      senders?: Uint8Array
      manifests?: Uint8Array[]
      /** KeyPackages that came another way. */
      add?: CommitPlan['add']
    } = {},
  ): Promise<RoomCreation> => {
    const room = change.room ?? newRoom()
    const state = await createGroup(mls, {
      groupId: text(room),
      identity,
      keyPair: keys,
      extensions: [
        roomExtension(stateOf(change.stated ?? roomKind)),
        externalSenderExtension(change.senders ?? world.keyPair.publicKey, text(provider)),
      ],
    })
    rooms.set(room, { state, roster: emptyRoster })
    const groupInfo = await groupInfoOf(mls, state)
    const add = change.add ?? (await claim(others))
    const submission = await commit(room, { add, manifests: change.manifests ?? [account.manifest] })
    return { room, kind: roomKind, groupInfo, commit: submission }
  }

  const stateOf = (kind: RoomKind): RoomState =>
    kind === 'group' ? { kind, name: '', roles: new Map([[account.address, 'owner']]) } : { kind }

  const claim = async (others: readonly Pick<DeviceOwner, 'address'>[]) => {
    const packages: Uint8Array[] = []
    const manifests: Uint8Array[] = []
    for (const other of others) {
      const claimed = await hub.claimKeyPackages(asker, other.address)
      packages.push(...claimed.keyPackages)
      manifests.push(claimed.manifest)
    }
    return { keyPackages: packages, manifests }
  }

  const adopt = (room: string) => {
    const current = membership(room)
    if (!current.next) throw new Error('nothing was committed')
    rooms.set(room, current.next)
  }

  const device = {
    account,
    kind,
    keys,
    deviceId,
    certificate,
    identity,
    asker,
    rooms,
    claim,
    makeKeyPackage,
    commit,
    prepareRoom,
    adopt,
    async publish(count: number, lastResort = false): Promise<number> {
      const packages: Uint8Array[] = []
      for (let i = 0; i < count; i++) packages.push(await makeKeyPackage())
      return hub.publishKeyPackages(asker, {
        keyPackages: packages,
        lastResort: lastResort ? await makeKeyPackage(true) : undefined,
      })
    },
    async create(roomKind: RoomKind, ...others: Pick<DeviceOwner, 'address'>[]): Promise<string> {
      const creation = await prepareRoom(roomKind, others)
      await hub.createRoom(asker, creation)
      return creation.room
    },
    async message(room: string, words: string): Promise<MessageSubmission> {
      const current = membership(room)
      const { state, message } = await encryptMessage(mls, current.state, text(words))
      rooms.set(room, { ...current, state })
      return { room, key: randomKey(), message }
    },
    async send(room: string, words: string): Promise<Accepted> {
      return hub.submitMessage(asker, await device.message(room, words))
    },
    async submit(room: string, plan: CommitPlan = {}): Promise<Accepted> {
      return hub.submitCommit(asker, await commit(room, plan))
    },
    /** An external commit of this device into a room of its account. */
    async prepareJoin(
      room: string,
      manifests: Uint8Array[] = [account.manifest],
      lawful = true,
    ): Promise<CommitSubmission> {
      const documents = await hub.getGroupInfo(asker, room)
      const aad = encodeCommitData({ manifests })
      const options = { groupInfo: documents.groupInfo, identity, keyPair: keys, authenticate, aad }
      const joined = await joinExternally(mls, options)
      const own = leavesOf(joined.state).find((leaf) => leafOf(leaf).deviceId === deviceId)!
      const { stated, before } = await openedGroupInfo(documents.groupInfo)
      const computed = () =>
        applyManifests(crypto, joinRoster(crypto, stated, documents.manifests, before.map(leafOf)), {
          before: before.map(leafOf),
          after: leavesOf(joined.state).map(leafOf),
          added: [leafOf(own)],
          external: true,
          manifests,
          at: account.seconds(),
        }).roster
      const roster = lawful ? computed() : emptyRoster
      rooms.set(room, { state: joined.state, roster })
      return {
        room,
        key: randomKey(),
        commit: joined.commit,
        welcome: new Uint8Array(),
        groupInfo: await groupInfoOf(mls, joined.state, {
          extensions: [manifestsExtension(statedManifests(roster))],
        }),
      }
    },
    async join(room: string): Promise<Accepted> {
      return hub.submitCommit(asker, await device.prepareJoin(room))
    },
    /** Takes everything that waits, acknowledges it, and gives the texts it could read. */
    async receive(): Promise<string[]> {
      const texts: string[] = []
      for (const entry of await hub.readWelcomes(deviceId, [])) {
        const joined = await joinByWelcome(mls, { welcome: entry.welcome, keyPackages, authenticate })
        const stated = new Map([...readManifests(joined.groupInfoExtensions)]) as Parameters<typeof joinRoster>[1]
        const roster = joinRoster(crypto, stated, entry.manifests, leavesOf(joined.state).map(leafOf))
        rooms.set(entry.room, { state: joined.state, roster })
        await hub.acknowledge(deviceId, [], [entry.no])
      }
      for (const room of await hub.roomsWithNews(deviceId, 0, 100))
        for (let after = 0; ; ) {
          const entries = (await hub.readRoom(deviceId, room, after)).entries
          if (entries.length === 0) break
          for (const entry of entries) texts.push(...(await process(entry)))
          after = entries.at(-1)!.seq
          await hub.acknowledge(deviceId, [{ room: entries[0]!.room, seq: after }], [])
        }
      return texts
    },
  }

  const process = async (entry: Entry): Promise<string[]> => {
    const current = membership(entry.room)
    if (entry.own) {
      if (entry.kind === 'commit') adopt(entry.room)
      return []
    }
    const processed = await processMessage(mls, current.state, entry.message, { authenticate })
    const roster =
      processed.kind === 'commit' && !processed.selfRemoved ? fold(current, processed.state, processed) : current.roster
    rooms.set(entry.room, { state: processed.state, roster })
    return processed.kind === 'application' ? [new TextDecoder().decode(processed.plaintext)] : []
  }

  return device
}

/** Leaves and stated manifests of a GroupInfo, by opening it as the hub does. */
async function openedGroupInfo(groupInfo: Uint8Array) {
  const group = await openPublicGroup(mls, groupInfo, () => undefined)
  const { extensions } = await checkGroupInfo(mls, group, groupInfo)
  return { before: publicLeaves(group), stated: readManifests(extensions) as Parameters<typeof joinRoster>[1] }
}
