import { decodeCbor, encodeCbor, readArray } from '../../cbor/index.ts'
import { type Crypto, concatBytes, equalBytes, fromBase64Url, toBase64Url } from '../../crypto/index.ts'
import {
  type DeviceId,
  deviceIdOf,
  maxManifestDevices,
  parseAccountAddress,
  providerOf,
  readCertificate,
  readEndorsement,
  readManifest,
} from '../../identity/index.ts'
import { requireClock } from '../clock.ts'
import { pause } from '../connection/pause.ts'
import { expect } from '../connection/wire.ts'
import { type Context, seconds } from '../context.ts'
import { ClientError } from '../errors.ts'
import { mostInviteBytes, newestInvites, storeInvites } from '../guests/share.ts'
import { accounts, type SelfRecord, selfRecord, storageFormat } from '../state/records.ts'
import type { DeviceOptions } from '../types.ts'
import { certify, changeDevices, currentManifest, storeOwnManifest } from './manifests.ts'
import { noteCertificate } from './others-certificates.ts'

const codePrefix = 'silta-link-1.'
const secretLength = 32
const keyLength = 32
const checkLength = 4
/** Keys, an address, three documents of under 4 KB each, links for guests. */
const payloadLimits = { bytes: 48 * 1024, depth: 2, items: 16 }

/** What the code on a new device's screen says: its key, and a secret that only who sees the screen learns. */
interface LinkCode {
  secret: Uint8Array
  deviceKey: Uint8Array
}

export function encodeCode(crypto: Crypto, { secret, deviceKey }: LinkCode): string {
  const body = concatBytes(secret, deviceKey)
  return codePrefix + toBase64Url(concatBytes(body, crypto.sha256(body).subarray(0, checkLength)))
}

/** Errors: bad-code. */
function decodeCode(crypto: Crypto, text: string): LinkCode {
  const code = text.replaceAll(/\s/g, '')
  try {
    if (!code.startsWith(codePrefix)) throw new ClientError('bad-code')
    const bytes = fromBase64Url(code.slice(codePrefix.length))
    const body = bytes.subarray(0, secretLength + keyLength)
    const check = crypto.sha256(body).subarray(0, checkLength)
    if (bytes.length !== secretLength + keyLength + checkLength || !equalBytes(bytes.subarray(body.length), check))
      throw new ClientError('bad-code')
    return { secret: body.slice(0, secretLength), deviceKey: body.slice(secretLength) }
  } catch (cause) {
    throw new ClientError('bad-code', undefined, { cause })
  }
}

/**
 * Where the two devices meet at the provider, and the key for what is handed over. Both come from the secret by HKDF
 * (RFC 5869), so the provider, which sees the meeting place, learns neither secret nor key.
 */
export function meetingOf(crypto: Crypto, secret: Uint8Array) {
  const none = new Uint8Array()
  return {
    rendezvous: crypto.hkdfSha256(secret, none, 'silta link v1 rendezvous', 32),
    key: crypto.hkdfSha256(secret, none, 'silta link v1 payload', 32),
  }
}

/** Primary: certifies the device that shows the code, puts it into the manifest, and hands it what it needs to know. */
export async function confirmLink(context: Context, text: string): Promise<DeviceId> {
  const { crypto, self } = context
  if (!self.accountPrivateKey) throw new ClientError('not-primary')
  const { secret, deviceKey } = decodeCode(crypto, text)
  await requireClock(context)
  const device = { deviceKey, kind: 'companion' as const }
  const certificate = certify(context, self, device)
  const manifest = await context.alone('manifest', async () => {
    const current = await context.storage.transaction((tx) => currentManifest(context, tx))
    // The same code again, after a failure on the way: the device is listed, and only has not been told.
    const listed = current.read.devices.some((each) => equalBytes(each.deviceKey, deviceKey))
    await context.storage.transaction((tx) => noteCertificate(context, tx, certificate))
    if (!listed) await changeDevices(context, (devices) => [...devices, device], [certificate])
    return context.storage.transaction((tx) => currentManifest(context, tx))
  })
  const { rendezvous, key } = meetingOf(crypto, secret)
  const links = await context.storage.transaction(newestInvites)
  const fields = [self.address, self.accountKey, self.providerKey, self.endorsement, certificate, manifest.bytes, links]
  const payload = crypto.seal(key, encodeCbor(fields), rendezvous)
  await handOver(context, { rendezvous, payload })
  return deviceIdOf(crypto, deviceKey)
}

