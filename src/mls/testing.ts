/** For tests only: devices with names, and a room in which every member takes every message of one ordered log. */
import assert from 'node:assert/strict'
import { type KeyPair, toHex, utf8 } from '../crypto/index.ts'
import { nodeCrypto } from '../crypto/node.ts'
import {
  contextBytesOf,
  createGroup,
  decodeState,
  type Extension,
  encodeState,
  encryptMessage,
  epochAuthenticator,
  externalSenderExtension,
  type GroupState,
  generateKeyPackage,
  groupInfoOf,
  joinByWelcome,
  leavesOf,
  type MlsProvider,
  type Psk,
  processMessage,
  type StoredKeyPackage,
} from './index.ts'
import {
  applyHandshake,
  checkGroupInfo,
  decodePublicGroup,
  encodePublicGroup,
  openPublicGroup,
  type PublicGroup,
  publicContextBytes,
  publicLeaves,
} from './public.ts'

export interface TestDevice {
  name: string
  identity: Uint8Array
  keyPair: KeyPair
  notBefore: number
  notAfter: number
}

export const everyone = () => {}

export function testDevice(name: string): TestDevice {
  return { name, identity: utf8(name), keyPair: nodeCrypto.generateKeyPair(), notBefore: 0, notAfter: 4_000_000_000 }
}

export function restored(state: GroupState): GroupState {
  return decodeState(encodeState(state))
}

export interface TestRoom {
  mls: MlsProvider
  hubKeys: KeyPair
  hub: PublicGroup
  groupInfo: Uint8Array
  members: Map<TestDevice, GroupState>
  /** KeyPackages handed out, until a Welcome uses them. */
  waiting: Map<TestDevice, StoredKeyPackage>
  psks: Psk[]
}

export async function testRoom(mls: MlsProvider, creator: TestDevice, more: Extension[] = []): Promise<TestRoom> {
  const hubKeys = nodeCrypto.generateKeyPair()
  const extensions = [externalSenderExtension(hubKeys.publicKey, utf8('hub.example')), ...more]
  const state = await createGroup(mls, { groupId: utf8('room'), ...creator, extensions })
  const groupInfo = await groupInfoOf(mls, state)
  const hub = await openPublicGroup(mls, groupInfo, everyone)
  return { mls, hubKeys, hub, groupInfo, members: new Map([[creator, state]]), waiting: new Map(), psks: [] }
}

export async function offer(room: TestRoom, device: TestDevice): Promise<Uint8Array> {
  const made = await generateKeyPackage(room.mls, device)
  room.waiting.set(device, made)
  return made.publicPart
}

/** A proposal of anyone reaches the hub and all members but `author`, whose state has it already. */
export async function spreadProposal(room: TestRoom, proposal: Uint8Array, author?: TestDevice): Promise<void> {
  room.hub = (await applyHandshake(room.mls, room.hub, proposal, everyone)).group
  for (const [device, state] of room.members) {
    if (device === author) continue
    const processed = await processMessage(room.mls, state, proposal, { authenticate: everyone })
    room.members.set(device, processed.state)
  }
}

/** A commit is accepted: the hub and everyone take it, the added join, the removed notice. Then all are compared. */
export async function spreadCommit(
  room: TestRoom,
  author: TestDevice,
  result: { state: GroupState; commit: Uint8Array; welcome?: Uint8Array; groupInfo: Uint8Array },
): Promise<void> {
  const { mls } = room
  const applied = await applyHandshake(mls, room.hub, result.commit, everyone)
  assert.equal(applied.kind, 'commit')
  room.hub = decodePublicGroup(encodePublicGroup(applied.group))
  await checkGroupInfo(mls, room.hub, result.groupInfo)
  room.groupInfo = result.groupInfo
  for (const [device, state] of room.members) {
    if (device === author) continue
    const processed = await processMessage(mls, state, result.commit, { authenticate: everyone, psks: room.psks })
    assert.ok(processed.kind === 'commit' && applied.kind === 'commit')
    const { state: next, selfRemoved, kind: _, ...view } = processed
    const { group: __, kind: ___, ...seen } = applied
    assert.deepEqual(view, seen)
    if (selfRemoved) room.members.delete(device)
    else room.members.set(device, next)
  }
  if (room.members.has(author) || applied.kind !== 'commit' || applied.external) room.members.set(author, result.state)
  if (result.welcome !== undefined && applied.kind === 'commit') {
    for (const { signatureKey } of applied.added) {
      const device = [...room.waiting.keys()].find(({ keyPair }) => toHex(keyPair.publicKey) === toHex(signatureKey))!
      const joined = await joinByWelcome(mls, {
        welcome: result.welcome,
        keyPackages: [room.waiting.get(device)!],
        authenticate: everyone,
        psks: room.psks,
      })
      room.waiting.delete(device)
      room.members.set(device, joined.state)
    }
  }
  compare(room)
}

/** All members and the hub agree on epoch, context and leaves. */
function compare({ members, hub }: TestRoom): void {
  const authenticators = new Set([...members.values()].map((state) => toHex(epochAuthenticator(state))))
  assert.equal(authenticators.size, 1, 'members disagree on the epoch')
  for (const state of members.values()) {
    assert.equal(toHex(contextBytesOf(state)), toHex(publicContextBytes(hub)))
    assert.deepEqual(leavesOf(state), publicLeaves(hub))
  }
  assert.equal(publicLeaves(hub).length, members.size)
}

/** One member writes, all others read it. */
export async function say(room: TestRoom, author: TestDevice, text: string): Promise<void> {
  const { mls, members } = room
  const sent = await encryptMessage(mls, members.get(author)!, utf8(text), utf8(`aad ${text}`))
  members.set(author, sent.state)
  for (const [device, state] of members) {
    if (device === author) continue
    const processed = await processMessage(mls, state, sent.message, { authenticate: everyone })
    assert.ok(processed.kind === 'application')
    assert.deepEqual([processed.plaintext, processed.aad], [utf8(text), utf8(`aad ${text}`)])
    assert.deepEqual(processed.sender.identity, author.identity)
    members.set(device, processed.state)
  }
}
