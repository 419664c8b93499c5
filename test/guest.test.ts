// Guests: somebody without an account comes in by a link, over the real hub and gateway, also when these lie.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { decodeLink, encodeLink } from '../src/client/guests/link.ts'
import {
  type Device,
  type GuestOptions,
  type Invite,
  joinByInvite,
  memoryStorage,
  openInvite,
} from '../src/client/index.ts'
import { defaultSettings } from '../src/client/settings.ts'
import { rooms } from '../src/client/state/records.ts'
import { disposition, singlePart, textMessage } from '../src/content/index.ts'
import { fromBase64Url, toHex } from '../src/crypto/index.ts'
import { nodeCrypto } from '../src/crypto/node.ts'
import { openGuest } from '../src/hub/testing/guest.ts'
import {
  encodeCredential,
  issueCertificate,
  issueEndorsement,
  issueManifest,
  type RoomId,
} from '../src/identity/index.ts'
import { generateKeyPackage } from '../src/mls/index.ts'
import type { InviteEntry, ServerFrame } from '../src/protocol/index.ts'
import {
  expectTexts,
  type Heard,
  listen,
  longestText,
  type Tap,
  type TestDevice,
  testProvider,
  until,
} from './support/provider.ts'

let provider: Awaited<ReturnType<typeof testProvider>>
before(async () => {
  provider = await testProvider()
})
after(() => provider.close())

const text = (plain: string) => textMessage({ plain })
const refused = (code: string) => ({ name: 'ClientError', code })
const picture = { body: singlePart('image/png', new Uint8Array(8), disposition.attachment) }
let people = 0
const host = () => provider.register(`host ${++people}`)

interface Guest {
  device: Device
  room: RoomId
  heard: Heard
  storage: ReturnType<typeof memoryStorage>
  ended: string[]
  tap: Tap
}

async function come(link: string, options: Partial<GuestOptions> & { tap?: Tap } = {}): Promise<Guest> {
  const { tap = {}, ...rest } = options
  const storage = memoryStorage()
  const device = await joinByInvite({
    connection: provider.connection(tap),
    storage,
    crypto: nodeCrypto,
    mls: provider.mls,
    settings: { retryFirst: 10, welcomeWait: 500 },
    link,
    ...rest,
  })
  const heard = listen(device)
  const ended: string[] = []
  device.on('ended', (reason) => void ended.push(reason))
  after(() => device.close())
  await device.start()
  await device.ready()
  const [room] = await device.rooms()
  return { device, room: room!.id, heard, storage, ended, tap }
}

async function chat(choices: Parameters<Device['createInvite']>[0] = {}) {
  const anna = await host()
  const heardByAnna = listen(anna.device)
  const invite = await anna.device.createInvite(choices)
  const mia = await come(invite.link, { name: 'Mia' })
  await until('the guest’s room', async () => (await anna.device.room(mia.room))?.joined === true)
  return { anna, heardByAnna, invite, mia, room: mia.room }
}

/** What a device refuses from now on, with its code. */
function refusals(device: Device): string[] {
  const codes: string[] = []
  device.on('refused', ({ error }) => void codes.push(error.code))
  return codes
}

/** Codes of what was presented to a device and could not be followed. */
function faultsOf(device: Device): string[] {
  const codes: string[] = []
  device.on('fault', ({ code }) => void codes.push(code))
  return codes
}

const empty = async (storage: Guest['storage']) =>
  storage.transaction(async (tx) => {
    for (const collection of ['device', 'room', 'group', 'ratchets', 'account', 'submission', 'roster'])
      if ((await tx.list(collection)).length > 0) return false
    return true
  })

