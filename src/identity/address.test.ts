import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from '../../test/support/fast-check.ts'
import { nodeCrypto as crypto } from '../crypto/node.ts'
import {
  deviceIdOf,
  IdentityError,
  newAccountAddress,
  newRoomId,
  parseAccountAddress,
  parseDeviceId,
  parseProvider,
  parseRoomId,
  providerOf,
} from './index.ts'

const malformed = (error: unknown) => error instanceof IdentityError && error.code === 'malformed'

describe('addresses', () => {
  test('are random and say their provider', () => {
    for (const provider of [
      'silta.example',
      'localhost',
      'localhost:8008',
      'xn--bcher-kva.example',
      '127.0.0.1:8080',
    ]) {
      const address = newAccountAddress(crypto, provider)
      assert.equal(parseAccountAddress(address), address)
      assert.equal(providerOf(address), provider)
      assert.notEqual(newAccountAddress(crypto, provider), address)
      const room = newRoomId(crypto, provider)
      assert.equal(parseRoomId(room), room)
      assert.equal(providerOf(room), provider)
      assert.throws(() => parseRoomId(address), malformed)
      assert.throws(() => parseAccountAddress(room), malformed)
    }
  })

  test('have one spelling', () => {
    for (const text of [
      '',
      'mimi://silta.example/u/AAAAAAAAAAAAAAAAAAAAA',
      'mimi://silta.example/u/AAAAAAAAAAAAAAAAAAAAAAA',
      'mimi://silta.example/u/AAAAAAAAAAAAAAAAAAAAAB',
      'mimi://silta.example/u/AAAAAAAAAAAAAAAAAAAAA=',
      'mimi://silta.example/u/AAAAAAAAAAAAAAAAAAAAA+',
      'mimi://silta.example/u/AAAAAAAAAAAAAAAAAAAAAA/',
      'mimi://silta.example/u/AAAAAAAAAAAAAAAAAAAAAA\n',
      'mimi://silta.example/d/AAAAAAAAAAAAAAAAAAAAAA',
      'mimi://Silta.example/u/AAAAAAAAAAAAAAAAAAAAAA',
      'mimi://silta.example./u/AAAAAAAAAAAAAAAAAAAAAA',
      'mimi://silta..example/u/AAAAAAAAAAAAAAAAAAAAAA',
      'mimi://-silta.example/u/AAAAAAAAAAAAAAAAAAAAAA',
      'mimi://a@silta.example/u/AAAAAAAAAAAAAAAAAAAAAA',
      'mimi://silta.example:080/u/AAAAAAAAAAAAAAAAAAAAAA',
      'mimi:///u/AAAAAAAAAAAAAAAAAAAAAA',
      'MIMI://silta.example/u/AAAAAAAAAAAAAAAAAAAAAA',
      ` mimi://silta.example/u/AAAAAAAAAAAAAAAAAAAAAA`,
      `mimi://${'a.'.repeat(150)}b/u/AAAAAAAAAAAAAAAAAAAAAA`,
    ]) {
      assert.throws(() => parseAccountAddress(text), malformed, text)
    }
    assert.ok(parseAccountAddress('mimi://silta.example/u/AAAAAAAAAAAAAAAAAAAAAA'))
    assert.ok(parseProvider(`${'a'.repeat(63)}.${'b'.repeat(63)}.${'c'.repeat(63)}.${'d'.repeat(61)}:65535`))
    assert.throws(() => parseProvider(`${'a'.repeat(64)}.example`), malformed)
  })

  test('of any other text give a typed error', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        for (const parse of [parseAccountAddress, parseRoomId, parseDeviceId])
          assert.throws(() => parse(text), malformed)
      }),
    )
  })

  test('a device’s id comes from its key', () => {
    const id = deviceIdOf(crypto, new Uint8Array(32))
    assert.equal(id, 'Zmh6rfhivXdsj8GLjp-OIA')
    assert.equal(parseDeviceId(id), id)
  })
})
