import { equalBytes } from '../../crypto/index.ts'
import { type AccountAddress, deviceIdOf, readEndorsement } from '../../identity/index.ts'
import { IdentifierKind } from '../../protocol/index.ts'
import { expect, type Request } from '../connection/wire.ts'
import { parseAddress, policyOf, wirePolicy } from '../connection/wire-values.ts'
import type { Context } from '../context.ts'
import { ClientError, IdentityRefusal } from '../errors.ts'
import type { Workers } from '../rooms/workers.ts'
import { accountSettings, accounts, ownProfile, rooms, rosters } from '../state/records.ts'
import { inRoom } from '../state/room-work.ts'
import type { Device, Target } from '../types.ts'
import { confirmLink } from './link.ts'
import { changeDevices, currentManifest } from './manifests.ts'
import { setReadReceipts } from './own-devices.ts'
import { changeProfile } from './profiles.ts'
import { refusalOf } from './trust.ts'

type PersonCalls = Pick<
  Device,
  | 'devices'
  | 'confirmLink'
  | 'unlink'
  | 'lookUp'
  | 'settings'
  | 'setFirstContact'
  | 'setHandle'
  | 'setReachable'
  | 'setReadReceipts'
  | 'setProfile'
  | 'profile'
  | 'requestConsent'
  | 'answerConsent'
  | 'acceptNewKey'
>

/** What a device of somebody with an account does about that, and about others as accounts. */
export function personCalls(context: Context, workers: Workers): PersonCalls {
  const change = async (value: Extract<Request, { case: 'putSettings' }>['value']) => {
    expect(await context.request({ case: 'putSettings', value }), 'settings')
  }
  const done = async (...args: Parameters<Context['request']>) => {
    expect(await context.request(...args), 'done')
  }
  return {
    async devices() {
      const { read } = await context.storage.transaction((tx) => currentManifest(context, tx))
      return read.devices.map(({ deviceKey, kind }) => ({
        deviceId: deviceIdOf(context.crypto, deviceKey),
        kind,
        own: equalBytes(deviceKey, context.self.deviceKey),
      }))
    },
    confirmLink: (code) => confirmLink(context, code),

    async unlink(deviceId) {
      if (!context.self.accountPrivateKey) throw new ClientError('not-primary')
      if (deviceId === context.deviceId) throw new ClientError('not-allowed', 'the primary cannot unlink itself')
      await context.alone('manifest', () =>
        changeDevices(context, (devices) =>
          devices.filter(({ deviceKey }) => deviceIdOf(context.crypto, deviceKey) !== deviceId),
        ),
      )
      const all = await context.storage.transaction((tx) => rosters.list(tx))
      for (const { key, value } of all)
        if (value.leaves.some((leaf) => leaf.deviceId === deviceId)) await commitSoon(context, workers, key)
    },

    lookUp: (target) => lookUp(context, target),

    async settings() {
      const value = expect(await context.request({ case: 'getSettings', value: {} }), 'settings')
      return {
        firstContact: policyOf(value.firstContact),
        networks: value.networks,
        ...(value.handle && { handle: value.handle }),
        blocked: value.blocked.map(parseAddress),
        readReceipts: (await context.storage.transaction((tx) => accountSettings.get(tx)))?.readReceipts ?? true,
      }
    },
    setFirstContact: (policy) => change({ firstContact: wirePolicy(policy) }),
    setHandle: (handle) => change({ handle: handle ?? '' }),
    setReadReceipts: (on) => setReadReceipts(context, on),
    setReachable: (network, reachable) => change(reachable ? { reachable: [network] } : { unreachable: [network] }),
    requestConsent: (account) => done({ case: 'requestConsent', value: { account } }),
    answerConsent: (account, granted) => done({ case: 'answerConsent', value: { account, granted } }),

    async setProfile(profile) {
      for (const room of await changeProfile(context, profile)) {
        await inRoom(context, room, async (work) => work.record && work.update({ profileOwed: true }))
        workers.send(room)
      }
    },

    profile: async () => (await context.storage.transaction((tx) => ownProfile.get(tx))) ?? {},

    async acceptNewKey(address) {
      const refused = await context.storage.transaction(async (tx) => {
        await accounts.delete(tx, address)
        return (await rooms.list(tx)).filter(({ value }) => value.refused === 'key-changed')
      })
      for (const { key } of refused) {
        await inRoom(context, key, async (work) => {
          if (!work.record) return
          const { refused: _, ...record } = work.record
          work.begin({ ...record, enter: true })
        })
        workers.send(key)
      }
    },
  }
}

async function commitSoon(context: Context, workers: Workers, room: Parameters<Workers['send']>[0]): Promise<void> {
  await inRoom(context, room, async (work) => work.record?.joined && work.update({ commitDue: true }))
  workers.send(room)
}

/** The account that the provider names, with an endorsement that holds and the key that is known of it. */
async function lookUp(context: Context, target: Target): Promise<AccountAddress> {
  if ('address' in target) return target.address
  const value =
    'handle' in target
      ? { kind: IdentifierKind.HANDLE, value: target.handle }
      : { kind: IdentifierKind.FOREIGN, value: target.value, network: target.network }
  const found = expect(await context.request({ case: 'lookUp', value }), 'found')
  const address = parseAddress(found.account)
  try {
    const keys = context.trust.providerKeys(context.self.provider)
    const endorsement = readEndorsement(context.crypto, found.endorsement, keys)
    const network = 'network' in target ? target.network : undefined
    if (endorsement.account !== address || (network !== undefined && endorsement.network !== network))
      throw new IdentityRefusal('bad-identity', address)
    const known = await context.storage.transaction((tx) => accounts.get(tx, address))
    if (known && !equalBytes(known.accountKey, endorsement.accountKey))
      throw new IdentityRefusal('key-changed', address)
    return address
  } catch (error) {
    throw refusalOf(error, address)
  }
}
