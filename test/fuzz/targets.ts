/** Every decoder of what comes from outside, with examples to begin from. What one throws has to be its own typed error. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { create, type MessageInitShape, toBinary } from '@bufbuild/protobuf'
import { decodeProof, LogError, openCheckpoint, parseTilePath, parseVerifier } from '../../src/audit/log/index.ts'
import { noteSigner } from '../../src/audit/log/note.ts'
import { decodeBundle, encodeBundle } from '../../src/audit/log/tiles.ts'
import { CborError, decodeCbor, encodeCbor } from '../../src/cbor/index.ts'
import { decodeFrame as decodeServerFrame } from '../../src/client/connection/wire.ts'
import { ClientError } from '../../src/client/errors.ts'
import { decodeLink, encodeLink } from '../../src/client/guests/link.ts'
import { ConfigError, loadConfig } from '../../src/config/index.ts'
import {
  ContentError,
  decodeContent,
  encodeContent,
  outcomeMessage,
  readOutcome,
  readProfile,
  readStatus,
  readText,
  statusMessage,
  textMessage,
} from '../../src/content/index.ts'
import { fromUtf8, utf8 } from '../../src/crypto/index.ts'
import { nodeCrypto as crypto } from '../../src/crypto/node.ts'
import { readTransaction } from '../../src/edge/matrix/appservice/body.ts'
import { parseCommand } from '../../src/edge/matrix/bot-commands.ts'
import { parseMxid } from '../../src/edge/matrix/mxid.ts'
import { readHtml } from '../../src/edge/matrix/translate/html-read.ts'
import { fromMatrix, toMatrix } from '../../src/edge/matrix/translate/index.ts'
import { readMarkdown } from '../../src/edge/matrix/translate/markdown-read.ts'
import {
  decodeCredential,
  decodeRoster,
  emptyRoster,
  encodeRoster,
  IdentityError,
  readCertificate,
  readEndorsement,
  readManifest,
  readVerifiedLeaf,
} from '../../src/identity/index.ts'
import { decodeFrame } from '../../src/messenger/frames.ts'
import { defaultGatewaySettings } from '../../src/messenger/index.ts'
import {
  createCommit,
  createGroup,
  decodeCommitData,
  decodeState,
  encodeState,
  encryptMessage,
  generateKeyPackage,
  groupInfoOf,
  joinByWelcome,
  MlsError,
  peekMessage,
  processMessage,
  readKeyPackage,
} from '../../src/mls/index.ts'
import { nodeMlsProvider } from '../../src/mls/provider-node.ts'
import { openPublicGroup } from '../../src/mls/public.ts'
import { ClientFrameSchema, ServerFrameSchema } from '../../src/protocol/index.ts'
import { testAccount, testDevice, testManifest, testProvider } from '../support/identities.ts'

export interface Target {
  readonly name: string
  /** What it is given when nothing better is known. */
  readonly seeds: readonly Uint8Array[]
  /** Takes anything; throws nothing but what `refuses` names. */
  run(bytes: Uint8Array): unknown
  /** The class of its refusals; undefined: it never throws. */
  readonly refuses?: abstract new (
    ...parameters: never[]
  ) => Error
}

const everyone = () => {}
const text = (bytes: Uint8Array) => Buffer.from(bytes).toString('utf8')
const json = (value: unknown) => utf8(JSON.stringify(value))
/** Of a text that is JSON; anything else is stopped before a decoder sees it. */
const parsed = (bytes: Uint8Array): Record<string, unknown> | undefined => {
  try {
    const value: unknown = JSON.parse(text(bytes))
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : undefined
  } catch {
    return undefined
  }
}

export async function fuzzTargets(): Promise<readonly Target[]> {
  return [...contentTargets(), ...identityTargets(), ...(await mlsTargets()), ...matrixTargets(), ...otherTargets()]
}

