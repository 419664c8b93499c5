import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { type Contact, decideContact, refuseDirectMessage } from './contact.ts'

const stranger: Contact = {
  asker: { kind: 'person', optedIn: false },
  target: { kind: 'person', optedIn: false, firstContact: 'anyone' },
  askerBlocksTarget: false,
  targetBlocksAsker: false,
  consent: undefined,
}
const person = { kind: 'person', optedIn: false } as const
const edge = { kind: 'edge', optedIn: false } as const
const target = (firstContact: Contact['target']['firstContact'], optedIn = false) =>
  ({ kind: 'person', optedIn, firstContact }) as const

describe('who may take up contact', () => {
  const cases: [string, Partial<Contact>, string][] = [
    ['a stranger with somebody who takes anyone', {}, 'requested'],
    ['a stranger with somebody who wants to be asked', { target: target('consent') }, 'consent-required'],
    ['a stranger with somebody who takes nobody', { target: target('nobody') }, 'not-reachable'],
    ['somebody who was granted it', { target: target('nobody'), consent: 'granted' }, 'accepted'],
    ['somebody who has asked only', { target: target('consent'), consent: 'requested' }, 'consent-required'],
    ['somebody who was denied it', { target: target('anyone'), consent: 'denied' }, 'not-reachable'],
    ['somebody who is blocked', { targetBlocksAsker: true, consent: 'granted' }, 'not-reachable'],
    ['somebody who blocks', { askerBlocksTarget: true, consent: 'granted' }, 'blocked'],
    ['an edge with somebody who did not opt in', { asker: edge }, 'not-reachable'],
    ['an edge with somebody who did', { asker: edge, target: target('anyone', true) }, 'requested'],
    ['an edge with a person who opted out again', { asker: edge, consent: 'granted' }, 'not-reachable'],
    [
      'a person with an edge, without having opted in',
      { target: { ...target('anyone'), kind: 'edge' } },
      'not-opted-in',
    ],
    [
      'a person with an edge, having opted in',
      { asker: { ...person, optedIn: true }, target: { ...target('anyone'), kind: 'edge' } },
      'requested',
    ],
    [
      'an edge with an edge',
      { asker: { ...edge, optedIn: true }, target: { ...target('anyone', true), kind: 'edge' } },
      'not-reachable',
    ],
    [
      'an edge with an edge that has granted it',
      { asker: edge, target: { ...edge, firstContact: 'anyone' }, consent: 'granted' },
      'accepted',
    ],
    [
      'an edge with an edge that blocks it',
      { asker: edge, target: { ...edge, firstContact: 'anyone' }, consent: 'granted', targetBlocksAsker: true },
      'not-reachable',
    ],
  ]
  for (const [who, change, expected] of cases)
    test(`${who}: ${expected}`, () => {
      const decision = decideContact({ ...stranger, ...change })
      assert.equal(decision.allowed ? decision.standing : decision.code, expected)
    })
})

test('a message into a direct room passes only to a partner who still takes it', () => {
  const partner = { standing: 'accepted', allowance: 0, blocksOrBlocked: false, optedIn: true } as const
  assert.equal(refuseDirectMessage(partner), undefined)
  assert.equal(refuseDirectMessage({ ...partner, standing: 'left' }), 'not-allowed')
  assert.equal(refuseDirectMessage({ ...partner, standing: 'declined' }), 'not-allowed')
  assert.equal(refuseDirectMessage({ ...partner, blocksOrBlocked: true }), 'blocked')
  assert.equal(refuseDirectMessage({ ...partner, optedIn: false }), 'not-opted-in')
  assert.equal(refuseDirectMessage({ ...partner, standing: 'requested', allowance: 1 }), undefined)
  assert.equal(refuseDirectMessage({ ...partner, standing: 'requested' }), 'request-limit')
})
