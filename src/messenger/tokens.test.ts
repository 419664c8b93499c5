import assert from 'node:assert/strict'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, describe, test } from 'node:test'
import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import { nodeCrypto } from '../crypto/node.ts'
import { acceptIssuers, openLocalIssuer, openTokenVerifier, TokenError } from './tokens.ts'

const issuer = 'https://accounts.example.org'
const audience = 'silta'
const now = 1_800_000_000
const clock = () => now * 1000
const refused = (code: string) => (error: unknown) => error instanceof TokenError && error.code === code

const pair = await generateKeyPair('ES256', { extractable: true })
const verifier = openTokenVerifier({ issuer, audience, keys: async () => pair.publicKey, clock })

const claims = { iss: issuer, aud: audience, sub: 'u-17', kind: 'person', exp: now + 60 }
const sign = (payload: Record<string, unknown>, key = pair.privateKey, alg = 'ES256') =>
  new SignJWT(payload).setProtectedHeader({ alg, kid: 'k1' }).sign(key)

describe('a token of the configured issuer', () => {
  test('says whose account it is for', async () => {
    assert.deepEqual(await verifier.verify(await sign(claims)), { subject: `${issuer}#u-17`, kind: 'person' })
    const edge = { ...claims, kind: 'edge', operator: 'bridge.example', network: 'matrix' }
    assert.deepEqual(await verifier.verify(await sign(edge)), {
      subject: `${issuer}#u-17`,
      kind: 'edge',
      operator: 'bridge.example',
      network: 'matrix',
    })
  })

  const refusals: [string, Record<string, unknown>, string][] = [
    ['from another issuer', { iss: 'https://evil.example' }, 'wrong-issuer'],
    ['for another audience', { aud: 'other' }, 'wrong-audience'],
    ['that is over', { exp: now - 31 }, 'expired'],
    ['that has not begun', { nbf: now + 60 }, 'expired'],
    ['without an end', { exp: undefined }, 'bad-claims'],
    ['that is good for years', { exp: now + 365 * 24 * 3600 }, 'bad-claims'],
    ['without a subject', { sub: undefined }, 'bad-claims'],
    ['with an empty subject', { sub: '' }, 'bad-claims'],
    ['with a subject that could break a line', { sub: 'a\nb' }, 'bad-claims'],
    ['of no kind', { kind: undefined }, 'bad-claims'],
    ['of a kind that nobody may ask for', { kind: 'guest' }, 'bad-claims'],
    ['of an edge without an operator', { kind: 'edge', network: 'matrix' }, 'bad-claims'],
    ['of a person who names an operator', { operator: 'bridge.example' }, 'bad-claims'],
  ]
  for (const [name, change, code] of refusals)
    test(`${name} is refused`, async () => {
      await assert.rejects(verifier.verify(await sign({ ...claims, ...change })), refused(code))
    })

  test('signed by somebody else, unsigned, or by a shared secret is refused', async () => {
    const other = await generateKeyPair('ES256')
    await assert.rejects(verifier.verify(await sign(claims, other.privateKey)), refused('bad-signature'))
    const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
    await assert.rejects(verifier.verify(`${encode({ alg: 'none' })}.${encode(claims)}.`), refused('malformed'))
    // The attack: the public key, which everybody has, used as an HMAC secret.
    const secret = new TextEncoder().encode(JSON.stringify(await exportJWK(pair.publicKey)))
    const forged = await new SignJWT(claims).setProtectedHeader({ alg: 'HS256' }).sign(secret)
    await assert.rejects(verifier.verify(forged), refused('malformed'))
  })

  test('that is no token, or endless, is refused', async () => {
    for (const token of ['', 'x', 'a.b.c', '..', 'e30.e30.e30', 'a'.repeat(9000)])
      await assert.rejects(verifier.verify(token), refused('malformed'))
  })

  test('an issuer that may vouch for people only cannot make an edge', async () => {
    const people = openTokenVerifier({ issuer, audience, keys: async () => pair.publicKey, kinds: ['person'], clock })
    const edge = { ...claims, kind: 'edge', operator: 'bridge.example', network: 'matrix' }
    await assert.rejects(people.verify(await sign(edge)), refused('bad-claims'))
  })
})

describe('keys over HTTP', () => {
  let server: Server
  let status = 200
  const serve = async () => {
    const jwk = { ...(await exportJWK(pair.publicKey)), kid: 'k1', alg: 'ES256' }
    server = createServer((_, response) => response.writeHead(status).end(JSON.stringify({ keys: [jwk] })))
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    return new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/jwks.json`)
  }
  after(() => server.close())

  test('are fetched; while they cannot be, a token is neither taken nor called bad', async () => {
    const url = await serve()
    status = 500
    const away = openTokenVerifier({ issuer, audience, keys: url, clock })
    await assert.rejects(
      away.verify(await sign(claims)),
      (error: unknown) => refused('unavailable')(error) && (error as TokenError).retry,
    )
    status = 200
    const there = openTokenVerifier({ issuer, audience, keys: url, clock })
    assert.equal((await there.verify(await sign(claims))).subject, `${issuer}#u-17`)
    const nobody = openTokenVerifier({ issuer, audience, keys: new URL('http://127.0.0.1:9/'), clock })
    await assert.rejects(nobody.verify(await sign(claims)), refused('unavailable'))
  })
})

describe('an issuer inside the process', () => {
  const open = (fill: number, name: string, kinds: readonly ('person' | 'edge')[]) =>
    openLocalIssuer({ crypto: nodeCrypto, privateKey: new Uint8Array(32).fill(fill), issuer: name, audience, kinds })

  test('issues what its verifier takes, and nothing beyond its kinds', async () => {
    const trial = await open(1, 'silta-trial', ['person'])
    const token = await trial.issue({ sub: 'alice', kind: 'person' })
    assert.deepEqual(await trial.verifier.verify(token), { subject: 'silta-trial#alice', kind: 'person' })
    const edge = await trial.issue({ sub: 'x', kind: 'edge', operator: 'o', network: 'n' })
    await assert.rejects(trial.verifier.verify(edge), refused('bad-claims'))
  })

  test('several issuers are told apart: one cannot issue in the name of another', async () => {
    const trial = await open(1, 'silta-trial', ['person'])
    const edge = await open(2, 'silta-edge', ['edge'])
    const both = acceptIssuers({ [trial.issuer]: trial.verifier, [edge.issuer]: edge.verifier })
    assert.equal((await both.verify(await trial.issue({ sub: 'a', kind: 'person' }))).subject, 'silta-trial#a')
    const claimed = await edge.issue({ sub: 'a', kind: 'edge', operator: 'o', network: 'n' })
    assert.equal((await both.verify(claimed)).subject, 'silta-edge#a')
    const impostor = await open(1, 'silta-edge', ['edge'])
    const forged = await impostor.issue({ sub: 'a', kind: 'edge', operator: 'o', network: 'n' })
    await assert.rejects(both.verify(forged), refused('bad-signature'))
    const unknown = await open(3, 'toString', ['person'])
    await assert.rejects(both.verify(await unknown.issue({ sub: 'a', kind: 'person' })), refused('wrong-issuer'))
    await assert.rejects(both.verify('x'), refused('malformed'))
  })
})

test('an error repeats nothing of the token', async () => {
  const error = await verifier
    .verify(await sign({ ...claims, sub: 'canary', aud: 'canary' }))
    .catch((reason: unknown) => reason)
  assert.ok(error instanceof TokenError)
  assert.doesNotMatch(`${error.stack} ${JSON.stringify(error)} ${String(error.cause)}`, /canary/)
})