function contentTargets(): Target[] {
  const salt = new Uint8Array(16)
  const id = new Uint8Array(32).fill(1)
  const messages = [
    textMessage({ plain: 'hello', html: '<b>hello</b>', markdown: '**hello**', inReplyTo: id }),
    statusMessage([{ messageId: id, status: 'delivered' }]),
    outcomeMessage({ messageId: id, outcome: 'rejected', code: 'too-large' }),
  ].map((message) => encodeContent({ ...message, salt }))
  const values = [new Map<unknown, unknown>([['a', [1, -1, null, true]]]), [new Uint8Array(40), 'é', 2n ** 62n]]
  return [
    {
      name: 'cbor',
      seeds: values.map((value) => encodeCbor(value)),
      run: (bytes) => decodeCbor(bytes, { bytes: 64 * 1024, depth: 16, items: 4096 }),
      refuses: CborError,
    },
    {
      name: 'content',
      seeds: messages,
      run(bytes) {
        const content = decodeContent(bytes)
        for (const read of [readText, readStatus, readOutcome, readProfile]) read(content)
        toMatrix(content, { replyTo: undefined, eventBytes: 45_000 })
      },
      refuses: ContentError,
    },
  ]
}

function identityTargets(): Target[] {
  const provider = testProvider(crypto)
  const account = testAccount(crypto, provider)
  const device = testDevice(crypto, account)
  const manifest = testManifest(crypto, account, [device])
  const target = (name: string, seeds: readonly Uint8Array[], run: Target['run']): Target => ({
    ...{ name, seeds, run },
    refuses: IdentityError,
  })
  return [
    target('certificate', [device.certificate], (bytes) => readCertificate(crypto, bytes)),
    target('endorsement', [account.endorsement], (bytes) => readEndorsement(crypto, bytes, [provider.keys.publicKey])),
    target('manifest', [manifest], (bytes) => readManifest(crypto, bytes, account.keys.publicKey)),
    target('credential', [device.identity], decodeCredential),
    target('leaf', [device.identity], (bytes) => readVerifiedLeaf(crypto, bytes)),
    target('roster', [encodeRoster(emptyRoster)], decodeRoster),
  ]
}

async function mlsTargets(): Promise<Target[]> {
  const mls = nodeMlsProvider()
  const device = () => ({
    identity: utf8('somebody'),
    keyPair: crypto.generateKeyPair(),
    notBefore: 0,
    notAfter: 4_000_000_000,
  })
  const alone = await createGroup(mls, { groupId: utf8('room'), ...device(), extensions: [] })
  const invited = await generateKeyPackage(mls, device())
  const added = await createCommit(mls, alone, { add: [invited.publicPart] })
  const options = { authenticate: everyone }
  const { state } = await joinByWelcome(mls, { welcome: added.welcome!, keyPackages: [invited], ...options })
  const sent = await encryptMessage(mls, added.state, utf8('hello'))
  const commit = await createCommit(mls, sent.state)
  const groupInfo = await groupInfoOf(mls, added.state)
  const messages = [sent.message, commit.commit, added.welcome!, groupInfo, invited.publicPart]
  const { group, ratchets } = encodeState(state)
  const target = (name: string, seeds: readonly Uint8Array[], run: Target['run']): Target => ({
    ...{ name, seeds, run },
    refuses: MlsError,
  })
  return [
    target('mls-peek', messages, peekMessage),
    target('mls-message', messages, (bytes) => processMessage(mls, state, bytes, options)),
    target('mls-key-package', [invited.publicPart], (bytes) => readKeyPackage(mls, bytes)),
    target('mls-welcome', [added.welcome!], (welcome) =>
      joinByWelcome(mls, { welcome, keyPackages: [invited], ...options }),
    ),
    target('mls-group-info', [groupInfo], (bytes) => openPublicGroup(mls, bytes, everyone)),
    target('mls-commit-data', [encodeCbor(new Map([[1, [new Uint8Array(8)]]]))], decodeCommitData),
    target('mls-state', [group], (bytes) => decodeState({ group: bytes, ratchets })),
    target('mls-ratchets', [ratchets], (bytes) => decodeState({ group, ratchets: bytes })),
  ]
}

