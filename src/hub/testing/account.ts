import type { KeyPair } from '../../crypto/index.ts'
import { nodeCrypto as crypto } from '../../crypto/node.ts'
import { type DeviceKind, issueCertificate, issueManifest, type Manifest, manifestHash } from '../../identity/index.ts'
import type { TokenClaims } from '../index.ts'
import { type DeviceOwner, type DeviceWorld, makeDevice } from './device.ts'
import { usualKind } from './values.ts'

const day = 24 * 3600

export type TestDevice = ReturnType<typeof makeDevice<TestAccount>>

export interface TestAccount extends DeviceOwner {
  keys: KeyPair
  devices: TestDevice[]
  /** Of the newest manifest. */
  number: number
  sign(devices: readonly TestDevice[], change?: Partial<Manifest>): Uint8Array
  /** Puts the next manifest with these devices and makes it the account's. */
  put(devices: readonly TestDevice[], added?: readonly TestDevice[]): Promise<void>
  /** Adds a device: certificate, manifest, KeyPackages. */
  link(kind?: DeviceKind): Promise<TestDevice>
  unlink(device: TestDevice): Promise<void>
}

export async function openAccount(world: DeviceWorld, token: TokenClaims): Promise<TestAccount> {
  const keys = crypto.generateKeyPair()
  const { address, endorsement } = await world.hub.createAccount(token, keys.publicKey)
  const seconds = () => Math.floor(world.clock.now / 1000)
  const account: TestAccount = {
    world,
    address,
    kind: token.kind,
    keys,
    endorsement,
    devices: [],
    manifest: new Uint8Array(),
    number: 0,
    seconds,
    certify: (deviceKey, kind, change = {}) =>
      issueCertificate(crypto, keys.privateKey, {
        account: address,
        accountKey: keys.publicKey,
        deviceKey,
        kind,
        notBefore: seconds() - day,
        notAfter: seconds() + 365 * day,
        ...change,
      }),
    sign: (devices, change = {}) =>
      issueManifest(crypto, keys.privateKey, {
        account: address,
        number: account.number + 1,
        previous: account.number === 0 ? new Uint8Array() : manifestHash(crypto, account.manifest),
        devices: devices.map((device) => ({ deviceKey: device.keys.publicKey, kind: device.kind })),
        notBefore: seconds() - 60,
        notAfter: seconds() + 13 * day,
        ...change,
      }),
    async put(devices, added = []) {
      const manifest = account.sign(devices)
      await world.hub.putManifest({ manifest, certificates: added.map(({ certificate }) => certificate) })
      account.manifest = manifest
      account.number++
      account.devices = [...devices]
    },
    async link(kind = 'companion') {
      const device = makeDevice(account, kind)
      await account.put([...account.devices, device], [device])
      await device.publish(2)
      return device
    },
    unlink: (device) => account.put(account.devices.filter((each) => each !== device)),
  }
  const first = makeDevice(account, usualKind(token.kind))
  await account.put([first], [first])
  await first.publish(5)
  return account
}