describe('a guest', () => {
  test('writes while the host is away, and the two talk; the secret never reaches the provider', async () => {
    let anna = await host()
    const invite = await anna.device.createInvite({ label: 'flat viewing', name: 'Anna' })
    await anna.crash()
    const frames: string[] = []
    const tap: Tap = {
      up(frame) {
        frames.push(
          JSON.stringify(frame, (_, value) =>
            value instanceof Uint8Array
              ? toHex(value)
              : `${value}` === '[object Object]' || Array.isArray(value)
                ? value
                : String(value),
          ),
        )
        return frame
      },
    }
    const offer = await openInvite({ connection: provider.connection(tap), crypto: nodeCrypto }, invite.link)
    assert.deepEqual([offer.hostName, offer.pin, offer.singleUse], ['Anna', false, true])
    const mia = await come(invite.link, { name: 'Mia', tap })
    await (await mia.device.send(mia.room, text('good day'))).accepted

    anna = await provider.reopen(anna.storage)
    const heardByAnna = listen(anna.device)
    const faults = refusals(anna.device)
    await expectTexts(heardByAnna, ['good day'])
    await anna.device.accept(mia.room)
    const { messageId } = heardByAnna.messages[0]!
    await anna.device.send(mia.room, textMessage({ plain: 'hello Mia', inReplyTo: messageId }))
    await expectTexts(mia.heard, ['hello Mia'])
    assert.deepEqual(mia.heard.messages[0]?.content.inReplyTo, messageId)
    const members = await anna.device.members(mia.room)
    const guest = members.find(({ own }) => !own)
    assert.deepEqual([guest?.accountKind, guest?.profile?.name], ['guest', 'Mia'])
    assert.equal(await mia.device.safetyNumber(mia.room), await anna.device.safetyNumber(mia.room))
    assert.deepEqual(await mia.device.posture(mia.room), { level: 'native', readers: [], accounts: 2 })
    assert.deepEqual([mia.heard.faults, heardByAnna.faults, faults], [[], [], []])

    const [mine] = await anna.device.invites()
    assert.deepEqual([mine?.label, mine?.open, mine?.chats.length, mine?.link], ['flat viewing', false, 1, invite.link])
    const secret = toHex(fromBase64Url(invite.link.split('#')[1]!).subarray(1, 33))
    assert.ok(frames.length > 5 && !frames.some((frame) => frame.includes(secret)))
  })

  test('goes on with the same storage, after a broken link and after a restart', async () => {
    const anna = await host()
    const heardByAnna = listen(anna.device)
    const { link } = await anna.device.createInvite()
    const storage = memoryStorage()
    let lost = 0
    const tap: Tap = {
      // The provider has made the room, and the answer is lost.
      down: (frame) => (frame.body.case === 'accepted' && lost++ === 0 ? unavailable(frame) : frame),
    }
    const options = { storage, crypto: nodeCrypto, mls: provider.mls, link, connection: provider.connection(tap) }
    await assert.rejects(joinByInvite(options), refused('unavailable'))
    const device = await joinByInvite(options)
    await assert.rejects(joinByInvite(options), refused('device-exists'))
    await device.close()
    const again = await provider.reopen(storage)
    const [room] = await again.device.rooms()
    await again.device.send(room!.id, text('here again'))
    await expectTexts(heardByAnna, ['here again'])
  })

  test('has as long as the provider says where the host does not, and no longer than the host says', async () => {
    const anna = await host()
    const day = 24 * 3_600_000
    const days = async (invite: Invite) =>
      [(await anna.device.invites()).find(({ id }) => id === invite.id)!, invite].map(({ expiresAt, idleMs }) => [
        Math.round((expiresAt - Date.now()) / day),
        idleMs / day,
      ])
    const usual = await anna.device.createInvite()
    assert.deepEqual(await days(usual), [
      [10, 10],
      [10, 10],
    ])
    await anna.device.extendInvite(usual.id, 20 * day)
    assert.equal((await days(usual))[0]![0], 20)
    const short = await anna.device.createInvite({ expiresInMs: 2 * day, idleMs: day })
    assert.deepEqual((await days(short))[1], [2, 1])
    const long = await anna.device.createInvite({ expiresInMs: 300 * day, idleMs: 300 * day })
    assert.deepEqual((await days(long))[1], [90, 90])
  })

  test('gives the PIN; a wrong one counts and can be mended', async () => {
    const anna = await host()
    const { link } = await anna.device.createInvite({ pin: '4711' })
    await assert.rejects(come(link), refused('wrong-pin'))
    await assert.rejects(come(link, { pin: '4712' }), refused('wrong-pin'))
    const connection = provider.connection()
    assert.equal((await openInvite({ connection, crypto: nodeCrypto }, link)).pinTries, 3)
    await come(link, { pin: '4711' })
    await assert.rejects(openInvite({ connection, crypto: nodeCrypto }, link), refused('not-found'))
  })

  test('waits to be let in, under the name that was given', async () => {
    const anna = await host()
    const { link } = await anna.device.createInvite({ approval: true, singleUse: false })
    const asked: string[] = []
    anna.device.on('guest', async ({ name, ...guest }) => {
      asked.push(name ?? '')
      await anna.device.answerGuest(guest, name === 'Mia')
    })
    const mia = await come(link, { name: 'Mia' })
    await assert.rejects(come(link, { name: 'Max' }), refused('not-found'))
    assert.deepEqual(asked, ['Mia', 'Max'])
    await until('the room', async () => (await anna.device.room(mia.room))?.standing === 'accepted')
  })

  test('waits through a broken link, and is told at once when the link is revoked meanwhile', async () => {
    const anna = await host()
    const { link, id } = await anna.device.createInvite({ approval: true })
    const waits = Promise.withResolvers<void>()
    const coming = come(link, { onWaiting: waits.resolve })
    await waits.promise
    const at = Date.now()
    await anna.device.revokeInvite(id)
    await assert.rejects(coming, refused('not-found'))
    // It would have asked again after a minute.
    assert.ok(Date.now() - at < 30_000)

    const again = await anna.device.createInvite({ approval: true })
    const waiting = Promise.withResolvers<void>()
    const second = memoryStorage()
    const { connection, cut } = provider.cuttable()
    const joining = joinByInvite({
      ...{ connection, storage: second, crypto: nodeCrypto, mls: provider.mls, link: again.link },
      onWaiting: waiting.resolve,
    })
    await waiting.promise
    cut()
    const [guest] = (await anna.device.invites()).find(({ id }) => id === again.id)?.waiting ?? []
    await anna.device.answerGuest({ invite: again.id, account: guest!.account }, true)
    await (await joining).close()
  })

  test('is not called like the host or the provider, not in other letters either', async () => {
    const anna = await host()
    const { link } = await anna.device.createInvite({ name: 'Anna', approval: true, singleUse: false })
    await assert.rejects(come(link, { name: 'Provider Support' }), refused('misleading-name'))
    const lookalike = '\u0410nn\u0430'
    await assert.rejects(come(link, { name: lookalike, hostName: 'Anna' }), refused('misleading-name'))
    // A guest's browser that was changed does not look; the host's devices do.
    const asked: object[] = []
    const codes = refusals(anna.device)
    anna.device.on('guest', async ({ invite, account, ...rest }) => {
      asked.push(rest)
      await anna.device.answerGuest({ invite, account }, true)
    })
    const mia = await come(link, { name: lookalike })
    assert.deepEqual(asked, [{ misleading: true }])
    await until('the refusal', () => codes.length > 0)
    assert.deepEqual(codes, ['misleading-name'])
    const guest = (await anna.device.members(mia.room)).find(({ own }) => !own)
    assert.deepEqual([guest?.accountKind, guest?.profile], ['guest', {}])
    await mia.device.send(mia.room, text('hello'))
  })

  test('says text and nothing else, and is told nothing else', async () => {
    const { anna, heardByAnna, mia, room } = await chat()
    await assert.rejects(mia.device.send(room, picture), refused('text-only'))
    await assert.rejects(anna.device.send(room, picture), refused('text-only'))
    await mia.device.send(room, textMessage({ plain: 'fat', markdown: '**fat**' }))
    await expectTexts(heardByAnna, ['fat'])
    // A guest's browser that was changed takes the chat for another kind of room.
    await mia.storage.transaction(async (tx) => {
      const record = await rooms.get(tx, room)
      await rooms.put(tx, room, { ...record!, kind: 'direct' })
    })
    await mia.device.send(room, picture)
    await until('the refusal', () => heardByAnna.faults.length > 0)
    assert.match(heardByAnna.faults[0]!, /^text-only/)
    assert.equal(heardByAnna.texts.length, 1)
  })

  test('writes as much at once as the provider takes, and is told at once of more', async () => {
    const { anna, mia, heardByAnna, room } = await chat()
    const longest = longestText(mia.device.address, room, defaultSettings.guestMessageBytes)
    await (await mia.device.send(room, text(longest))).accepted
    await expectTexts(heardByAnna, [longest])
    await (await anna.device.send(room, text(longestText(anna.device.address, room, 16 * 1024)))).accepted
    for (const { device } of [anna, mia])
      await assert.rejects(device.send(room, text(`${longest}xx`)), refused('too-large'))
  })

  test('is reported and reports, to the provider, which takes it down; nobody reports whom they never met', async () => {
    const { anna, mia, room } = await chat()
    await mia.device.report(room, anna.device.address, 'abuse')
    await anna.device.report(room, mia.device.address, 'spam')
    const stranger = await host()
    await assert.rejects(stranger.device.report(room, mia.device.address, 'spam'), refused('not-found'))
    await assert.rejects(anna.device.report(room, stranger.device.address, 'other'), refused('not-found'))
    await mia.device.leave(room)
    await anna.device.report(room, mia.device.address, 'impersonation')
    for (let left = 20 - 3; left > 0; left--) await anna.device.report(room, mia.device.address, 'other')
    await assert.rejects(anna.device.report(room, mia.device.address, 'other'), refused('rate-limited'))
  })

  test('finds nobody else', async () => {
    const { mia } = await chat()
    const ben = await host()
    await ben.device.setHandle(`ben${people}`)
    await assert.rejects(mia.device.conversationWith({ handle: `ben${people}` }), refused('not-allowed'))
    await assert.rejects(mia.device.createDirectRoom(ben.device.address), refused('not-allowed'))
    await assert.rejects(ben.device.createDirectRoom(mia.device.address), refused('not-reachable'))
    await assert.rejects(mia.device.createInvite(), refused('not-allowed'))
  })
})

