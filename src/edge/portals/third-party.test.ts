import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { AccountAddress } from '../../identity/index.ts'
import type { PortalContext } from './context.ts'
import { defaultPortalSettings } from './settings.ts'
import { thirdParty } from './third-party.ts'

test('the homeserver looks up only so many handles in a minute', async () => {
  let now = 0
  const asked: string[] = []
  const settings = { ...defaultPortalSettings, thirdPartyLookUps: 2 }
  const ghosts = { ensure: async (account: string) => `@silta_${account}:hs.test` }
  const { findUsers } = thirdParty({
    context: { ghosts, settings, clock: () => now } as unknown as PortalContext,
    network: 'Test',
    async lookUp(handle) {
      asked.push(handle)
      return handle as AccountAddress
    },
  })
  const find = async (handle: string) => (await findUsers({ protocol: 'silta', fields: { handle } })).length
  assert.deepEqual([await find('ana'), await find('ben'), await find('cy')], [1, 1, 0])
  now = 60_000
  assert.equal(await find('cy'), 1)
  assert.deepEqual(asked, ['ana', 'ben', 'cy'])
})
