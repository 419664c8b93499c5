import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { disposition, outcomeMessage, profileMessage, singlePart, textMessage } from '../../content/index.ts'
import { utf8 } from '../../crypto/index.ts'
import { nodeCrypto as crypto } from '../../crypto/node.ts'
import type { Context } from '../context.ts'
import { type InviteRecord, invites, type RoomRecord } from '../state/records.ts'
import { memoryStorage } from '../storage/memory.ts'
import { requireGuestCommit } from './admit.ts'
import { isForGuests } from './content.ts'
import {
  decodeLink,
  encodeLink,
  fingerprintOf,
  newInviteId,
  newInviteSecret,
  openName,
  pinCodeOf,
  sealName,
} from './link.ts'
import { newestInvites, storeInvites } from './share.ts'

const link = {
  invite: newInviteId(crypto),
  secret: newInviteSecret(crypto),
  fingerprint: fingerprintOf(crypto, crypto.randomBytes(32)),
  manifest: 70_000,
}

describe('the links that a new device is told of', () => {
  test('are the newest, and no more than it takes', async () => {
    const storage = memoryStorage()
    const record = (createdAt: number, label: string): InviteRecord => ({
      ...{ secret: newInviteSecret(crypto), base: 'https://chat.example', manifest: 1, pin: false, approval: false },
      ...{ singleUse: true, createdAt, expiresAt: createdAt + 1, idleMs: 1, revoked: false, shared: false, label },
    })
    const told = async (count: number, label: string) => {
      const all = Array.from({ length: count }, (_, index) => record(index, `${index} ${label}`))
      const bytes = await storage.transaction(async (tx) => {
        for (const value of all) await invites.put(tx, newInviteId(crypto), value)
        return newestInvites(tx)
      })
      assert.ok(bytes.length <= 32 * 1024, String(bytes.length))
      const other = memoryStorage()
      return other.transaction(async (tx) => {
        await storeInvites(tx, bytes)
        return (await invites.list(tx)).map(({ value }) => value.createdAt).sort((a, b) => b - a)
      })
    }
    assert.equal((await told(20, 'flat')).length, 20)
    const long = await told(200, 'x'.repeat(250))
    assert.ok(long.length >= 60 && long.length < 100, String(long.length))
    assert.deepEqual(
      long.slice(0, 50),
      Array.from({ length: 50 }, (_, index) => 199 - index),
    )
  })
})

describe('a link', () => {
  test('says after being copied what it said before', () => {
    const text = encodeLink(crypto, 'https://chat.example', link)
    assert.deepEqual(decodeLink(crypto, ` ${text.slice(0, 40)}\n${text.slice(40)} `), link)
  })

  test('that lacks a part, or has another id, is told from one that holds', () => {
    const text = encodeLink(crypto, 'https://chat.example', link)
    const other = text.replace(link.invite, newInviteId(crypto))
    for (const broken of ['', text.slice(0, -1), text.split('#')[0]!, `${text}A`, other, text.replace('/g/', '/h/')])
      assert.throws(() => decodeLink(crypto, broken), { code: 'bad-link' })
  })

  test('hides names and PINs from who does not have it', () => {
    const sealed = sealName(crypto, link, 'guest', 'Mia')
    assert.equal(openName(crypto, link, 'guest', sealed), 'Mia')
    assert.equal(openName(crypto, link, 'host', sealed), undefined)
    assert.equal(openName(crypto, { ...link, secret: newInviteSecret(crypto) }, 'guest', sealed), undefined)
    assert.deepEqual(pinCodeOf(crypto, link.secret, ' 4711 '), pinCodeOf(crypto, link.secret, '4711'))
    assert.notDeepEqual(pinCodeOf(crypto, newInviteSecret(crypto), '4711'), pinCodeOf(crypto, link.secret, '4711'))
  })
})

test('a guest’s chat takes texts, replies and names, and nothing else', () => {
  const image = singlePart('image/png', new Uint8Array(4), disposition.attachment)
  const hidden = { ...textMessage({ plain: 'a', html: '<b>a</b>' }).body, semantics: 'processAll' } as never
  for (const good of [
    textMessage({ plain: 'a', markdown: 'a', inReplyTo: new Uint8Array(32) }),
    profileMessage({ name: 'Mia' }),
  ])
    assert.ok(isForGuests(good))
  for (const bad of [
    { body: image },
    { body: hidden },
    textMessage({ plain: 'a', replaces: new Uint8Array(32) }),
    outcomeMessage({ messageId: Uint8Array.of(1, ...new Uint8Array(31)), outcome: 'dropped', code: 'x' }),
    { body: { ...image, contentType: 'text/plain' } },
  ])
    assert.ok(!isForGuests(bad))
})

test('who joins a guest’s chat from outside shows the link’s key, and is one of the two', () => {
  const psk = { id: utf8('the key'), secret: new Uint8Array(32) }
  const context = { self: { address: 'me' } } as unknown as Context
  const record = { kind: 'guest', psk, other: 'other' } as unknown as RoomRecord
  const added = [{ index: 0, identity: new Uint8Array(), signatureKey: new Uint8Array() }]
  const by = (address: string, external: boolean, id?: Uint8Array) => () =>
    requireGuestCommit(context, record, { external, added, proposals: id ? [{ type: 'psk', id }] : [] }, () => ({
      address,
    }))
  by('other', true, psk.id)()
  by('me', true, psk.id)()
  by('other', false)()
  const refusal = { code: 'not-invited' }
  assert.throws(by('other', true), refusal)
  assert.throws(by('other', true, utf8('another key')), refusal)
  assert.throws(by('somebody', false), refusal)
  assert.throws(by('somebody', true, psk.id), refusal)
})