describe('a host with several devices', () => {
  test('sees the guest on a device that was there, one that was away, and one that came later', async () => {
    const anna = await host()
    const tablet = await provider.link(anna.device)
    const away = await provider.link(anna.device)
    await until('the self room', async () =>
      (
        await Promise.all(
          [tablet, away].map(async ({ device }) =>
            (await device.rooms()).some((each) => each.kind === 'self' && each.joined),
          ),
        )
      ).every(Boolean),
    )
    await away.crash()
    const invite = await anna.device.createInvite()
    const heardByTablet = listen(tablet.device)
    const mia = await come(invite.link, { name: 'Mia' })
    await mia.device.send(mia.room, text('good day'))
    await expectTexts(heardByTablet, ['good day'])

    const back = await provider.reopen(away.storage)
    const seen = refusals(back.device)
    const heardByBack = listen(back.device)
    await until('the one that was away', async () => (await back.device.room(mia.room))?.joined === true)
    const late = await provider.link(anna.device)
    await until('the one that came later', async () => (await late.device.room(mia.room))?.joined === true)
    const heardByLate = listen(late.device)
    await until(
      'four devices',
      async () => (await mia.device.members(mia.room)).flatMap(({ devices }) => devices).length === 5,
    )
    await mia.device.send(mia.room, text('to all of you'))
    await until('all of them', () =>
      [heardByTablet, heardByBack, heardByLate].every(({ texts }) => texts.includes('to all of you')),
    )
    await late.device.send(mia.room, text('from the newest'))
    await until('the answer', () => mia.heard.texts.includes('from the newest'))
    assert.deepEqual([mia.heard.faults, seen], [[], []])
    assert.deepEqual(
      (await late.device.invites()).map(({ id }) => id),
      [invite.id],
    )
  })
})

