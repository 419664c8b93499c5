// Random histories of groups in which some members run this project's code and some run OpenMLS.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { utf8 } from '../../src/crypto/index.ts'
import { nodeMlsProvider } from '../../src/mls/provider-node.ts'
import fc from '../support/fast-check.ts'
import { MixedRoom } from './mixed-room.ts'
import { build, OpenMlsProcess, reasonToSkip } from './openmls-process.ts'
import { openMlsParty, type Party, type ProposalWish, siltaParty } from './party.ts'

/** Histories are made until this time is up: about six a second on two shared cores. */
const historiesMs = Number(process.env.INTEROP_SECONDS ?? 30) * 1000

const mls = nodeMlsProvider()

interface World {
  process: OpenMlsProcess
  room: MixedRoom
  handshakesPrivate: boolean
  names: () => string
}

const nat = fc.nat(1000)
const of = <T extends string>(type: T) => fc.constant(type)
const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      type: of('commit'),
      who: nat,
      adds: fc.array(fc.boolean(), { maxLength: 2 }),
      remove: nat,
      psk: fc.boolean(),
      extensions: nat,
      update: fc.boolean(),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      type: of('propose'),
      who: nat,
      what: fc.constantFrom('add', 'remove', 'update', 'psk', 'extensions', 'conflict'),
      about: nat,
      openMls: fc.boolean(),
    }),
  },
  { weight: 1, arbitrary: fc.record({ type: of('hub-removes'), who: nat }) },
  { weight: 2, arbitrary: fc.record({ type: of('join'), openMls: fc.boolean(), psk: fc.boolean() }) },
  { weight: 2, arbitrary: fc.record({ type: of('resync'), who: nat, psk: fc.boolean() }) },
  { weight: 3, arbitrary: fc.record({ type: of('say'), who: nat }) },
)
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never

const history = fc.record({
  handshakesPrivate: fc.boolean(),
  openMlsCreates: fc.boolean(),
  steps: fc.array(step, { minLength: 4, maxLength: 16 }),
})

test('mixed groups with OpenMLS live through random histories', { timeout: 580_000 }, async (t) => {
  const reason = reasonToSkip()
  if (reason !== undefined) {
    assert.ok(['', '0', 'false', undefined].includes(process.env.CI), reason)
    t.skip(reason)
    return
  }
  const program = await build()
  const counts = new Map<string, number>()
  await using counterpart = new OpenMlsProcess(program)
  let next = 0
  let histories = 0
  await fc.assert(
    fc.asyncProperty(history, async ({ handshakesPrivate, openMlsCreates, steps }) => {
      histories++
      const prefix = `h${histories}`
      const world: World = {
        process: counterpart,
        room: new MixedRoom(mls),
        handshakesPrivate,
        names: () => `${prefix}-${next++}`,
      }
      await world.room.create(await party(world, openMlsCreates), !handshakesPrivate)
      await commit(world, { who: 0, adds: [true, false], remove: 1, psk: false, extensions: 4, update: false })
      for (const each of steps) {
        if (await take(world, each)) counts.set(each.type, (counts.get(each.type) ?? 0) + 1)
      }
      await commit(world, { who: 0, adds: [], remove: 1, psk: false, extensions: 4, update: true })
      for (const member of world.room.members) await world.room.say(member, 'at last')
    }),
    { numRuns: 1000, interruptAfterTimeLimit: historiesMs, markInterruptAsFailure: false },
  )
  t.diagnostic(`${histories} histories: ${[...counts].map(([type, count]) => `${count} × ${type}`).join(', ')}`)
})

async function party(world: World, openMls: boolean): Promise<Party> {
  const name = world.names()
  return openMls ? openMlsParty(world.process, name, world.handshakesPrivate) : siltaParty(mls, name)
}

/** Whether the step made sense in this state and was taken. */
async function take(world: World, each: Step): Promise<boolean> {
  const { room } = world
  switch (each.type) {
    case 'commit':
      await commit(world, each)
      return true
    case 'propose':
      return propose(world, each)
    case 'hub-removes':
      return hubRemoves(room, pick(room, each.who))
    case 'join': {
      if (room.members.size > 6) return false
      await room.joinExternally(await party(world, each.openMls), await somePsk(world, each.psk), utf8('hello'))
      return true
    }
    case 'resync': {
      if (room.members.size < 2) return false
      await room.joinExternally(pick(room, each.who), await somePsk(world, each.psk), utf8('again'))
      return true
    }
    case 'say':
      if (room.pending > 0) return false
      await room.say(pick(room, each.who), 'a word')
      return true
  }
}

