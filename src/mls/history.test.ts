import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from '../../test/support/fast-check.ts'
import { utf8 } from '../crypto/index.ts'
import {
  createCommit,
  createProposal,
  type Extension,
  externalSenderExtension,
  joinExternally,
  ownLeafIndex,
  type ProposalOptions,
  roomExtension,
} from './index.ts'
import { nodeMlsProvider } from './provider-node.ts'
import { extensionTypes, proposeRemoval, publicExtensionsOf, publicPendingProposals } from './public.ts'
import {
  everyone,
  offer,
  restored,
  say,
  spreadCommit,
  spreadProposal,
  type TestDevice,
  type TestRoom,
  testDevice,
  testRoom,
} from './testing.ts'

const mls = nodeMlsProvider()

/** One step of a history; numbers choose by their remainder, so that any numbers make sense in any state. */
type Step =
  | { type: 'commit'; author: number; adds: number; remove: number; psk: boolean; extensions: number; path: boolean }
  | { type: 'propose'; author: number; about: number; what: 'add' | 'remove' | 'psk' | 'extensions' }
  | { type: 'hub-removes'; about: number }
  | { type: 'join' }
  | { type: 'resync'; who: number; psk: boolean }
  | { type: 'say'; author: number }
  | { type: 'restart'; who: number }

const nat = fc.nat(1000)
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      type: fc.constant('commit' as const),
      author: nat,
      adds: fc.nat(3),
      remove: nat,
      psk: fc.boolean(),
      extensions: nat,
      path: fc.boolean(),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      type: fc.constant('propose' as const),
      author: nat,
      about: nat,
      what: fc.constantFrom('add' as const, 'remove' as const, 'psk' as const, 'extensions' as const),
    }),
  },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('hub-removes' as const), about: nat }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('join' as const) }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('resync' as const), who: nat, psk: fc.boolean() }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('say' as const), author: nat }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('restart' as const), who: nat }) },
)

test('random histories: all members and the hub agree after every commit', { timeout: 600_000 }, async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 14 }), async (steps) => {
      const room = await testRoom(mls, testDevice('d0'))
      const names = { next: 1 }
      for (const each of steps) await take(room, names, each)
      await commit(
        room,
        { type: 'commit', author: 0, adds: 1, remove: 0, psk: false, extensions: 9, path: true },
        names,
      )
      await say(room, pick(room, 0), 'at last')
    }),
    { numRuns: Number(process.env.HISTORIES ?? 30) },
  )
})

async function take(room: TestRoom, names: { next: number }, each: Step): Promise<void> {
  switch (each.type) {
    case 'commit':
      return commit(room, each, names)
    case 'propose':
      return propose(room, each, names)
    case 'hub-removes': {
      if (!hasHub(room)) return
      const leaf = ownLeafIndex(room.members.get(pick(room, each.about))!)
      return spreadProposal(room, await proposeRemoval(mls, room.hub, leaf, 0, room.hubKeys))
    }
    case 'join':
      return join(room, testDevice(`d${names.next++}`), false)
    case 'resync':
      return join(room, pick(room, each.who), each.psk)
    case 'say':
      if (pendingCount(room) === 0) await say(room, pick(room, each.author), 'hello')
      return
    case 'restart': {
      const device = pick(room, each.who)
      room.members.set(device, restored(room.members.get(device)!))
    }
  }
}

async function commit(room: TestRoom, each: Step & { type: 'commit' }, names: { next: number }): Promise<void> {
  const author = pick(room, each.author)
  const state = room.members.get(author)!
  const add: Uint8Array[] = []
  if (room.members.size < 8)
    for (let i = 0; i < each.adds; i++) add.push(await offer(room, testDevice(`d${names.next++}`)))
  const target = pick(room, each.remove)
  const extensions = extensionChoice(room, each.extensions)
  const result = await createCommit(mls, state, {
    add,
    ...(each.remove % 3 === 0 && target !== author && { remove: [ownLeafIndex(room.members.get(target)!)] }),
    ...(each.psk && { psks: [psk(room, names)] }),
    ...(each.path && { knownPsks: room.psks }),
    ...(extensions && { extensions }),
    forcePath: each.path,
    aad: utf8('about'),
  })
  await spreadCommit(room, author, result)
}

async function propose(room: TestRoom, each: Step & { type: 'propose' }, names: { next: number }): Promise<void> {
  const author = pick(room, each.author)
  const choices: Record<typeof each.what, () => Promise<ProposalOptions>> = {
    add: async () => ({ add: await offer(room, testDevice(`d${names.next++}`)) }),
    remove: async () => ({ remove: ownLeafIndex(room.members.get(pick(room, each.about))!) }),
    psk: async () => ({ psk: psk(room, names) }),
    extensions: async () => ({ extensions: extensionChoice(room, each.about % 4) ?? [] }),
  }
  const { state, proposal } = await createProposal(mls, room.members.get(author)!, await choices[each.what]())
  room.members.set(author, state)
  await spreadProposal(room, proposal, author)
}

async function join(room: TestRoom, device: TestDevice, withPsk: boolean): Promise<void> {
  if (room.members.size === 1 && room.members.has(device)) return
  const result = await joinExternally(mls, {
    groupInfo: room.groupInfo,
    ...device,
    authenticate: everyone,
    ...(withPsk && { psks: [psk(room, { next: 0 })] }),
  })
  const former = room.members.get(device)
  await spreadCommit(room, device, result)
  if (former !== undefined) {
    // the former self of the one who came anew notices that it is out
    const { hub, members } = room
    assert.ok(members.has(device) && hub)
  }
}

function psk(room: TestRoom, names: { next: number }) {
  const made = { id: utf8(`psk${names.next++}`), secret: utf8(`secret ${room.psks.length}`) }
  const known = room.psks.find(({ id }) => Buffer.from(id).equals(made.id))
  if (known !== undefined) return known
  room.psks.push(made)
  return made
}

function extensionChoice(room: TestRoom, choice: number): Extension[] | undefined {
  const hub = externalSenderExtension(room.hubKeys.publicKey, utf8('hub.example'))
  return [[], [hub, roomExtension({ kind: 'self' })], [hub], [roomExtension({ kind: 'direct' })]][choice % 12]
}

function pick(room: TestRoom, choice: number): TestDevice {
  return [...room.members.keys()][choice % room.members.size]!
}

function pendingCount(room: TestRoom): number {
  return publicPendingProposals(room.hub).length
}

function hasHub(room: TestRoom): boolean {
  return publicExtensionsOf(room.hub).some(({ type }) => type === extensionTypes.externalSenders)
}