function matrixTargets(): Target[] {
  const message = {
    msgtype: 'm.text',
    body: '> <@a:hs.test> first\n\nsecond **bold**',
    format: 'org.matrix.custom.html',
    formatted_body: '<mx-reply>x</mx-reply><ul><li><b>one</b></li></ul><a href="https://hs.test">l</a>',
    'm.relates_to': { 'm.in_reply_to': { event_id: '$e' }, rel_type: 'm.replace', event_id: '$f' },
    'm.new_content': { msgtype: 'm.text', body: 'x' },
    'm.mentions': { user_ids: ['@a:hs.test'], room: true },
  }
  const event = {
    room_id: '!r:hs.test',
    event_id: '$e',
    type: 'm.room.message',
    sender: '@a:hs.test',
    content: message,
  }
  const transaction = {
    events: [event, { ...event, type: 'm.room.member', state_key: '@a:hs.test', content: { membership: 'invite' } }],
    to_device: [{ type: 'm.room.encrypted', sender: '@a:hs.test', content: {}, to_user_id: '@b:x', to_device_id: 'D' }],
    ephemeral: [{ type: 'm.typing', room_id: '!r:hs.test', content: { user_ids: ['@a:hs.test'] } }],
    device_one_time_keys_count: { '@b:x': { D: { signed_curve25519: 5 } } },
    device_unused_fallback_key_types: { '@b:x': { D: ['signed_curve25519'] } },
    device_lists: { changed: ['@a:hs.test'], left: [] },
  }
  const types = ['m.room.message', 'm.reaction', 'm.sticker', 'm.room.encrypted', 'org.matrix.msc3381.poll.start']
  return [
    {
      name: 'matrix-event',
      seeds: [json(message), json({ msgtype: 'm.image', body: 'x', url: 'mxc://x/y', info: { size: 1 } })],
      run(bytes) {
        const content = parsed(bytes)
        if (!content) return
        for (const type of types) fromMatrix({ type, content }, { inReplyTo: undefined, replaces: undefined })
      },
    },
    {
      name: 'appservice-transaction',
      seeds: [json(transaction)],
      run(bytes) {
        const body = parsed(bytes)
        if (body) readTransaction(body)
      },
    },
    { name: 'html', seeds: [utf8(message.formatted_body)], run: (bytes) => readHtml(text(bytes)) },
    {
      name: 'markdown',
      seeds: [utf8('# head\n\n* one\n  * two\n\n> said\n\n```js\ncode\n```\n[a](https://b) **b** _c_ ~~d~~ `e`')],
      run: (bytes) => readMarkdown(text(bytes)),
    },
    {
      name: 'bot-command',
      seeds: [utf8('start @carol'), utf8('!silta help')],
      run: (bytes) => parseCommand(text(bytes)),
    },
    { name: 'mxid', seeds: [utf8('@alice:hs.test:8448')], run: (bytes) => parseMxid(text(bytes)) },
  ]
}

