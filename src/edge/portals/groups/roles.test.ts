import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Role } from '../../../identity/index.ts'
import { creatorsIn, levelOf, levelsFor, type Powers, roleOf, rules } from './roles.ts'

const bot = '@silta:hs'
const powers = (users: Record<string, number>, more: object = {}, creators: string[] = []): Powers => ({
  content: { users, ...more },
  creators,
  bot,
})

test('what a power is in the group, below the bot and beside it', () => {
  const below = powers({ '@a:hs': 100, '@b:hs': 75, '@c:hs': 50, '@d:hs': 49 }, {}, [bot])
  assert.deepEqual(
    ['@a:hs', '@b:hs', '@c:hs', '@d:hs', '@e:hs'].map((who) => roleOf(below, who)),
    ['owner', 'admin', 'admin', 'member', 'member'],
  )
  const beside = powers({ [bot]: 100, '@a:hs': 100, '@b:hs': 99, '@c:hs': 98 })
  assert.deepEqual(
    ['@a:hs', '@b:hs', '@c:hs'].map((who) => roleOf(beside, who)),
    [undefined, 'owner', 'admin'],
  )
  assert.deepEqual([rules(below), rules(beside), rules(powers({ [bot]: 99 }))], [true, true, false])
})

test('creators stand above numbers from room version 12 on', () => {
  assert.deepEqual(creatorsIn({ room_version: '12', additional_creators: ['@b:hs', 7] }, '@a:hs'), ['@a:hs', '@b:hs'])
  for (const room_version of ['11', undefined, 'org.example.own'])
    assert.deepEqual(creatorsIn({ room_version, additional_creators: ['@b:hs'] }, '@a:hs'), [])
})

test('the powers of a room say what its members are, and nothing of those who are none', () => {
  const roles = new Map<string, Role>([
    ['@a:hs', 'owner'],
    ['@b:hs', 'admin'],
    ['@c:hs', 'member'],
  ])
  const before = powers(
    { [bot]: 100, '@gone:hs': 50, '@c:hs': 75, '@maker:hs': 100 },
    { kick: 0, invite: 50, events: { 'm.room.tombstone': 150, 'm.room.name': 0 }, notifications: { room: 20 } },
  )
  const after = levelsFor(before, roles)
  assert.deepEqual(after.users, { [bot]: 100, '@maker:hs': 100, '@a:hs': 99, '@b:hs': 50 })
  const { kick, invite, notifications, users_default } = after
  assert.deepEqual(
    { kick, invite, notifications, users_default },
    { kick: 50, invite: 0, notifications: { room: 20 }, users_default: 0 },
  )
  const events = after.events as Record<string, number>
  // What is above the bot cannot be changed by it, and the homeserver would refuse all of it.
  assert.deepEqual([events['m.room.tombstone'], events['m.room.name'], events['m.room.power_levels']], [150, 50, 99])
  const again: Powers = { ...before, content: after }
  for (const [who, role] of roles) assert.equal(roleOf(again, who), role)
  assert.equal(levelOf(again, '@gone:hs'), 0)
  assert.deepEqual(levelsFor(again, roles), after)
})

test('creators and owners of a new room: nobody is named who stands above numbers', () => {
  const after = levelsFor(
    powers({}, {}, [bot, '@a:hs']),
    new Map([
      ['@a:hs', 'owner'],
      ['@b:hs', 'owner'],
    ]),
  )
  assert.deepEqual(after.users, { '@b:hs': 100 })
})

test('what members write needs no power, whatever somebody has asked for; what the bridge cannot change stays', () => {
  const levels = (events: Record<string, unknown>) =>
    levelsFor(powers({ [bot]: 100, '@a:hs': 100 }, { events }), new Map()).events as Record<string, unknown>
  const asked = { 'm.room.encrypted': 50, 'm.room.message': 100, 'm.reaction': '50', 'm.room.redaction': 0 }
  const { 'm.room.encrypted': encrypted, 'm.room.message': message, 'm.reaction': reaction } = levels(asked)
  assert.deepEqual([encrypted, message, reaction], [0, 0, 0])
  assert.equal(levels({ 'm.room.encrypted': 150 })['m.room.encrypted'], 150)
  assert.equal('m.room.encrypted' in levels({}), false)
  assert.equal(levels({ 'org.example.poll': 50 })['org.example.poll'], 50)
})
