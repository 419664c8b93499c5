/**
 * Every byte format of the messenger protocol, made from fixed keys: `schemas/messenger/v1/vectors.json`, for whoever
 * writes a device in another language. Run directly, it writes the file anew.
 */
import { writeFileSync } from 'node:fs'
import { encodeCbor } from '../../src/cbor/index.ts'
import { encodeCode, meetingOf } from '../../src/client/account/link.ts'
import { encodeLink, fingerprintOf, pinCodeOf, pskOf, sealName } from '../../src/client/guests/link.ts'
import { encodeInvites } from '../../src/client/guests/share.ts'
import {
  capabilitiesMessage,
  encodeContent,
  guestCapabilities,
  messageId,
  outcomeMessage,
  profileMessage,
  type SinglePart,
  statusMessage,
  textMessage,
} from '../../src/content/index.ts'
import { concatBytes, fromUtf8, toHex, utf8 } from '../../src/crypto/index.ts'
import { nodeCrypto as crypto } from '../../src/crypto/node.ts'
import {
  deviceIdOf,
  encodeCredential,
  issueCertificate,
  issueEndorsement,
  issueManifest,
  manifestHash,
  parseAccountAddress,
  parseRoomId,
  safetyNumber,
} from '../../src/identity/index.ts'
import {
  encodeCommitData,
  externalSenderExtension,
  manifestsExtension,
  requiredExtensionsExtension,
  roomExtension,
} from '../../src/mls/index.ts'
import { accountProofBytes, authenticationBytes, inviteProofBytes } from '../../src/protocol/index.ts'

export const vectorsFile = new URL('../../schemas/messenger/v1/vectors.json', import.meta.url)

const seed = (byte: number) => new Uint8Array(32).fill(byte)
const pair = (byte: number) => ({ privateKey: seed(byte), publicKey: crypto.publicKeyOf(seed(byte)) })
const bodyOf = (draft: { body: unknown }) => (draft.body as SinglePart).content

