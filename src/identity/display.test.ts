import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { nodeCrypto as crypto } from '../crypto/node.ts'
import { webCrypto } from '../crypto/web.ts'
import { type AccountKind, describePosture, newAccountAddress, posture, safetyNumber } from './index.ts'

const account = () => ({ address: newAccountAddress(crypto, 'a.example'), accountKey: crypto.randomBytes(32) })

describe('a safety number', () => {
  test('has twelve groups of five digits and is the same on both sides and in a browser', () => {
    const [a, b] = [account(), account()]
    const number = safetyNumber(crypto, a, b)
    assert.match(number, /^(\d{5} ){11}\d{5}$/)
    assert.equal(safetyNumber(crypto, b, a), number)
    assert.equal(safetyNumber(webCrypto, a, b), number)
  })

  test('is another one for another key or another address', () => {
    const [a, b] = [account(), account()]
    const number = safetyNumber(crypto, a, b)
    assert.notEqual(safetyNumber(crypto, a, { ...b, accountKey: crypto.randomBytes(32) }), number)
    assert.notEqual(safetyNumber(crypto, { ...a, address: b.address }, b), number)
  })

  test('does not change from one version to the next', () => {
    const fixed = (byte: number) => ({
      address: `mimi://a.example/u/${'A'.repeat(21)}${'AQ'[byte]}` as ReturnType<typeof account>['address'],
      accountKey: new Uint8Array(32).fill(byte),
    })
    assert.equal(
      safetyNumber(crypto, fixed(0), fixed(1)),
      '01207 77950 39704 69560 48574 49926 74854 54961 20438 16632 91387 55914',
    )
  })
})

describe('posture', () => {
  const leaf = (accountKind: AccountKind, operator?: string, network?: string, from = account()) => ({
    address: from.address,
    accountKind,
    ...(operator !== undefined && { operator }),
    ...(network !== undefined && { network }),
  })
  const person = account()
  const people = [
    leaf('person', undefined, undefined, person),
    leaf('person', undefined, undefined, person),
    leaf('business'),
  ]
  const matrix = leaf('edge', 'bridge.example', 'matrix')

  test('is native while only members read, however many devices they have', () => {
    const native = posture(people)
    assert.deepEqual(native, { level: 'native', readers: [], accounts: 2 })
    assert.equal(
      describePosture(native, { other: 'Ana' }),
      'Only you and Ana can read this chat. The company that runs it cannot.',
    )
    assert.equal(
      describePosture(native, { host: 'silta.example' }),
      'Only you and the other person can read this chat. silta.example cannot.',
    )
  })

  test('names every operator of an edge once', () => {
    const bridged = posture([people[0]!, matrix, leaf('edge', 'bridge.example', 'matrix')])
    assert.deepEqual(bridged, {
      level: 'edge',
      readers: [{ operator: 'bridge.example', network: 'matrix' }],
      accounts: 3,
    })
    assert.equal(
      describePosture(bridged, { host: 'bridge.example' }),
      'Only the 3 members can read this chat, and bridge.example, which translates to Matrix.',
    )
    const both = posture([people[0]!, leaf('edge', 'other.example', 'xmpp'), matrix])
    assert.equal(
      describePosture(both, { host: 'silta.example' }),
      'Only the 3 members can read this chat, and bridge.example, which translates to Matrix; and other.example, which translates to XMPP. silta.example cannot.',
    )
  })

  test('says so where a network behind an edge does not encrypt', () => {
    const plain = posture([people[0]!, leaf('edge', 'bridge.example', 'sms')], ['sms'])
    assert.equal(plain.level, 'plaintext')
    assert.match(describePosture(plain), /translates to sms\. Part of the way it is not encrypted/)
    assert.equal(posture([people[0]!, matrix], ['sms']).level, 'edge')
  })

  test('of one account alone', () => {
    const alone = posture(people.slice(0, 2))
    assert.equal(describePosture(alone), 'Only you can read this chat. The company that runs it cannot.')
  })
})
