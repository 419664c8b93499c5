import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { AccountAddress } from '../../identity/index.ts'
import { stateOf } from './from-messenger.ts'
import { fitness } from './matrix-room.ts'
import { refusalWords, untranslatableWords } from './words.ts'

const other = 'mimi://e.org/u/x' as AccountAddress

test('what a messenger room means for its portal', () => {
  for (const [room, wanted] of [
    [{ standing: 'requested', answered: false, inviter: other }, { state: 'offered' }],
    [{ standing: 'accepted', answered: false, inviter: other }, { state: 'open' }],
    [{ standing: 'accepted', answered: false }, { state: 'requested' }],
    [{ standing: 'accepted', answered: true }, { state: 'open' }],
    [{ standing: 'accepted', answered: false, otherStanding: 'accepted' }, { state: 'open' }],
    [
      { standing: 'accepted', answered: true, otherStanding: 'left' },
      { state: 'ended', ending: 'left-there' },
    ],
    [
      { standing: 'accepted', answered: false, otherStanding: 'declined' },
      { state: 'ended', ending: 'declined-there' },
    ],
    [
      { standing: 'left', answered: true, otherStanding: 'left' },
      { state: 'ended', ending: 'left-here' },
    ],
    [
      { standing: 'declined', answered: true },
      { state: 'ended', ending: 'declined-here' },
    ],
  ] as const)
    assert.deepEqual(stateOf(room), wanted, JSON.stringify(room))
})

const ghost = '@silta_x:hs'
const user = '@alice:hs'
const member = (who: string, membership: string) => ({ type: 'm.room.member', state_key: who, content: { membership } })
const state = (type: string, content: object, sender = user) => ({ type, state_key: '', sender, content })
const encryption = state('m.room.encryption', { algorithm: 'm.megolm.v1.aes-sha2' })
const closed = state('m.room.join_rules', { join_rule: 'invite' })
const both = [member(ghost, 'join'), member(user, 'join')]
const trusted12 = [
  state('m.room.create', { room_version: '12', additional_creators: [ghost] }),
  state('m.room.power_levels', { users: {} }),
]

test('whether a room that a ghost was invited to can be its portal', () => {
  for (const [events, wanted] of [
    [[encryption, closed, ...both, ...trusted12], 'fit'],
    [[closed, ...both, ...trusted12], 'unencrypted'],
    [[encryption, ...both, ...trusted12], 'public'],
    [[encryption, state('m.room.join_rules', { join_rule: 'public' }), ...both, ...trusted12], 'public'],
    [
      [
        encryption,
        closed,
        state('m.room.history_visibility', { history_visibility: 'world_readable' }),
        ...both,
        ...trusted12,
      ],
      'public',
    ],
    [[encryption, closed, ...both, member('@bob:hs', 'invite'), ...trusted12], 'not-two'],
    [[encryption, closed, ...both, member('@bob:hs', 'leave'), ...trusted12], 'fit'],
    [[encryption, closed, ...both, state('m.room.create', { room_version: '12' })], 'powerless'],
    [
      [
        encryption,
        closed,
        ...both,
        state('m.room.create', { room_version: '11' }),
        state('m.room.power_levels', { users: { [ghost]: 100 } }),
      ],
      'fit',
    ],
    [
      [
        encryption,
        closed,
        ...both,
        state('m.room.create', { room_version: '11' }),
        state('m.room.power_levels', { users_default: 50 }),
      ],
      'fit',
    ],
    [
      [
        encryption,
        closed,
        ...both,
        state('m.room.create', { room_version: '11' }),
        state('m.room.power_levels', { events: { 'eu.silta.posture': 0 } }),
      ],
      'fit',
    ],
    [
      [encryption, closed, ...both, state('m.room.create', { room_version: '11', additional_creators: [ghost] })],
      'powerless',
    ],
  ] as const)
    assert.equal(fitness(events, ghost, user), wanted, JSON.stringify(events.slice(2)))
})

test('a refusal says what happened, whether anything was lost, and what to do', () => {
  for (const code of ['not-opted-in', 'request-limit', 'rate-limited', 'unavailable', 'bad-commit'] as const) {
    assert.match(refusalWords(code, 'message'), /^Your message was not delivered\. \w.*\.$/)
    assert.doesNotMatch(refusalWords(code, 'start'), /message was not delivered/)
  }
  assert.match(refusalWords('blocked', 'message', 'Ana'), /Ana does not take messages from you/)
  assert.match(untranslatableWords('media'), /stayed in this room.*Send text/)
  for (const said of [refusalWords('key-changed', 'message'), untranslatableWords('verification')])
    assert.doesNotMatch(said, /[!]|MLS|epoch|KeyPackage|undefined/)
})