/** What is made anew each time has a random part: the one that is in the file is given, and opened by the test. */
export function messengerVectors(sealed: { payload: string; ephemeral: string; shown: string }) {
  const [provider, account, device] = [pair(1), pair(2), pair(3)]
  const domain = 'provider.example'
  const address = parseAccountAddress(`mimi://${domain}/u/AAECAwQFBgcICQoLDA0ODw`)
  const other = parseAccountAddress(`mimi://${domain}/u/_____________________w`)
  const room = parseRoomId(`mimi://${domain}/r/EBESExQVFhcYGRobHB0eHw`)
  const deviceId = deviceIdOf(crypto, device.publicKey)
  const [notBefore, notAfter] = [1_800_000_000, 1_800_864_000]
  const endorsed = { account: address, accountKey: account.publicKey, kind: 'person' as const, notBefore, notAfter }
  const endorsement = issueEndorsement(crypto, provider.privateKey, endorsed)
  const edge = { operator: 'bridge.example', network: 'matrix', kind: 'edge' as const }
  const kind = 'primary' as const
  const deviceKey = device.publicKey
  const certified = { account: address, accountKey: account.publicKey, deviceKey, kind, notBefore, notAfter }
  const certificate = issueCertificate(crypto, account.privateKey, certified)
  const devices = [{ deviceKey, kind }]
  const listed = { account: address, number: 1, previous: new Uint8Array(), devices, notBefore, notAfter }
  const manifest = issueManifest(crypto, account.privateKey, listed)
  const hash = manifestHash(crypto, manifest)
  const challenge = seed(4)
  const signed = (privateKey: Uint8Array, bytes: Uint8Array) => ({
    bytes: toHex(bytes),
    signature: toHex(crypto.sign(privateKey, bytes)),
  })
  const secret = seed(5)
  const meeting = meetingOf(crypto, secret)
  const salt = new Uint8Array(16).fill(6)
  const content = encodeContent({ ...textMessage({ plain: 'hello' }), salt, sender: address, room })
  const id = messageId(crypto, { sender: address, room, encoded: content, salt })
  const head = encodeCbor([room, 7, 2])
  const fingerprint = fingerprintOf(crypto, account.publicKey)
  const invite = { invite: 'AAECAwQFBgcICQoLDA0ODw', secret, fingerprint, manifest: 1 }
  const psk = pskOf(crypto, invite.invite, secret)
  const createdAt = notBefore * 1000
  const shared = {
    ...{ secret, base: `https://${domain}`, manifest: 1, pin: true, approval: false, singleUse: true, createdAt },
    ...{ expiresAt: createdAt + 864_000_000, idleMs: 864_000_000, revoked: false, label: 'flat viewing', name: 'Ada' },
  }
  const guestLinks = encodeInvites([{ key: invite.invite, value: { ...shared, shared: true } }])
  const extension = ({ type, data }: { type: number; data: Uint8Array }) => ({ type, data: toHex(data) })
  return {
    keys: {
      note: 'Ed25519 seeds (RFC 8032) and public keys',
      provider: { seed: toHex(provider.privateKey), public: toHex(provider.publicKey) },
      account: { seed: toHex(account.privateKey), public: toHex(account.publicKey) },
      device: { seed: toHex(device.privateKey), public: toHex(device.publicKey) },
    },
    addresses: { provider: domain, account: address, room, deviceId },
    endorsement: { fields: plain(endorsed), document: toHex(endorsement) },
    edgeEndorsement: {
      fields: plain({ ...endorsed, ...edge }),
      document: toHex(issueEndorsement(crypto, provider.privateKey, { ...endorsed, ...edge })),
    },
    certificate: { fields: plain(certified), document: toHex(certificate) },
    manifest: { fields: plain(listed), document: toHex(manifest), hash: toHex(hash) },
    credential: toHex(encodeCredential({ certificate, endorsement })),
    safetyNumber: {
      other: { account: other, accountKey: toHex(pair(9).publicKey) },
      digits: safetyNumber(
        crypto,
        { address, accountKey: account.publicKey },
        { address: other, accountKey: pair(9).publicKey },
      ),
    },
    authenticate: {
      challenge: toHex(challenge),
      ...signed(device.privateKey, authenticationBytes(challenge, domain, deviceId)),
    },
    createAccount: {
      challenge: toHex(challenge),
      accessToken: 'token',
      ...signed(account.privateKey, accountProofBytes(challenge, 'token')),
    },
    enterInvite: {
      challenge: toHex(challenge),
      invite: 'AAECAwQFBgcICQoLDA0ODw',
      ...signed(account.privateKey, inviteProofBytes(challenge, 'AAECAwQFBgcICQoLDA0ODw')),
    },
    link: {
      secret: toHex(secret),
      code: encodeCode(crypto, { secret, deviceKey }),
      rendezvous: toHex(meeting.rendezvous),
      key: toHex(meeting.key),
      guestLinks: { fields: plain([{ id: invite.invite, ...shared }]), encoded: toHex(guestLinks) },
      fields: toHex(
        encodeCbor([address, account.publicKey, provider.publicKey, endorsement, certificate, manifest, guestLinks]),
      ),
      payload: sealed.payload,
    },
    invite: {
      id: invite.invite,
      secret: toHex(secret),
      link: encodeLink(crypto, `https://${domain}`, invite),
      psk: { id: fromUtf8(psk.id), secret: toHex(psk.secret) },
      pin: { typed: ' ４７１１', gives: toHex(pinCodeOf(crypto, secret, ' ４７１１')) },
      shown: { name: 'Ada', sealed: sealed.shown },
    },
    groupContext: {
      directRoom: extension(roomExtension({ kind: 'direct' })),
      group: extension(
        roomExtension({ kind: 'group', name: 'Friends', roles: new Map([[address, 'owner' as const]]) }),
      ),
      externalSenders: extension(externalSenderExtension(provider.publicKey, utf8(domain))),
      requiredCapabilities: extension(requiredExtensionsExtension([0xf002])),
    },
    groupInfo: { manifests: extension(manifestsExtension(new Map([[address, { number: 1, hash }]]))) },
    commitData: toHex(encodeCommitData({ manifests: [manifest] })),
    content: { salt: toHex(salt), text: 'hello', encoded: toHex(content), messageId: toHex(id) },
    documents: {
      status: toHex(bodyOf(statusMessage([{ messageId: id, status: 'read' }]))),
      profile: toHex(bodyOf(profileMessage({ name: 'Ada' }))),
      outcome: toHex(bodyOf(outcomeMessage({ messageId: id, outcome: 'partial', code: 'formatting' }))),
      capabilities: toHex(bodyOf(capabilitiesMessage(guestCapabilities))),
    },
    ephemeral: {
      room,
      epoch: 7,
      leaf: 2,
      key: toHex(seed(8)),
      head: toHex(head),
      content: toHex(encodeCbor(['typing', true, 1])),
      frame: sealed.ephemeral,
    },
  }
}

export type MessengerVectors = ReturnType<typeof messengerVectors>

function plain(fields: object): unknown {
  return JSON.parse(JSON.stringify(fields, (_, value) => (value instanceof Uint8Array ? toHex(value) : value)))
}

/** A frame as a device makes it, with a random nonce. */
function sealAnew() {
  const vectors = messengerVectors({ payload: '', ephemeral: '', shown: '' })
  const bytes = (hex: string) => new Uint8Array(Buffer.from(hex, 'hex'))
  const { link, ephemeral } = vectors
  const head = bytes(ephemeral.head)
  const sealed = crypto.seal(bytes(ephemeral.key), bytes(ephemeral.content), head)
  const signature = crypto.sign(seed(3), concatBytes(utf8('silta ephemeral v1\0'), head, sealed))
  return {
    payload: toHex(crypto.seal(bytes(link.key), bytes(link.fields), bytes(link.rendezvous))),
    ephemeral: toHex(encodeCbor([7, 2, sealed, signature])),
    shown: toHex(sealName(crypto, { invite: vectors.invite.id, secret: bytes(vectors.invite.secret) }, 'host', 'Ada')),
  }
}

if (import.meta.main) writeFileSync(vectorsFile, `${JSON.stringify(messengerVectors(sealAnew()), undefined, 2)}\n`)
