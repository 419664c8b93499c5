import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { AccountAddress } from '../../../identity/index.ts'
import { applied, countThere, type GroupState, newState, readRoomState, settled } from './state.ts'

const bot = '@silta:hs'
const isGhost = (who: string) => who.startsWith('@silta_')
const member = (who: string, membership: string, sender = who, more: object = {}) => ({
  ...{ type: 'm.room.member', state_key: who, stateKey: who, sender },
  content: { membership, ...more },
})
const crowd = (count: number, membership: string) =>
  Array.from({ length: count }, (_, n) => member(`@crowd${n}:hs`, membership))
const empty = { name: '', members: {}, levels: {}, creators: [] }
const account = (name: string) => `mimi://e.org/u/${name}` as AccountAddress

test('a room of tens of thousands is read in one pass', () => {
  const state = crowd(50_000, 'join')
  assert.equal(countThere(state), 50_000)
  const begun = performance.now()
  assert.equal(Object.keys(readRoomState(state).members).length, 50_000)
  // One pass takes a tenth of it; a pass for each member, minutes.
  assert.ok(performance.now() - begun < 3_000)
})

test('who is out of a room, or was never let in, is not kept', () => {
  const state = [
    ...crowd(1000, 'ban'),
    ...crowd(500, 'leave'),
    member('@a:hs', 'join'),
    member('@b:hs', 'invite', '@a:hs'),
  ]
  assert.equal(countThere(state), 2)
  assert.deepEqual(readRoomState(state).members, {
    '@a:hs': { membership: 'join', by: '@a:hs', founding: true },
    '@b:hs': { membership: 'invite', by: '@a:hs', inviter: '@a:hs' },
  })
})

test('who goes is kept until the messenger has it too: by whom they went is asked then', () => {
  const here = (...names: string[]) =>
    Object.fromEntries(names.map((name) => [`@${name}:hs`, { account: account(name), role: 'member' as const }]))
  const group: GroupState = {
    ...newState,
    matrix: readRoomState([member('@a:hs', 'join'), member('@b:hs', 'join'), member('@c:hs', 'join')]),
    messenger: { name: '', members: here('a', 'b') },
    base: { name: '', members: { '@a:hs': 'member', '@b:hs': 'member' } },
  }
  const events = [member('@b:hs', 'leave', '@a:hs'), member('@c:hs', 'ban', '@a:hs'), ...crowd(50, 'ban')]
  const after = settled({ ...group, matrix: events.reduce(applied, group.matrix!) }, bot, isGhost)
  assert.deepEqual(Object.keys(after.matrix!.members), ['@a:hs', '@b:hs'])
  assert.deepEqual(after.matrix!.members['@b:hs'], { membership: 'leave', by: '@a:hs' })
  const gone = settled({ ...after, messenger: { name: '', members: here('a') } }, bot, isGhost)
  assert.deepEqual(Object.keys(gone.matrix!.members), ['@a:hs'])
  // Before the messenger was looked at, too.
  const { messenger: _, ...unseen } = { ...group, base: newState.base, matrix: crowd(50, 'ban').reduce(applied, empty) }
  assert.deepEqual(settled(unseen, bot, isGhost).matrix!.members, {})
})

test('invitations and names without end are not kept without end', () => {
  const matrix = crowd(1500, 'invite').reduce(applied, empty)
  assert.equal(Object.keys(matrix.members).length, 1000)
  const come = applied(matrix, member('@crowd1400:hs', 'join', '@crowd1400:hs', { displayname: 'x'.repeat(60_000) }))
  const { name, ...place } = come.members['@crowd1400:hs']!
  assert.deepEqual(place, { membership: 'join', by: '@crowd1400:hs' })
  assert.equal(name?.length, 512)
})
