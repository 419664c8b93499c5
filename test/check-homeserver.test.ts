// `silta check` against a real Synapse: as it should be, and with each of its switches left out.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { parse } from 'yaml'
import { ensureSynapse, type Synapse, startSynapse } from '../scripts/support/synapse.ts'
import { run } from '../src/cli/index.ts'
import { freePort } from './support/ports.ts'
import { synapseMissing } from './support/synapse.ts'

const skip = await synapseMissing()
const home = mkdtempSync(join(tmpdir(), 'silta-check-'))
after(() => rmSync(home, { recursive: true, force: true }))

async function silta(command: string, env: NodeJS.ProcessEnv) {
  let out = ''
  const code = await run([command], {
    env,
    out: (text) => {
      out += text
    },
    err: () => undefined,
  })
  return { code, out }
}

interface Switches {
  readonly name: string
  /** Left out of homeserver.yaml. */
  readonly experimental?: readonly string[]
  /** Left out of the registration. */
  readonly registration?: readonly string[]
}

/** A Synapse that was set up by what `silta registration` prints, except what is left out. */
async function setUp({ name, experimental = [], registration = [] }: Switches) {
  const python = await ensureSynapse((line) => console.error(line))
  const [port, own] = await Promise.all([freePort(), freePort()])
  const env = {
    SILTA_PROVIDER_DOMAIN: 'chat.example',
    SILTA_DATA_DIRECTORY: join(home, name, 'data'),
    SILTA_LISTEN_PORT: String(own),
    SILTA_TOKENS_TRIAL: 'false',
    SILTA_MATRIX_HOMESERVER_URL: `http://127.0.0.1:${port}`,
    SILTA_MATRIX_DOMAIN: 'hs.test',
  }
  const file = parse((await silta('registration', env)).out) as Record<string, unknown>
  for (const field of registration) delete file[field]
  const features = { msc2409_to_device_messages_enabled: true, msc3202_transaction_extensions: true }
  const left = Object.entries(features).filter(([feature]) => !experimental.includes(feature))
  const synapse = await startSynapse({
    python,
    folder: join(home, name, 'synapse'),
    port,
    domain: 'hs.test',
    registrations: [file],
    unlimited: true,
    more: { experimental_features: Object.fromEntries(left) },
  })
  return { env, synapse }
}

function withSynapse(switches: Switches, define: (env: () => NodeJS.ProcessEnv) => void): void {
  describe(switches.name, { skip }, () => {
    let running: { env: NodeJS.ProcessEnv; synapse: Synapse } | undefined
    before(async () => {
      running = await setUp(switches)
    })
    after(async () => running?.synapse.stop(2000))
    define(() => running!.env)
  })
}

withSynapse({ name: 'as it should be' }, (env) => {
  test('nothing is wrong, and again', async () => {
    for (let times = 0; times < 2; times++) {
      const { code, out } = await silta('check', env())
      assert.equal(code, 0, out)
      assert.match(out, /ok {7}homeserver: .* answers\./)
      for (const about of [
        'clock',
        'appservice token',
        'server name',
        'way back',
        'own address',
        'delivery of keys',
        'counts of keys',
      ])
        assert.match(out, new RegExp(`^ok {7}${about}: `, 'm'))
    }
  })

  const mistakes: [string, NodeJS.ProcessEnv, RegExp][] = [
    [
      'another token',
      { SILTA_MATRIX_AS_TOKEN: 'x'.repeat(32) },
      /WRONG {4}appservice token: .*does not know this as_token/,
    ],
    [
      'another token of the homeserver',
      { SILTA_MATRIX_HS_TOKEN: 'x'.repeat(32) },
      /WRONG {4}way back: .*another hs_token/,
    ],
    [
      'another server name',
      { SILTA_MATRIX_DOMAIN: 'other.test' },
      /WRONG {4}server name: .*hs\.test, but matrix\.domain is other\.test/,
    ],
    ['another bot', { SILTA_MATRIX_BOT_LOCALPART: 'other' }, /WRONG {4}bridge bot: /],
    ['another id', { SILTA_MATRIX_REGISTRATION_ID: 'other' }, /WRONG {4}way back: .*another id than other/],
    ['another prefix', { SILTA_MATRIX_GHOST_PREFIX: 'other_' }, /WRONG {4}ghosts: .*@other_/],
    ['another port', { SILTA_LISTEN_PORT: '0' }, /WRONG {4}way back: .*does not reach/],
  ]
  for (const [name, change, expected] of mistakes)
    test(`${name} is named`, async () => {
      const { code, out } = await silta('check', { ...env(), ...change })
      assert.match(out, expected)
      assert.equal(code, 1)
    })
})

withSynapse({ name: 'without to-device messages', experimental: ['msc2409_to_device_messages_enabled'] }, (env) => {
  test('the switch is named', async () => {
    const { code, out } = await silta('check', env())
    assert.equal(code, 1)
    assert.match(out, /WRONG {4}delivery of keys: [\s\S]*msc2409_to_device_messages_enabled: true/)
  })
})

withSynapse({ name: 'without counts of keys', registration: ['org.matrix.msc3202'] }, (env) => {
  test('the field of the registration is named', async () => {
    const { code, out } = await silta('check', env())
    assert.equal(code, 1)
    assert.match(out, /ok {7}delivery of keys[\s\S]*WRONG {4}counts of keys: [\s\S]*org\.matrix\.msc3202: true/)
  })
})