describe('a chat ends', () => {
  const over = async (mia: Guest, reason: string) => {
    await until('the end', () => mia.ended.length > 0)
    assert.deepEqual(mia.ended, [reason])
    assert.ok(await empty(mia.storage))
    await assert.rejects(mia.device.send(mia.room, text('hello?')))
  }

  test('at once when the host revokes the link, and nothing stays in the guest’s browser', async () => {
    const { anna, invite, mia, room } = await chat()
    await anna.device.revokeInvite(invite.id)
    await over(mia, 'revoked')
    await until('the host’s side', async () => (await anna.device.room(room))?.standing === 'left')
    await assert.rejects(come(invite.link), refused('not-found'))
  })

  test('when the guest leaves, or is blocked', async () => {
    const [one, two] = [await chat(), await chat()]
    await one.mia.device.leave(one.room)
    await over(one.mia, 'left')
    await two.anna.device.block(two.mia.device.address)
    await over(two.mia, 'blocked')
  })

  test('when nothing was said for the idle time', async () => {
    const { mia } = await chat({ idleMs: 300 })
    await over(mia, 'idle')
  })

  test('and a guest who was away is told why', async () => {
    const { anna, invite, mia } = await chat()
    await mia.device.close()
    await anna.device.revokeInvite(invite.id)
    const reasons: string[] = []
    await provider.reopen(mia.storage, {
      before: (device) => device.on('ended', (reason) => void reasons.push(reason)),
    })
    await until('the reason', () => reasons.length > 0)
    assert.deepEqual(reasons, ['revoked'])
    assert.ok(await empty(mia.storage))
  })

  test('not before both sides were told, and it goes on when one keeps it open or something is said', async () => {
    const hour = 3_600_000
    const { anna, mia, room } = await chat({ idleMs: 2 * hour })
    const heard = { anna: [] as number[], mia: [] as number[] }
    mia.device.on('ending', ({ leftMs }) => void heard.mia.push(leftMs))
    anna.device.on('ending', ({ leftMs }) => void heard.anna.push(leftMs))
    /** As if nothing had been said for that long. */
    const silence = async (ms: number) => {
      await provider.database.query('update hub.room set last_at = last_at - $2 where id = $1', [room, ms])
      await provider.database.query('update hub.guest set look_at = 0 where host = $1', [anna.device.address])
      await provider.hub.clean()
    }
    await silence(1.5 * hour)
    await until('both were told', () => heard.anna.length > 0 && heard.mia.length > 0)
    assert.ok([...heard.anna, ...heard.mia].every((left) => left > 0 && left <= 0.5 * hour))
    await mia.device.send(room, text('still here'))
    await until('it moved away', () => [heard.anna, heard.mia].every((each) => each.at(-1)! > hour))
    await silence(1.5 * hour)
    await until('told again', () => [heard.anna, heard.mia].every((each) => each.at(-1)! <= 0.5 * hour))
    assert.ok((await anna.device.extendChat(room)).leftMs > 1.9 * hour)
    await until('kept open', () => heard.mia.at(-1)! > hour)
  })

  test('but goes on under a link that is issued anew', async () => {
    const { anna, heardByAnna, invite, mia, room } = await chat({ singleUse: false })
    const anew = await anna.device.reissueInvite(invite.id)
    await assert.rejects(come(invite.link), refused('not-found'))
    await come(anew.link)
    await mia.device.send(room, text('still here'))
    await expectTexts(heardByAnna, ['still here'])
  })
})

