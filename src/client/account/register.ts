import { equalBytes } from '../../crypto/index.ts'
import { parseAccountAddress, providerOf, readEndorsement } from '../../identity/index.ts'
import { accountProofBytes } from '../../protocol/index.ts'
import { requireClock, timed } from '../clock.ts'
import { expect } from '../connection/wire.ts'
import { ClientError } from '../errors.ts'
import {
  accounts,
  nextManifest,
  type RegistrationRecord,
  registration,
  type SelfRecord,
  selfRecord,
  storageFormat,
} from '../state/records.ts'
import type { DeviceOptions } from '../types.ts'
import { certify, nextManifestOf, publishManifest } from './manifests.ts'

/**
 * Makes an account: its key, here and nowhere else, the provider's endorsement of it for the holder of the token, this
 * device's certificate and manifest 1. Can be repeated after any failure: the keys are kept before they are shown.
 * Errors: device-exists, bad-token, account-exists, bad-identity, wrong-clock, …
 */
export async function register(options: DeviceOptions, accessToken: string): Promise<SelfRecord> {
  const { storage, connection, crypto } = options
  const issuer = { ...options, ...timed(options) }
  await requireClock(issuer)
  const keys = await storage.transaction(async (tx) => {
    if (await selfRecord.get(tx)) throw new ClientError('device-exists')
    const made: RegistrationRecord = (await registration.get(tx)) ?? {
      accountPrivateKey: crypto.generateKeyPair().privateKey,
      devicePrivateKey: crypto.generateKeyPair().privateKey,
    }
    await registration.put(tx, made)
    return made
  })
  const accountKey = crypto.publicKeyOf(keys.accountPrivateKey)
  const deviceKey = crypto.publicKeyOf(keys.devicePrivateKey)
  const account = expect(
    await connection.request((hello) => ({
      case: 'createAccount',
      value: {
        accessToken,
        accountKey,
        proof: crypto.sign(keys.accountPrivateKey, accountProofBytes(hello.challenge, accessToken)),
      },
    })),
    'account',
  )
  const { provider, providerKey } = await connection.hello()
  const endorsement = readOwnEndorsement(options, account, accountKey, provider, providerKey)
  const kind = endorsement.kind === 'edge' || endorsement.kind === 'guest' ? endorsement.kind : 'primary'
  const address = endorsement.account
  const { accountPrivateKey, devicePrivateKey } = keys
  const device = { deviceKey, kind } as const
  const certificate = certify(issuer, { address, accountKey, accountPrivateKey }, device)
  const manifest = nextManifestOf(issuer, { address, accountPrivateKey }, undefined, [device])
  const self: SelfRecord = {
    format: storageFormat,
    address,
    kind,
    accountKind: endorsement.kind,
    accountKey,
    accountPrivateKey,
    deviceKey,
    devicePrivateKey,
    certificate,
    endorsement: account.endorsement,
    provider,
    providerKey,
  }
  await storage.transaction(async (tx) => {
    await selfRecord.put(tx, self)
    await accounts.put(tx, address, { accountKey })
    await nextManifest.put(tx, { ...manifest, certificates: [certificate] })
    await registration.delete(tx)
  })
  await publishManifest({ ...issuer, self })
  return self
}

function readOwnEndorsement(
  { crypto, trust }: DeviceOptions,
  account: { address: string; endorsement: Uint8Array },
  accountKey: Uint8Array,
  provider: string,
  providerKey: Uint8Array,
) {
  try {
    const keys = trust?.providerKeys(provider) ?? [providerKey]
    const endorsement = readEndorsement(crypto, account.endorsement, keys)
    const address = parseAccountAddress(account.address)
    if (
      endorsement.account === address &&
      providerOf(address) === provider &&
      equalBytes(endorsement.accountKey, accountKey)
    )
      return endorsement
  } catch (cause) {
    throw new ClientError('bad-identity', 'the endorsement does not hold', { cause })
  }
  throw new ClientError('bad-identity', 'an endorsement of something else')
}