async function commit(world: World, each: Omit<Step & { type: 'commit' }, 'type'>): Promise<void> {
  const { room } = world
  const author = committer(room, each.who)
  const add: Uint8Array[] = []
  if (room.members.size < 6) for (const openMls of each.adds) add.push(await room.invite(await party(world, openMls)))
  const target = pick(room, each.remove)
  const wanted = room.pending === 0 && each.remove % 3 === 0 && target !== author
  const extensions = room.pending === 0 && each.extensions % 8 < 4 ? room.extensions(each.extensions) : undefined
  await room.commit(author, {
    add,
    remove: wanted ? [(await target.state()).ownIndex] : [],
    // OpenMLS 0.9.2 takes its own pre-shared keys before those proposed, and lists them after: RFC 9420 §8.4 wants one order
    psks: await somePsk(world, each.psk && (author.kind === 'silta' || room.pending === 0)),
    extensions,
    update: each.update,
    aad: utf8('commit'),
  })
}

/**
 * Whoever proposed things that exclude each other must not keep others from committing. This project's members choose
 * among them; OpenMLS' committers fail on some, so those are for ours. Nobody commits their own removal.
 */
function committer(room: MixedRoom, who: number): Party {
  const may = [...room.members].filter(
    (member) => !room.leaving.has(member) && (!room.contested || member.kind === 'silta'),
  )
  return may[who % may.length]!
}

async function propose(world: World, each: Step & { type: 'propose' }): Promise<boolean> {
  const { room } = world
  if (room.members.size < 2 || room.pending > 6) return false
  // conflicts are for our committers to resolve: one of them has to be there, and nobody may propose it away
  const ours = [...room.members].filter((member) => member.kind === 'silta' && !room.leaving.has(member))
  if (ours.length === 0) return false
  const author = pick(room, each.who)
  const target = pick(room, each.about)
  const index = (await target.state()).ownIndex
  const wishes: Record<typeof each.what, () => Promise<[Party, ProposalWish][]>> = {
    add: async () => [[author, { add: await room.invite(await party(world, each.openMls)) }]],
    remove: async () => [[author, { remove: index }]],
    update: async () => [[author, { update: true }]],
    psk: async () => [[author, { psk: (await somePsk(world, true))[0]! }]],
    extensions: async () => [[author, { extensions: room.extensions(each.about) }]],
    conflict: async () => {
      const add = await room.invite(await party(world, each.openMls))
      const other = [...room.members].find((member) => member !== author)!
      return [
        [author, { extensions: room.extensions(each.about) }],
        [other, { extensions: room.extensions(each.about + 1) }],
        [author, { remove: index }],
        [other, { remove: index }],
        [author, { add }],
        [other, { add }],
      ]
    },
  }
  if (each.what === 'update' && author.kind === 'silta') return false
  if ((each.what === 'remove' || each.what === 'conflict') && target === ours.at(-1)) return false
  for (const [proposer, wish] of await wishes[each.what]()) await room.proposed(await proposer.propose(wish), proposer)
  if (each.what === 'remove' || each.what === 'conflict') room.leaving.add(target)
  // two of them may exclude each other
  if (room.pending > 1) room.contested = true
  return true
}

async function hubRemoves(room: MixedRoom, target: Party): Promise<boolean> {
  const ours = [...room.members].filter((member) => member.kind === 'silta' && !room.leaving.has(member))
  if (ours.length === 0 || target === ours.at(-1) || !(await room.hubProposesRemoval(target))) return false
  room.leaving.add(target)
  if (room.pending > 1) room.contested = true
  return true
}

async function somePsk(world: World, wanted: boolean) {
  return wanted ? [await world.room.psk(world.names())] : []
}

function pick(room: MixedRoom, choice: number): Party {
  return [...room.members][choice % room.members.size]!
}
