/** The protocol's paper and schema are enough to write a device from: they stay complete, and say what the code does. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { decodeCbor } from '../src/cbor/index.ts'
import { openName } from '../src/client/guests/link.ts'
import { mostInviteBytes } from '../src/client/guests/share.ts'
import { defaultSettings } from '../src/client/settings.ts'
import { guestCapabilities, messengerCapabilities } from '../src/content/index.ts'
import { concatBytes, toHex, utf8 } from '../src/crypto/index.ts'
import { nodeCrypto as crypto } from '../src/crypto/node.ts'
import { defaultHubSettings } from '../src/hub/index.ts'
import { maxManifestDevices } from '../src/identity/manifest.ts'
import { defaultGatewaySettings } from '../src/messenger/index.ts'
import { largestPlaintext, mostCommitManifests } from '../src/mls/index.ts'
import { maxKeyPackageBytes } from '../src/mls/limits.ts'
import { ClientFrameSchema, ErrorCode, ServerFrameSchema } from '../src/protocol/index.ts'
import { type MessengerVectors, messengerVectors, vectorsFile } from './support/messenger-vectors.ts'

const paper = readFileSync(new URL('../docs/messenger-protocol.md', import.meta.url), 'utf8')
const named = (word: string) => new RegExp(`\`${word}(?:[\`.{ ]|$)`, 'm').test(paper)

test('every request, answer and event of the schema stands in the paper', () => {
  const messages = [ClientFrameSchema, ServerFrameSchema].flatMap(({ fields }) =>
    fields.flatMap((field) => (field.fieldKind === 'message' ? [field.message.name] : [])),
  )
  assert.ok(messages.length > 60)
  assert.deepEqual(
    messages.filter((name) => !named(name)),
    [],
  )
})

test('every error stands in the paper, in the table that says what to do', () => {
  const codes = Object.values(ErrorCode).filter((code): code is string => typeof code === 'string')
  const rows = paper.split('\n').filter((line) => line.startsWith('| `'))
  const missing = codes.filter(
    (code) => code !== 'ERROR_CODE_UNSPECIFIED' && !rows.some((row) => row.includes(`\`${code}\``)),
  )
  assert.deepEqual(missing, [])
})

test('a device of ours fills messages to what the hub takes, as the paper says', () => {
  const { messageBytes, guestMessageBytes } = defaultSettings
  assert.deepEqual(
    [messageBytes, guestMessageBytes],
    [defaultHubSettings.messageBytes, defaultHubSettings.guestMessageBytes],
  )
  const most = [messageBytes, guestMessageBytes].map((bytes) => largestPlaintext(bytes).toLocaleString('en'))
  assert.ok(paper.includes(`the content has at most ${most[0]} bytes, with a guest ${most[1]}`), most.join())
})

test('the limits in the paper are those of the code', () => {
  const kib = (bytes: number) => (bytes >= 2 ** 20 ? `${bytes / 2 ** 20} MiB` : `${bytes / 1024} KiB`)
  const days = (ms: number) => ms / 86_400_000
  const textOf = ({ limits }: typeof messengerCapabilities) => limits.textBytes ?? 0
  const gateway = defaultGatewaySettings
  const hub = defaultHubSettings
  const limits = [
    ['frame', kib(gateway.frameBytes)],
    ['first frame', kib(gateway.firstFrameBytes)],
    ['values in a frame', String(gateway.frameValues)],
    ['message', `${kib(hub.messageBytes)}, ${kib(hub.guestMessageBytes)} with a guest`],
    ['text', `${kib(textOf(messengerCapabilities))}, ${kib(textOf(guestCapabilities))} with a guest`],
    ['commit, Welcome, GroupInfo', kib(hub.commitBytes)],
    ['first GroupInfo', kib(hub.firstGroupInfoBytes)],
    ['manifest, certificate', kib(hub.documentBytes)],
    ['ephemeral frame', kib(hub.ephemeralBytes)],
    ['ephemeral readers', String(hub.ephemeralReaders)],
    ['room', `${hub.roomLeaves} leaves`],
    ['requests', `${gateway.requestsPerSecond} a second, ${gateway.requestBurst} at once`],
    ['ephemeral frames', `${gateway.ephemeralPerSecond} a second, ${gateway.ephemeralBurst} at once`],
    ['commits and rooms', `${gateway.commitsPerMinute} a minute, ${gateway.commitBurst} at once`],
    ['changes', `${gateway.changesPerHour} an hour, ${gateway.changeBurst} at once`],
    ['look-ups', `${gateway.lookUpsPerMinute} a minute`],
    ['bytes submitted', `${kib(gateway.accountBytesPerHour)} an hour, ${kib(gateway.accountBytesBurst)} at once`],
    ['requests under way', `${gateway.channelRequests} of a device, ${gateway.connectionRequests} of a connection`],
    ['bytes under way', `${kib(gateway.firstUnderWayBytes)}, then ${kib(gateway.underWayBytes)}`],
    ['window', `${gateway.window}, ${gateway.largestWindow} at most`],
    ['strangers', `${hub.strangersPerHour} an hour`],
    ['messages to a stranger', String(hub.requestMessages)],
    ['one-time KeyPackages', String(hub.keyPackages)],
    ['devices', `${hub.devices}, of a business ${maxManifestDevices}, of a guest 1`],
    ['manifests of a commit', String(mostCommitManifests)],
    ['manifests kept', String(hub.manifests)],
    ['KeyPackage', kib(maxKeyPackageBytes)],
    ['watched devices', `${gateway.watchesAtOnce}, ${gateway.watches} in all`],
    ['acknowledged at once', String(gateway.acknowledgements)],
    ['reports', `${gateway.reportsPerDay} a day`],
    ['requests without a device', `${gateway.openRequestsPerSecond} a second, ${gateway.openRequestBurst} at once`],
    ['newcomers', `${gateway.strangerRequestsPerMinute} a minute`],
    ['channels', String(gateway.channels)],
    ['waited at', String(gateway.links)],
    ['messages in one submission', String(hub.messagesAtOnce)],
    ['linking payload', kib(hub.linkBytes)],
    ['identifier', `${gateway.identifierLength} characters`],
    ['answer of an edge', `${gateway.resolveMs / 1000} seconds`],
    ['blocked', String(hub.blocks)],
    ['guest links', `${hub.invites} open`],
    ["link's time", `${days(hub.inviteMs)} days, ${days(hub.inviteMostMs)} at most`],
    ['idle time', `${days(hub.guestIdleMs)} days, ${days(hub.guestIdleMostMs)} at most`],
    ['guests of a link', `${hub.guestsPerInvite}, ${hub.guestEntries} waiting`],
    ["a guest's requests", `${gateway.guestRequestsPerMinute} a minute`],
    ['requests about a link', `${gateway.inviteRequestsPerMinute} a minute`],
    ['retention', `${days(hub.retentionMs)} days`],
  ]
  const rows = paper.split('\n').map((line) => line.split('|').map((cell) => cell.trim()))
  for (const [what, value] of limits)
    assert.ok(
      rows.some((cells) => cells[1] === what && cells[2] === value),
      `| ${what} | ${value} |`,
    )
})

test('what the paper says of a limit beside its number is so', () => {
  const { requestUnitBytes, requestUnitKeyPackages } = defaultGatewaySettings
  const { linkMs, linkLeftMs, clockToleranceMs, keyPackageMarginMs } = defaultHubSettings
  const said = [
    `each full ${requestUnitBytes / 1024} KiB and each ${requestUnitKeyPackages} KeyPackages`,
    `the first of a room ${mostCommitManifests - 1},`,
    `which guest links may be ${mostInviteBytes / 1024} KiB`,
    `it lasts ${linkLeftMs / 1000} seconds more`,
  ]
  assert.deepEqual(
    said.filter((words) => !paper.includes(words)),
    [],
  )
  const minutes = [linkMs, clockToleranceMs, keyPackageMarginMs].map((ms) => ms / 60_000)
  assert.deepEqual(minutes, [10, 5, 5])
})

const bytes = (hex: string) => new Uint8Array(Buffer.from(hex, 'hex'))

test('the vectors are what this code makes and opens', () => {
  const vectors = JSON.parse(readFileSync(vectorsFile, 'utf8')) as MessengerVectors
  const { link, invite, ephemeral, keys } = vectors
  assert.deepEqual(
    vectors,
    messengerVectors({ payload: link.payload, ephemeral: ephemeral.frame, shown: invite.shown.sealed }),
  )
  assert.equal(toHex(crypto.open(bytes(link.key), bytes(link.payload), bytes(link.rendezvous))), link.fields)
  const sealedBy = { invite: invite.id, secret: bytes(invite.secret) }
  assert.equal(openName(crypto, sealedBy, 'host', bytes(invite.shown.sealed)), invite.shown.name)
  const limits = { bytes: 1024, depth: 1, items: 8 }
  const [epoch, leaf, sealed, signature] = decodeCbor(bytes(ephemeral.frame), limits) as [
    number,
    number,
    Uint8Array,
    Uint8Array,
  ]
  assert.deepEqual([epoch, leaf], [ephemeral.epoch, ephemeral.leaf])
  assert.equal(toHex(crypto.open(bytes(ephemeral.key), sealed, bytes(ephemeral.head))), ephemeral.content)
  const signed = concatBytes(utf8('silta ephemeral v1\0'), bytes(ephemeral.head), sealed)
  assert.ok(crypto.verify(bytes(keys.device.public), signed, signature))
})