describe('a provider that lies', () => {
  const entries = (change: (entry: InviteEntry) => unknown): Tap => ({
    down(frame) {
      if (frame.body.case === 'inviteEntry') change(frame.body.value)
      return frame
    },
  })
  const now = () => Math.floor(Date.now() / 1000)
  const validity = () => ({ notBefore: now() - 3600, notAfter: now() + 3600 })

  /** An account at this address as the provider could make it up: it has its own key, and not the host's. */
  async function madeUp(address: Device['address']) {
    const account = nodeCrypto.generateKeyPair()
    const device = nodeCrypto.generateKeyPair()
    const accountKey = account.publicKey
    const common = { account: address, accountKey, ...validity() }
    const endorsement = issueEndorsement(nodeCrypto, provider.providerKeyPair.privateKey, { ...common, kind: 'person' })
    const certificate = issueCertificate(nodeCrypto, account.privateKey, {
      ...common,
      deviceKey: device.publicKey,
      kind: 'primary',
    })
    const devices = [{ deviceKey: device.publicKey, kind: 'primary' as const }]
    const manifest = issueManifest(nodeCrypto, account.privateKey, {
      ...{ account: address, number: 9, previous: nodeCrypto.randomBytes(32), devices },
      ...validity(),
    })
    const identity = encodeCredential({ certificate, endorsement })
    const { publicPart } = await generateKeyPackage(provider.mls, { identity, keyPair: device, ...validity() })
    return { hostEndorsement: endorsement, manifest, keyPackages: [publicPart] }
  }

  async function invited(choices = {}) {
    const anna = await host()
    return { anna, invite: await anna.device.createInvite(choices), refusedByAnna: refusals(anna.device) }
  }
  /** The guest refuses it; the link is not used up, and nothing was said to anybody. */
  async function notFooled(invite: Invite, code: string, change: (entry: InviteEntry) => unknown) {
    await assert.rejects(come(invite.link, { tap: entries(change) }), refused(code))
    await come(invite.link)
  }

  test('swaps the KeyPackages: the guest refuses', async () => {
    const { anna, invite } = await invited()
    const { keyPackages } = await madeUp(anna.device.address)
    await notFooled(invite, 'bad-identity', (entry) => Object.assign(entry, { keyPackages }))
  })

  test('adds a device: the guest refuses', async () => {
    const { anna, invite } = await invited()
    const { keyPackages } = await madeUp(anna.device.address)
    await notFooled(invite, 'bad-identity', (entry) => entry.keyPackages.push(...keyPackages))
  })

  test('puts its own key in the place of the host’s, or serves another host: the guest refuses', async () => {
    const { anna, invite } = await invited()
    const own = await madeUp(anna.device.address)
    await notFooled(invite, 'wrong-host', (entry) => Object.assign(entry, own))
    const { anna: other, invite: second } = await invited()
    const stolen = await madeUp(other.device.address)
    const { invite: third } = await invited()
    await notFooled(third, 'wrong-host', (entry) => Object.assign(entry, stolen, { host: other.device.address }))
    assert.notEqual(second.id, third.id)
  })

  test('serves an old manifest with a device that was unlinked: the guest refuses', async () => {
    const anna = await host()
    const lost = await provider.link(anna.device)
    const stranger = await host()
    const claim = await provider.hub.claimKeyPackages(askerOf(stranger), anna.device.address)
    await anna.device.unlink(lost.device.deviceId)
    const invite = await anna.device.createInvite()
    const { manifest, keyPackages } = claim
    await notFooled(invite, 'old-manifest', (entry) => Object.assign(entry, { manifest, keyPackages }))
    await notFooledOnceMore(anna, keyPackages)
  })
  /** The newest manifest, and a KeyPackage of the device that is no longer in it. */
  async function notFooledOnceMore(anna: TestDevice, keyPackages: Uint8Array[]) {
    const invite = await anna.device.createInvite()
    await notFooled(invite, 'not-in-manifest', (entry) => Object.assign(entry, { keyPackages }))
  }

  test('brings back a link that was used: the host refuses whoever comes', async () => {
    const { anna, invite, refusedByAnna } = await invited()
    const first = await come(invite.link)
    await until('the first', async () => (await anna.device.room(first.room))?.joined === true)
    await provider.database.query('update hub.invite set uses = 0 where id = $1', [invite.id])
    const second = await come(invite.link)
    await until('the refusal', () => refusedByAnna.length > 0)
    assert.deepEqual(refusedByAnna, ['not-invited'])
    assert.equal((await anna.device.room(second.room))?.joined, false)
  })

  test('brings back a link that was revoked: the host refuses whoever comes', async () => {
    const { anna, invite, refusedByAnna } = await invited()
    await anna.device.revokeInvite(invite.id)
    await provider.database.query('update hub.invite set revoked_at = null where id = $1', [invite.id])
    const guest = await come(invite.link)
    await until('the refusal', () => refusedByAnna.length > 0)
    assert.deepEqual(refusedByAnna, ['not-invited'])
    assert.equal((await anna.device.room(guest.room))?.joined, false)
  })

  test('brings in a device of the host’s account without the link’s key: both say so, and stay without it', async () => {
    const { anna, heardByAnna, mia, room } = await chat()
    const tablet = await provider.link(anna.device)
    await until('the tablet', async () => (await tablet.device.room(room))?.joined === true)
    await mia.device.send(room, text('to both'))
    await until('both', () => heardByAnna.texts.length === 1)
    // As one would be whose keys the provider has come by, and who never saw the link: true in all but that.
    await tablet.crash()
    await tablet.storage.transaction(async (tx) => {
      const record = await rooms.get(tx, room)
      const psk = { id: new TextEncoder().encode('made up'), secret: nodeCrypto.randomBytes(32) }
      await rooms.put(tx, room, { ...record!, enter: true, psk })
    })
    const seen = { anna: faultsOf(anna.device), mia: faultsOf(mia.device) }
    const intruder = await provider.reopen(tablet.storage)
    const heardByIntruder = listen(intruder.device)
    await until('both say so', () => [seen.anna, seen.mia].every((faults) => faults.includes('bad-commit')))
    // Whoever comes back into the room does so with the link's key, and who has it not is out.
    await mia.device.send(room, text('are we alone?'))
    await intruder.crash()
    // What was said while one of the two was coming back is missing there, and shown as a gap.
    await until('the two to be together again', async () => {
      await (await mia.device.send(room, text('now we are alone'))).accepted
      return heardByAnna.texts.includes('now we are alone')
    })
    assert.deepEqual(heardByIntruder.texts, [])
  })

  test('comes itself, without the link’s key or with one that it made up: the host refuses', async () => {
    const { anna, invite, refusedByAnna } = await invited({ singleUse: false })
    const world = {
      hub: provider.hub,
      trust: { providerKeys: () => [provider.providerKeyPair.publicKey] },
      keyPair: provider.providerKeyPair,
      clock: { now: Date.now() },
    }
    const keys = nodeCrypto.generateKeyPair()
    const none = new Uint8Array()
    const ask = { invite: invite.id, pin: none, accountKey: keys.publicKey, introduction: none }
    const { creation, room } = await openGuest(
      world,
      invite.id,
      await provider.hub.enterInvite(ask),
      keys,
      provider.provider,
    )
    await provider.hub.createGuestRoom(creation)
    await until('the refusal', () => refusedByAnna.length > 0)
    assert.deepEqual(refusedByAnna, ['not-invited'])
    assert.equal((await anna.device.room(room as RoomId))?.joined, false)

    const { invite: id, ...link } = decodeLink(nodeCrypto, invite.link)
    const guessed = { ...link, invite: id, secret: nodeCrypto.randomBytes(32) }
    const guest = await come(encodeLink(nodeCrypto, 'https://provider.example', guessed))
    await until('the second refusal', () => refusedByAnna.length > 1)
    assert.equal(refusedByAnna[1], 'bad-commit')
    assert.equal((await anna.device.room(guest.room))?.joined, false)
  })
})

function askerOf({ device }: TestDevice) {
  const { address: account, deviceId } = device
  return { device: deviceId, account, deviceKind: 'primary', accountKind: 'person' } as const
}

function unavailable(frame: ServerFrame): ServerFrame {
  const error = { $typeName: 'silta.messenger.v1.Error', code: 25, message: '', retry: true, retryAfterMs: 0 } as const
  const value = { ...error, room: '', proposals: [], epoch: 0n, ended: 0 }
  return { ...frame, body: { case: 'error', value } }
}
