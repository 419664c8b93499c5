import assert from 'node:assert/strict'
import { it } from 'node:test'
import { defaultRegistration, registrationFile } from './registration.ts'

const registration = registrationFile({
  ...defaultRegistration,
  url: 'http://127.0.0.1:9000',
  domain: 'hs.example.org',
  asToken: 'as',
  hsToken: 'hs',
})

it('the registration asks for all that end-to-end encryption needs', () => {
  for (const key of [
    'receive_ephemeral',
    'de.sorunome.msc2409.push_ephemeral',
    'org.matrix.msc3202',
    'io.element.msc4190',
  ])
    assert.equal(registration[key], true)
  assert.equal(registration.rate_limited, false)
})

it('the registration claims our ghosts and nobody else', () => {
  const { users } = registration.namespaces as { users: { regex: string; exclusive: boolean }[] }
  const claims = (user: string) =>
    users.some(({ regex, exclusive }) => exclusive && new RegExp(`^(?:${regex})$`).test(user))
  assert.ok(claims('@silta_0123:hs.example.org'))
  assert.ok(!claims('@alice:hs.example.org'))
  assert.ok(!claims('@silta_0123:hsxexample.org'))
})