function otherTargets(): Target[] {
  const request = {
    case: 'submitMessage',
    value: { room: 'mimi://a/r/b', idempotencyKey: new Uint8Array(16) },
  } as const
  const up = toBinary(ClientFrameSchema, create(ClientFrameSchema, { id: 1n, channel: 2, request }))
  const listing = (request: NonNullable<FrameInit['request']>) =>
    toBinary(ClientFrameSchema, create(ClientFrameSchema, { id: 1n, request }))
  const lists = [
    listing({ case: 'acknowledge', value: { cursors: [{ room: 'a', seq: 1n }, {}], welcomes: [1n, 2n, 300n, 4n] } }),
    listing({ case: 'publishKeyPackages', value: { keyPackages: Array.from({ length: 8 }, () => new Uint8Array(2)) } }),
    listing({ case: 'submitMessage', value: { further: [{ message: new Uint8Array(2) }, {}, {}] } }),
  ]
  const body = { case: 'deliver', value: { room: 'mimi://a/r/b', seq: 3n, message: new Uint8Array(20) } } as const
  const down = toBinary(ServerFrameSchema, create(ServerFrameSchema, { id: 1n, body }))
  const signer = noteSigner(crypto, 'log.example', crypto.randomBytes(32))
  const config = 'provider:\n  domain: chat.example.org\nlisten: {port: 8480}\nlimits:\n  connections: 100\n'
  // Each line ten of the one before it: a few hundred bytes that stand for billions of values.
  const aliases = ['a: &a [x]', ...'bcdefgh'].map((line, index, all) => aliasLine(line, all[index - 1]?.[0])).join('\n')
  const link = { invite: 'A'.repeat(22), secret: new Uint8Array(32), fingerprint: new Uint8Array(16), manifest: 1 }
  const hash = Buffer.alloc(32).toString('base64')
  const proof = `c2sp.org/tlog-proof@v1\nextra ${hash}\nindex 3\n${hash}\n${hash}\n\nlog.example\n4\n${hash}\n\n— log.example AAAA\n`
  const withTile = encodeBundle([utf8('{}'), utf8('{"a":1}')])
  return [
    {
      name: 'client-frame',
      seeds: [up, ...lists],
      run: (bytes) => decodeFrame(bytes, defaultGatewaySettings.frameValues),
    },
    {
      // What the walk before the decoder lets through must not become more than it has counted.
      name: 'client-frame-bounds',
      seeds: [up, ...lists],
      run(bytes) {
        const few = 12
        const frame = decodeFrame(bytes, few)
        if (frame && valuesIn(frame) > few) throw new Error(`${valuesIn(frame)} values`)
      },
    },
    { name: 'server-frame', seeds: [down], run: (bytes) => decodeServerFrame(bytes, 8 << 20), refuses: ClientError },
    {
      name: 'guest-link',
      seeds: [utf8(encodeLink(crypto, 'https://chat.example', link))],
      run: (bytes) => decodeLink(crypto, text(bytes)),
      refuses: ClientError,
    },
    { name: 'config', seeds: [utf8(config), utf8(aliases)], run: readConfig, refuses: ConfigError },
    { name: 'log-proof', seeds: [utf8(proof)], run: decodeProof, refuses: LogError },
    { name: 'log-bundle', seeds: [withTile], run: (bytes) => decodeBundle(bytes, 2), refuses: LogError },
    {
      name: 'log-checkpoint',
      seeds: [utf8(`log.example\n4\n${hash}\n\n— log.example AAAA\n`)],
      run: (bytes) => openCheckpoint(crypto, bytes, signer.verifier),
      refuses: LogError,
    },
    {
      name: 'log-key',
      seeds: [utf8(`log.example+00000000+${hash}`)],
      run: (bytes) => parseVerifier(crypto, text(bytes)),
      refuses: LogError,
    },
    { name: 'log-path', seeds: [utf8('tile/entries/x001/234.p/5')], run: (bytes) => parseTilePath(text(bytes)) },
    { name: 'utf8', seeds: [utf8('é€😀')], run: (bytes) => fromUtf8(bytes), refuses: Error },
  ]
}

type FrameInit = Exclude<MessageInitShape<typeof ClientFrameSchema>, { $typeName: string }>

/** Elements of lists in a message, and messages in it. */
function valuesIn(value: unknown): number {
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return 0
  if (Array.isArray(value)) return value.reduce((sum: number, each) => sum + 1 + valuesIn(each), 0)
  return Object.values(value).reduce((sum: number, each) => sum + valuesIn(each), 0)
}

const aliasLine = (line: string, before: string | undefined) =>
  before === undefined ? line : `${line}: &${line} [${Array(10).fill(`*${before}`).join(', ')}]`

let folder: string | undefined

function readConfig(bytes: Uint8Array): void {
  if (folder === undefined) {
    const made = mkdtempSync(join(tmpdir(), 'silta-fuzz-'))
    process.once('exit', () => rmSync(made, { recursive: true, force: true }))
    folder = made
  }
  const file = join(folder, 'silta.yaml')
  writeFileSync(file, bytes)
  loadConfig({ file, env: {} })
}