/** The code may be read before the new device has arrived at the meeting place, so it is waited for a little. */
async function handOver(context: Context, value: { rendezvous: Uint8Array; payload: Uint8Array }): Promise<void> {
  const { linkWait, retryFirst } = context.settings
  const until = Date.now() + linkWait
  for (;;) {
    try {
      return void expect(await context.request({ case: 'completeLink', value }), 'done')
    } catch (error) {
      const early = error instanceof ClientError && error.code === 'not-found'
      if (!early || Date.now() >= until || context.signal.aborted) throw error
    }
    await pause(retryFirst, context.signal)
  }
}

export interface LinkInProgress {
  /** To be shown as text and as a QR code; whoever sees it can hand this device an account. */
  code: string
  /** The device's record, stored, when the primary has confirmed. Rejects when it was cancelled or what came is wrong. */
  completed: Promise<SelfRecord>
  cancel(): void
}

/** New device: makes its key, shows a code, and waits at the meeting place until the primary has come. */
export function beginLink(options: Pick<DeviceOptions, 'connection' | 'storage' | 'crypto' | 'clock'>): LinkInProgress {
  const { connection, crypto } = options
  const keys = crypto.generateKeyPair()
  const secret = crypto.randomBytes(secretLength)
  const { rendezvous, key } = meetingOf(crypto, secret)
  const { promise, resolve, reject } = Promise.withResolvers<SelfRecord>()
  const wait = () => {
    connection.request({ case: 'openLink', value: { rendezvous } }).catch((error: ClientError) => {
      // Without a link it is tried again with the next one.
      if (!error.retry) finish(() => reject(error))
    })
  }
  const stopEvents = connection.onEvent((event) => {
    if (event.case !== 'linkCompleted') return
    let fields: Uint8Array
    try {
      fields = crypto.open(key, event.value.payload, rendezvous)
    } catch {
      return // for another device on this connection, or from somebody who does not know the secret
    }
    const now = seconds((options.clock ?? Date.now)())
    finish(() => resolve(adopt(options, keys, fields, now)))
  })
  const stopLink = connection.onLink((up) => up && wait())
  const finish = (then: () => void) => {
    stopEvents()
    stopLink()
    then()
  }
  wait()
  return {
    code: encodeCode(crypto, { secret, deviceKey: keys.publicKey }),
    completed: promise,
    cancel: () => finish(() => reject(new ClientError('closed', 'linking was cancelled'))),
  }
}

/** What the primary handed over, verified and stored. */
async function adopt(
  { connection, storage, crypto }: Pick<DeviceOptions, 'connection' | 'storage' | 'crypto'>,
  keys: { publicKey: Uint8Array; privateKey: Uint8Array },
  payload: Uint8Array,
  now: number,
): Promise<SelfRecord> {
  const hello = await connection.hello()
  try {
    const fields = readArray(decodeCbor(payload, payloadLimits), 'link payload')
    const address = parseAccountAddress(fields.text(300))
    const accountKey = fields.bytes(keyLength)
    const providerKey = fields.bytes(keyLength)
    const [endorsement, certificate, manifest] = [1, 2, 3].map(() => fields.bytesUpTo(maxManifestDevices * 128))
    const links = fields.bytesUpTo(mostInviteBytes)
    fields.end()
    if (providerOf(address) !== hello.provider || !equalBytes(providerKey, hello.providerKey))
      throw new ClientError('provider-changed', 'the account is with another provider')
    const endorsed = readEndorsement(crypto, endorsement!, [providerKey])
    const certified = readCertificate(crypto, certificate!)
    const listed = readManifest(crypto, manifest!, accountKey)
    const holds =
      [endorsed.account, certified.account, listed.account].every((each) => each === address) &&
      equalBytes(endorsed.accountKey, accountKey) &&
      equalBytes(certified.accountKey, accountKey) &&
      equalBytes(certified.deviceKey, keys.publicKey) &&
      listed.devices.some(({ deviceKey, kind }) => equalBytes(deviceKey, keys.publicKey) && kind === certified.kind) &&
      certified.notAfter > now
    if (!holds) throw new ClientError('bad-identity', 'what the primary handed over does not fit together')
    const self: SelfRecord = {
      format: storageFormat,
      address,
      kind: certified.kind,
      accountKind: endorsed.kind,
      accountKey,
      deviceKey: keys.publicKey,
      devicePrivateKey: keys.privateKey,
      certificate: certificate!,
      endorsement: endorsement!,
      provider: hello.provider,
      providerKey,
    }
    await storage.transaction(async (tx) => {
      if (await selfRecord.get(tx)) throw new ClientError('device-exists')
      await selfRecord.put(tx, self)
      await accounts.put(tx, address, { accountKey })
      await storeOwnManifest({ crypto, self }, tx, manifest!)
      await storeInvites(tx, links)
    })
    return self
  } catch (error) {
    if (error instanceof ClientError) throw error
    throw new ClientError('bad-identity', 'what the primary handed over cannot be read', { cause: error })
  }
}
