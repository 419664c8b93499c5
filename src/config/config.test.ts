import assert from 'node:assert/strict'
import { chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { nodeCrypto } from '../crypto/node.ts'
import { ConfigError, configFields, loadConfig, readSecrets } from './index.ts'

const home = mkdtempSync(join(tmpdir(), 'silta-config-'))
after(() => rmSync(home, { recursive: true, force: true }))
let count = 0
const fileWith = (text: string, mode = 0o600) => {
  const file = join(home, `c${count++}.yaml`)
  writeFileSync(file, text, { mode })
  chmodSync(file, mode)
  return file
}
const load = (text: string, env: NodeJS.ProcessEnv = {}) => loadConfig({ file: fileWith(text), env }).config
const problems = (run: () => unknown): string => {
  try {
    run()
  } catch (error) {
    assert.ok(error instanceof ConfigError)
    return error.message
  }
  return assert.fail('was accepted')
}

const least = 'provider: {domain: chat.example}\n'

describe('what is read', () => {
  test('a domain is all that must be given', () => {
    const config = load(least)
    assert.deepEqual(config.listen, { host: '127.0.0.1', port: 8480 })
    assert.equal(config.dataDirectory, 'data')
    assert.equal(config.matrix, undefined)
    assert.equal(config.retention.mailboxDays, 30)
  })

  test('the environment alone will do, and goes over the file', () => {
    const env = { SILTA_PROVIDER_DOMAIN: 'env.example', SILTA_LISTEN_PORT: '9000', SILTA_LISTEN_PROXY: 'true' }
    assert.equal(loadConfig({ env }).config.provider.domain, 'env.example')
    const config = load(`${least}listen: {host: 0.0.0.0, port: 1}`, env)
    assert.deepEqual(config.listen, { host: '0.0.0.0', port: 9000, proxy: true })
    assert.equal(config.provider.domain, 'env.example')
  })

  test('every field has a variable, made from its path', () => {
    const variables = new Map(configFields().map((field) => [field.path, field.variable]))
    assert.equal(variables.get('matrix.homeserverUrl'), 'SILTA_MATRIX_HOMESERVER_URL')
    assert.equal(variables.get('limits.connectionsPerAddress'), 'SILTA_LIMITS_CONNECTIONS_PER_ADDRESS')
    for (const field of configFields()) assert.ok(field.about, `${field.path} says what it is for`)
  })

  test('DATABASE_URL is the database, SILTA_DATABASE_URL goes over it', () => {
    const DATABASE_URL = 'postgres://one'
    assert.equal(load(least, { DATABASE_URL }).database.url, DATABASE_URL)
    assert.equal(load(least, { DATABASE_URL, SILTA_DATABASE_URL: 'postgres://two' }).database.url, 'postgres://two')
  })

  test('a misspelt variable is a warning that says which was meant', () => {
    const { warnings } = loadConfig({ file: fileWith(least), env: { SILTA_LISTEN_PORTT: '1', SILTA_PARENT: '2' } })
    assert.equal(warnings.length, 1)
    assert.match(warnings[0]!, /SILTA_LISTEN_PORTT means nothing here\. Did you mean SILTA_LISTEN_PORT\?/)
  })

  test('a file with secrets that everybody can read is a warning', () => {
    const text = `${least}matrix: {homeserverUrl: "http://h", domain: h, asToken: aaaaaaaaaaaaaaaa}`
    assert.equal(loadConfig({ file: fileWith(text, 0o600), env: {} }).warnings.length, 0)
    assert.match(loadConfig({ file: fileWith(text, 0o644), env: {} }).warnings[0]!, /chmod 600/)
  })
})

describe('what is wrong is said in words', () => {
  const cases: [string, string, NodeJS.ProcessEnv, RegExp][] = [
    [
      'nothing at all',
      '',
      {},
      /provider is missing\.\n {4}For example:\n {6}provider:\n {8}domain: chat\.example\.org/,
    ],
    ['no domain', 'provider: {}', {}, /provider\.domain is missing\.\n.*SILTA_PROVIDER_DOMAIN=chat\.example\.org/],
    [
      'a port that is text',
      `${least}listen: {port: web}`,
      {},
      /listen\.port must be a whole number from 0 to 65535, but it is text\./,
    ],
    ['a port too large', least, { SILTA_LISTEN_PORT: '65536' }, /listen\.port must be .*, but it is another number/],
    ['a flag', `${least}production: yes please`, {}, /production must be true or false, but it is text/],
    ['a level', `${least}log: {level: loud}`, {}, /log\.level must be one of trace, debug/],
    [
      'an unknown field',
      `${least}listen: {prot: 1}`,
      {},
      /listen\.prot is not a field .*\n.*Did you mean listen\.port\?/,
    ],
    ['a group that is a word', `${least}listen: 8480`, {}, /listen must be a list of fields/],
    [
      'a URL with a password',
      `${least}matrix: {homeserverUrl: "http://u:p@h", domain: h}`,
      {},
      /matrix\.homeserverUrl must be a URL like/,
    ],
    ['a list', '- a', {}, /must be a list of fields/],
    ['bad YAML', 'provider: {domain: "secret', {}, /line 1, column \d+ is not valid YAML/],
    [
      'half an issuer',
      `${least}tokens: {issuer: "https://a"}`,
      {},
      /tokens\.jwksUrl is missing: issuer and jwksUrl belong together/,
    ],
    ['a secret twice', `${least}database: {url: "postgres://a", urlFile: b}`, {}, /database\.url is given twice/],
    [
      'one token for both sides',
      `${least}matrix: {homeserverUrl: "http://h", domain: h, asToken: aaaaaaaaaaaaaaaa, hsToken: aaaaaaaaaaaaaaaa}`,
      {},
      /matrix\.hsToken is the same secret/,
    ],
  ]
  for (const [name, text, env, expected] of cases)
    test(name, () =>
      assert.match(
        problems(() => loadConfig({ file: fileWith(text), env })),
        expected,
      ),
    )

  test('a file that is not there', () => {
    assert.match(
      problems(() => loadConfig({ file: '/nowhere/silta.yaml', env: {} })),
      /There is no such file/,
    )
  })

  test('several things at once', () => {
    const message = problems(() => load('listen: {port: x}\nlog: {level: y}'))
    for (const path of ['provider', 'listen.port', 'log.level']) assert.ok(message.includes(`  ${path} `), path)
  })

  test('no message repeats what was written', () => {
    const text = `provider: {domain: "canary canary"}\nmatrix: {asToken: canary, homeserverUrl: canary, hsToken: [canary]}\ntokens: {issuer: "canary canary"}`
    assert.doesNotMatch(
      problems(() => load(text)),
      /canary/,
    )
    assert.doesNotMatch(
      problems(() => load('a: {canary: "canary\nb')),
      /canary/,
    )
  })
})

test('production asks for keys that are named, a real issuer over TLS, and no trial issuer', () => {
  const message = problems(() =>
    load(`${least}production: true\ntokens: {trial: true, issuer: a, jwksUrl: "http://accounts.example"}`),
  )
  for (const path of ['sealing.keyFile', 'provider.keyFile', 'audit.keyFile', 'tokens.trial', 'tokens.jwksUrl'])
    assert.ok(message.includes(`  ${path} `), path)
  const key = fileWith('a'.repeat(64))
  const config = load(
    `${least}production: true\nsealing: {keyFile: ${key}}\naudit: {keyFile: ${key}}\nprovider: {domain: a.example, keyFile: ${key}}
tokens: {issuer: a, jwksUrl: "https://accounts.example"}`.replace(least, ''),
  )
  assert.equal(readSecrets(config, nodeCrypto).trialIssuerKey, undefined)
})

test('each example in config/ can be used as it stands', () => {
  const folder = new URL('../../config/', import.meta.url)
  const examples = readdirSync(folder).filter((name) => name.endsWith('.yaml'))
  assert.ok(examples.length >= 3)
  for (const name of examples) {
    const { config } = loadConfig({ file: fileURLToPath(new URL(name, folder)), env: {} })
    assert.equal(config.production === true, name === 'production.yaml')
    assert.match(
      readFileSync(new URL(name, folder), 'utf8'),
      /^# yaml-language-server: \$schema=\.\.\/schemas\/config\.schema\.json/,
    )
  }
})

describe('secrets', () => {
  const matrix = 'matrix: {homeserverUrl: "http://h", domain: h}\n'
  const inFolder = (name: string, more = '') => load(`${least}dataDirectory: ${join(home, name)}\n${more}`)

  test('are generated once, each its own, readable by their owner only', () => {
    const config = inFolder('fresh', matrix)
    const first = readSecrets(config, nodeCrypto)
    assert.deepEqual(readSecrets(config, nodeCrypto), first)
    const folder = join(home, 'fresh', 'secrets')
    const files = readdirSync(folder)
    assert.deepEqual(files.sort(), [
      'audit.key',
      'matrix-as-token',
      'matrix-hs-token',
      'provider.key',
      'sealing.key',
      'trial-issuer.key',
    ])
    for (const name of files) assert.equal(statSync(join(folder, name)).mode & 0o777, 0o600)
    assert.equal(statSync(folder).mode & 0o777, 0o700)
    assert.equal(new Set(files.map((name) => readFileSync(join(folder, name), 'utf8'))).size, files.length)
    assert.equal(first.providerKey.length, 32)
    assert.notDeepEqual(first.providerKey, first.sealingKeys[0])
  })

  test('a named file must be there: no key is generated in its place', () => {
    const config = inFolder('named', `sealing: {keyFile: ${join(home, 'missing.key')}}`)
    assert.match(
      problems(() => readSecrets(config, nodeCrypto)),
      /sealing\.keyFile names a file that does not exist/,
    )
    assert.equal(existsSync(join(home, 'missing.key')), false)
  })

  test('a sealing key file may hold several keys, as base64url, base64 or hexadecimal', () => {
    const keys = [1, 2, 3].map((fill) => Buffer.alloc(32, fill))
    const file = fileWith(
      `${keys[0]!.toString('base64url')}\n${keys[1]!.toString('base64')}\n${keys[2]!.toString('hex')}\n`,
    )
    const { sealingKeys } = readSecrets(inFolder('ring', `sealing: {keyFile: ${file}}`), nodeCrypto)
    assert.deepEqual(
      sealingKeys,
      keys.map((key) => new Uint8Array(key)),
    )
  })

  test('a key of a wrong length is refused, without showing it', () => {
    const config = inFolder('short', `sealing: {keyFile: ${fileWith('c2hvcnQ')}}`)
    const message = problems(() => readSecrets(config, nodeCrypto))
    assert.match(message, /sealing\.keyFile does not hold 32 bytes/)
    assert.doesNotMatch(message, /c2hvcnQ/)
  })

  test('tokens come from the file, from a file of their own, or are generated', () => {
    const file = fileWith('as-token-from-a-file\n')
    const { matrix: tokens } = readSecrets(
      inFolder(
        'tokens',
        `matrix: {homeserverUrl: "http://h", domain: h, asTokenFile: ${file}, hsToken: hs-token-written-here}`,
      ),
      nodeCrypto,
    )
    assert.deepEqual(tokens, { asToken: 'as-token-from-a-file', hsToken: 'hs-token-written-here' })
  })
})
