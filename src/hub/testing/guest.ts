import type { KeyPair } from '../../crypto/index.ts'
import { nodeCrypto as crypto } from '../../crypto/node.ts'
import { type AccountAddress, issueCertificate, issueManifest, manifestHash } from '../../identity/index.ts'
import type { GuestCreation, InviteEntry } from '../index.ts'
import { type DeviceOwner, type DeviceWorld, makeDevice } from './device.ts'
import { newRoom } from './values.ts'

const day = 24 * 3600

/** Somebody who holds a link and was let in, with what it takes to make the room. */
export async function openGuest(
  world: DeviceWorld,
  invite: string,
  entry: InviteEntry,
  keys: KeyPair,
  provider = 'hub.example',
) {
  const seconds = () => Math.floor(world.clock.now / 1000)
  const address = entry.account as AccountAddress
  const owner: DeviceOwner = {
    world,
    address,
    kind: 'guest',
    endorsement: entry.endorsement,
    manifest: new Uint8Array(),
    seconds,
    certify: (deviceKey, kind) =>
      issueCertificate(crypto, keys.privateKey, {
        account: address,
        accountKey: keys.publicKey,
        deviceKey,
        kind,
        notBefore: seconds() - day,
        notAfter: seconds() + 30 * day,
      }),
  }
  const device = makeDevice(owner, 'guest')
  owner.manifest = issueManifest(crypto, keys.privateKey, {
    account: address,
    number: 1,
    previous: new Uint8Array(),
    devices: [{ deviceKey: device.keys.publicKey, kind: 'guest' }],
    notBefore: seconds() - 60,
    notAfter: seconds() + 13 * day,
  })
  const add = { keyPackages: entry.keyPackages, manifests: [entry.manifest] }
  const room = newRoom(provider)
  const creation = await device.prepareRoom('guest', [], { add, room })
  const { manifest } = owner
  const guest: GuestCreation = { invite, manifest, certificate: device.certificate, creation }
  /** The guest's next manifest, with another device of theirs. */
  const anotherDevice = () => {
    const other = makeDevice(owner, 'guest')
    const next = issueManifest(crypto, keys.privateKey, {
      account: address,
      number: 2,
      previous: manifestHash(crypto, manifest),
      devices: [{ deviceKey: other.keys.publicKey, kind: 'guest' }],
      notBefore: seconds() - 60,
      notAfter: seconds() + 13 * day,
    })
    return { manifest: next, certificates: [other.certificate] }
  }
  return { device, room: creation.room, creation: guest, anotherDevice }
}
