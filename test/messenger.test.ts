import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { groupCache, serveNetwork } from '../src/client/index.ts'
import { defaultSettings } from '../src/client/settings.ts'
import { submissions } from '../src/client/state/records.ts'
import { textMessage } from '../src/content/index.ts'
import { expectTexts, type Heard, listen, longestText, type Tap, testProvider, until } from './support/provider.ts'

let provider: Awaited<ReturnType<typeof testProvider>>
before(async () => {
  provider = await testProvider()
})
after(() => provider.close())

const text = (plain: string) => textMessage({ plain })
const refused = (code: string) => ({ name: 'ClientError', code })
let people = 0
/** Two new accounts, and a room in which both have accepted. */
async function pair() {
  const [alice, bob] = [await provider.register(`alice ${++people}`), await provider.register(`bob ${people}`)]
  const [heardByAlice, heardByBob] = [listen(alice.device), listen(bob.device)]
  const room = await alice.device.createDirectRoom(bob.device.address)
  await until('the room at the other side', async () => (await bob.device.room(room))?.joined === true)
  await bob.device.accept(room)
  return { alice, bob, room, heardByAlice, heardByBob }
}

describe('two accounts', () => {
  test('write to each other, end to end, after the request was accepted', async () => {
    const alice = await provider.register('alice')
    const bob = await provider.register('bob')
    const [heardByAlice, heardByBob] = [listen(alice.device), listen(bob.device)]
    const requests: string[] = []
    bob.device.on('request', (room) => void requests.push(room.inviter ?? ''))

    const room = await alice.device.createDirectRoom(bob.device.address)
    const sent = await alice.device.send(room, text('hello bob'))
    assert.ok((await sent.accepted).seq > 0)
    await expectTexts(heardByBob, ['hello bob'])
    assert.deepEqual(heardByBob.messages[0]?.messageId, sent.messageId)
    assert.deepEqual(requests, [alice.device.address])

    await bob.device.accept(room)
    await (await bob.device.send(room, text('hello alice'))).accepted
    await expectTexts(heardByAlice, ['hello alice'])
    assert.equal(await alice.device.safetyNumber(room), await bob.device.safetyNumber(room))
    assert.deepEqual(await alice.device.posture(room), { level: 'native', readers: [], accounts: 2 })
    assert.equal((await alice.device.members(room)).length, 2)
    assert.deepEqual([heardByAlice.faults, heardByBob.faults], [[], []])
  })

  test('that write first at the same moment come to one room, and nothing is lost', async () => {
    const [anna, ben] = [await provider.register('anna'), await provider.register('ben')]
    const [heardByAnna, heardByBen] = [listen(anna.device), listen(ben.device)]
    const write = async (from: typeof anna, to: typeof ben, words: string) => {
      const room = await from.device.createDirectRoom(to.device.address)
      await (await from.device.send(room, text(words))).accepted
      return room
    }
    const rooms = await Promise.all([write(anna, ben, 'from anna'), write(ben, anna, 'from ben')])
    assert.equal(rooms[0], rooms[1])
    await expectTexts(heardByBen, ['from anna'])
    await expectTexts(heardByAnna, ['from ben'])
    const direct = async ({ device }: typeof anna) => (await device.rooms()).filter(({ kind }) => kind === 'direct')
    assert.deepEqual([(await direct(anna)).length, (await direct(ben)).length], [1, 1])
  })

  test('find each other by handle, and asking twice for a conversation gives one', async () => {
    const [carl, dora] = [await provider.register('carl'), await provider.register('dora')]
    await dora.device.setHandle('dora.d')
    const rooms = await Promise.all([1, 2].map(() => carl.device.conversationWith({ handle: 'dora.d' })))
    assert.equal(rooms[0], rooms[1])
    assert.equal((await dora.device.settings()).handle, 'dora.d')
    await assert.rejects(carl.device.conversationWith({ handle: 'nobody' }), { name: 'ClientError' })
  })

  test('keep their order when many messages are written without waiting', async () => {
    const { alice, bob, room, heardByAlice, heardByBob } = await pair()
    const words = (who: string) => Array.from({ length: 40 }, (_, i) => `${who} ${i}`)
    for (const each of words('a')) await alice.device.send(room, text(each))
    for (const each of words('b')) await bob.device.send(room, text(each))
    await expectTexts(heardByBob, words('a'))
    await expectTexts(heardByAlice, words('b'))
    assert.deepEqual([heardByAlice.faults, heardByBob.faults], [[], []])
  })

  test('see no profile before the room is accepted by both', async () => {
    const [eve, finn] = [await provider.register('eve'), await provider.register('finn')]
    await eve.device.setProfile({ name: 'Eve' })
    await finn.device.setProfile({ name: 'Finn' })
    const room = await eve.device.createDirectRoom(finn.device.address)
    const nameAt = async ({ device }: typeof eve) => (await device.members(room)).find(({ own }) => !own)?.profile?.name
    const heard = listen(finn.device)
    await (await eve.device.send(room, text('who am I?'))).accepted
    await expectTexts(heard, ['who am I?'])
    assert.deepEqual([await nameAt(eve), await nameAt(finn)], [undefined, undefined])
    await finn.device.accept(room)
    await until('both names', async () => (await nameAt(eve)) === 'Finn' && (await nameAt(finn)) === 'Eve')
    await eve.device.setProfile({ name: 'Eve R.' })
    await until('the new name', async () => (await nameAt(finn)) === 'Eve R.')
  })

  test('are told, with a code, what the other side or its policy refuses', async () => {
    const [gus, hal] = [await provider.register('gus'), await provider.register('hal')]
    await hal.device.setFirstContact('consent')
    await assert.rejects(gus.device.createDirectRoom(hal.device.address), refused('consent-required'))
    const asked: string[] = []
    hal.device.on('consent', ({ account, state }) => void asked.push(`${account} ${state}`))
    const answered: string[] = []
    gus.device.on('consent', ({ state }) => void answered.push(state))
    await gus.device.requestConsent(hal.device.address)
    await until('the question', () => asked.length > 0)
    assert.deepEqual(asked, [`${gus.device.address} requested`])
    await hal.device.answerConsent(gus.device.address, true)
    await until('the answer', () => answered.includes('granted'))
    const room = await gus.device.createDirectRoom(hal.device.address)
    await (await gus.device.send(room, text('thanks'))).accepted

    await hal.device.block(gus.device.address)
    const refusals: string[] = []
    gus.device.on('refused', ({ error, messageId }) => void refusals.push(`${error.code} ${messageId?.length}`))
    await assert.rejects((await gus.device.send(room, text('are you there?'))).accepted, refused('blocked'))
    assert.deepEqual(refusals, ['blocked 32'])
    await hal.device.setFirstContact('nobody')
    const ida = await provider.register('ida')
    await assert.rejects(ida.device.createDirectRoom(hal.device.address), refused('not-reachable'))
  })

  test('learn that the other declined or left', async () => {
    const [jan, kim] = [await provider.register('jan'), await provider.register('kim')]
    const room = await jan.device.createDirectRoom(kim.device.address)
    await until('the request', async () => (await kim.device.room(room))?.joined === true)
    await kim.device.decline(room)
    await until('the news of it', async () => (await jan.device.room(room))?.otherStanding === 'declined')
    await assert.rejects((await jan.device.send(room, text('hello?'))).accepted, refused('not-allowed'))

    const { alice, bob, room: shared } = await pair()
    await bob.device.leave(shared)
    assert.equal((await bob.device.room(shared))?.joined, false)
    await until('the news', async () => (await alice.device.room(shared))?.otherStanding === 'left')
    await assert.rejects((await alice.device.send(shared, text('still there?'))).accepted, refused('not-allowed'))
    const again = await alice.device.createDirectRoom(bob.device.address)
    assert.notEqual(again, shared)
  })

  test('learn of it when they come back, too', async () => {
    const [jan, kim] = [await provider.register('jan again'), await provider.register('kim again')]
    const room = await jan.device.createDirectRoom(kim.device.address)
    await until('the request', async () => (await kim.device.room(room))?.joined === true)
    await jan.crash()
    await kim.device.decline(room)
    const back = await provider.reopen(jan.storage)
    await until('the news of it', async () => (await back.device.room(room))?.otherStanding === 'declined')
  })

  test('accept a stranger by answering', async () => {
    const [lea, max] = [await provider.register('lea'), await provider.register('max')]
    const heard = listen(max.device)
    const room = await lea.device.createDirectRoom(max.device.address)
    await until('the request', async () => (await max.device.room(room))?.standing === 'requested')
    await (await max.device.send(room, text('who are you?'))).accepted
    assert.equal((await max.device.room(room))?.standing, 'accepted')
    // More than a stranger may say.
    const words = ['1', '2', '3', '4', '5', '6', '7']
    for (const word of words) await (await lea.device.send(room, text(word))).accepted
    await expectTexts(heard, words)
  })
})

describe('a second device', () => {
  test('is linked by its code and takes part in what there is and what comes', async () => {
    const { alice, bob, room, heardByAlice, heardByBob } = await pair()
    await (await bob.device.send(room, text('before'))).accepted
    await expectTexts(heardByAlice, ['before'])

    const tablet = await provider.link(alice.device)
    const heardByTablet = listen(tablet.device)
    assert.equal(tablet.device.address, alice.device.address)
    assert.equal(tablet.device.kind, 'companion')
    await until('the room', async () => (await tablet.device.room(room))?.joined === true)
    const kinds = async () => (await tablet.device.rooms()).filter(({ joined }) => joined).map(({ kind }) => kind)
    await until('both rooms', async () => (await kinds()).sort().join() === 'direct,self')

    await (await bob.device.send(room, text('to both'))).accepted
    await expectTexts(heardByTablet, ['to both'])
    await expectTexts(heardByAlice, ['before', 'to both'])
    await (await tablet.device.send(room, text('from the tablet'))).accepted
    await expectTexts(heardByBob, ['from the tablet'])
    await expectTexts(heardByAlice, ['before', 'to both', 'from the tablet'])
    assert.deepEqual(heardByAlice.messages.at(-1)?.own, true)
    assert.deepEqual(heardByBob.messages.at(-1)?.own, false)
    assert.equal(await tablet.device.safetyNumber(room), await bob.device.safetyNumber(room))

    // New conversations reach both devices, whoever begins them.
    const carol = await provider.register(`carol ${people}`)
    const second = await carol.device.createDirectRoom(alice.device.address)
    await until('the new room', async () => (await tablet.device.room(second))?.joined === true)
    const dave = await provider.register(`dave ${people}`)
    const third = await tablet.device.createDirectRoom(dave.device.address)
    await until('the third', async () => (await alice.device.room(third))?.joined === true)
    assert.equal((await dave.device.members(third)).find(({ own }) => !own)?.devices.length, 2)
  })

  test('is unlinked at once: it hears no more, and members remove it before the next word', async () => {
    const { alice, bob, room, heardByBob } = await pair()
    const tablet = await provider.link(alice.device)
    const heardByTablet = listen(tablet.device)
    await until('the room', async () => (await tablet.device.room(room))?.joined === true)
    let unlinked = false
    tablet.device.on('unlinked', () => {
      unlinked = true
    })
    await alice.device.unlink(tablet.device.deviceId)
    await until('the news', () => unlinked)
    await (await alice.device.send(room, text('among us'))).accepted
    await expectTexts(heardByBob, ['among us'])
    assert.deepEqual(heardByTablet.texts, [])
    const devices = async () => (await bob.device.members(room)).flatMap((member) => member.devices.map((d) => d.kind))
    await until('the removal', async () => (await devices()).join() === 'primary,primary')
    assert.equal((await alice.device.devices()).length, 1)
    await assert.rejects(tablet.device.send(room, text('hello?')).then(({ accepted }) => accepted))
  })

  test('that was unlinked while the others were away is removed by whoever speaks first', async () => {
    const { alice, bob, room, heardByBob } = await pair()
    const tablet = await provider.link(alice.device)
    await until('the room', async () => (await tablet.device.room(room))?.joined === true)
    // The primary's own commits are lost on the way, so that the hub's proposal is what stands.
    alice.tap.up = (frame) => (frame.request.case === 'submitCommit' ? undefined : frame)
    await alice.device.unlink(tablet.device.deviceId)
    const heardByAlice = listen(alice.device)
    await (await bob.device.send(room, text('first'))).accepted
    await expectTexts(heardByAlice, ['first'])
    const kinds = async () => (await bob.device.members(room)).flatMap((member) => member.devices.map((d) => d.kind))
    assert.equal((await kinds()).join(), 'primary,primary')
    delete alice.tap.up
    alice.cut()
    await (await alice.device.send(room, text('second'))).accepted
    await expectTexts(heardByBob, ['second'])
  })

  test('that was alone in a room for its account is removed by the other one when it is unlinked', async () => {
    const alice = await provider.register(`alice ${++people}`)
    const bob = await provider.register(`bob ${people}`)
    const carol = await provider.register(`carol ${people}`)
    const tablet = await provider.link(alice.device)
    // Another client than this one may leave its primary out of a room, at the beginning and afterwards.
    const own = new Set<bigint>()
    tablet.tap.up = (frame) => {
      if (frame.request.case === 'claimKeyPackages' && frame.request.value.account === alice.device.address)
        own.add(frame.id)
      return frame
    }
    tablet.tap.down = (frame) => {
      if (frame.body.case === 'claimedKeyPackages' && own.has(frame.id)) frame.body.value.keyPackages = []
      return frame
    }
    alice.tap.up = (frame) => (frame.request.case === 'getGroupInfo' ? undefined : frame)
    const members = [bob.device.address, carol.device.address]
    for (const { device } of [bob, carol]) {
      await tablet.device.requestConsent(device.address)
      await device.answerConsent(alice.device.address, true)
    }
    const room = await tablet.device.createGroup({ name: 'without a primary', members })
    const heardByCarol = listen(carol.device)
    for (const { device } of [bob, carol]) {
      await until('the room', async () => (await device.room(room))?.joined === true)
      await device.accept(room)
    }
    await alice.device.unlink(tablet.device.deviceId)
    await (await bob.device.send(room, text('among us'))).accepted
    await expectTexts(heardByCarol, ['among us'])
    assert.deepEqual((await bob.device.members(room)).map(({ address }) => address).sort(), members.toSorted())
  })

  test('a code that is not whole is refused, and so is linking from a companion', async () => {
    const { alice } = await pair()
    const tablet = await provider.link(alice.device)
    await assert.rejects(alice.device.confirmLink('silta-link-1.abc'), refused('bad-code'))
    await assert.rejects(tablet.device.confirmLink('silta-link-1.abc'), refused('not-primary'))
    await assert.rejects(tablet.device.unlink(alice.device.deviceId), refused('not-primary'))
  })
})

describe('a device', () => {
  test('that was away gets everything once, in order, after its link or its process came back', async () => {
    const { alice, bob, room, heardByBob } = await pair()
    await (await alice.device.send(room, text('one'))).accepted
    await expectTexts(heardByBob, ['one'])
    bob.cut()
    await (await alice.device.send(room, text('two'))).accepted
    await expectTexts(heardByBob, ['one', 'two'])
    await bob.crash()
    for (const each of ['three', 'four']) await (await alice.device.send(room, text(each))).accepted
    let heard = listen(bob.device)
    const again = await provider.reopen(bob.storage, {
      before: (device) => {
        heard = listen(device)
      },
    })
    await expectTexts(heard, ['three', 'four'])
    await (await again.device.send(room, text('five'))).accepted
    assert.deepEqual(heard.faults, [])
  })

  test('sends what it stored while there was no link', async () => {
    const { alice, bob, room, heardByBob } = await pair()
    alice.tap.up = () => undefined
    alice.cut()
    const sent = await alice.device.send(room, text('written offline'))
    await bob.device.send(room, text('meanwhile'))
    delete alice.tap.up
    alice.cut()
    await sent.accepted
    await expectTexts(heardByBob, ['written offline'])
  })

  test('encrypts again, under the same id, what it wrote for an epoch that has passed', async () => {
    const { alice, bob, room, heardByBob } = await pair()
    await expectTexts(heardByBob, [])
    // Nothing of alice's reaches the provider, and she hears nothing, while a device of bob's enters.
    const [up, down] = [alice.tap.up, alice.tap.down]
    alice.tap.up = () => undefined
    alice.tap.down = () => undefined
    const sent = await alice.device.send(room, text('late'))
    const tablet = await provider.link(bob.device)
    const heardByTablet = listen(tablet.device)
    await until('the tablet', async () => (await tablet.device.room(room))?.joined === true)
    Object.assign(alice.tap, { up, down })
    alice.cut()
    await sent.accepted
    await expectTexts(heardByTablet, ['late'])
    assert.deepEqual(heardByTablet.messages[0]?.messageId, sent.messageId)
  })

  test('that is closed while it sends has not lost what it was sending', async () => {
    const { alice, room, heardByBob } = await pair()
    alice.tap.down = (frame) => (frame.body.case === 'accepted' ? undefined : frame)
    alice.tap.up = (frame) => (frame.request.case === 'submitMessage' ? undefined : frame)
    const sent = await alice.device.send(room, text('not lost'))
    await new Promise((resolve) => setTimeout(resolve, 50))
    await alice.device.close()
    await assert.rejects(sent.accepted, refused('closed'))
    await alice.connection.close()
    await provider.reopen(alice.storage)
    await expectTexts(heardByBob, ['not lost'])
  })

  test('sends the very same bytes again when it does not know whether they arrived', async () => {
    const { alice, room, heardByBob } = await pair()
    const sentBytes: string[] = []
    const note = (tap: Tap) => {
      tap.up = (frame) => {
        if (frame.request.case === 'submitMessage')
          sentBytes.push(Buffer.from(frame.request.value.message).toString('hex'))
        return frame
      }
    }
    note(alice.tap)
    // The answer is lost, and with it the device.
    alice.tap.down = (frame) => (frame.body.case === 'accepted' || frame.body.case === 'deliver' ? undefined : frame)
    const { messageId } = await alice.device.send(room, text('once'))
    await expectTexts(heardByBob, ['once'])
    await alice.crash()
    const tap: Tap = {}
    note(tap)
    const accepted: Uint8Array[] = []
    await provider.reopen(alice.storage, {
      tap,
      before: (device) => device.on('accepted', (sent) => void accepted.push(sent.messageId)),
    })
    await until('the acceptance', () => accepted.length > 0)
    assert.deepEqual(accepted, [messageId])
    assert.equal(new Set(sentBytes).size, 1)
    await expectTexts(heardByBob, ['once'])
  })

  test('that enters a room hears what comes even before it is told that it is in', async () => {
    const { alice, bob, room } = await pair()
    const tap: Tap = {}
    // The answer to its commit is lost; what it hears next can only be said to those who are in.
    tap.down = (frame) => (frame.body.case === 'accepted' ? undefined : frame)
    let heard: Heard | undefined
    const linking = provider.link(alice.device, {
      tap,
      before: (device) => {
        heard = listen(device)
      },
    })
    const devices = async () => (await bob.device.members(room)).flatMap((member) => member.devices).length
    await until('the tablet among the members', async () => (await devices()) === 3)
    await (await bob.device.send(room, text('welcome'))).accepted
    await until('the word', () => heard?.texts.length === 1)
    delete tap.down
    const tablet = await linking
    await (await tablet.device.send(room, text('thank you'))).accepted
    assert.deepEqual(heard?.faults, [])
  })

  test('renews manifest, KeyPackages and endorsement in time, also in the rooms it is in', async () => {
    const day = 24 * 60 * 60 * 1000
    let ahead = 0
    await using later = await testProvider({ clock: () => Date.now() + ahead })
    const alice = await later.register('alice')
    const bob = await later.register('bob')
    const room = await alice.device.createDirectRoom(bob.device.address)
    const heardByBob = listen(bob.device)
    for (let week = 1; week <= 15; week++) {
      ahead = week * 7 * day
      for (const each of [alice, bob]) each.cut()
      await (await alice.device.send(room, text(`week ${week}`))).accepted
      await until('the word of the week', () => heardByBob.texts.length === week)
      if (week === 1) await bob.device.accept(room)
    }
    // A hundred days later nothing of the first day is valid any more, and a new device still comes in.
    const tablet = await later.link(alice.device)
    await until('the tablet', async () => (await tablet.device.room(room))?.joined === true)
    await (await tablet.device.send(room, text('new here'))).accepted
    await until('its word', () => heardByBob.texts.at(-1) === 'new here')
  })

  test('enters a room in which somebody has been away for so long that their documents have run out', async () => {
    const day = 24 * 60 * 60 * 1000
    let ahead = 0
    await using later = await testProvider({ clock: () => Date.now() + ahead })
    const alice = await later.register('alice')
    const bob = await later.register('bob')
    const room = await alice.device.createDirectRoom(bob.device.address)
    await until('the room', async () => (await bob.device.room(room))?.joined === true)
    await bob.device.accept(room)
    await bob.crash()
    for (ahead = 10 * day; ahead <= 150 * day; ahead += 20 * day) {
      alice.cut()
      await (await alice.device.send(room, text('are you there?'))).accepted
    }
    const tablet = await later.link(alice.device)
    await until('the tablet', async () => (await tablet.device.room(room))?.joined === true)

    // Who was away comes back, renews what has run out, and can be reached.
    const back = await later.reopen(bob.storage)
    await back.device.ready()
    const carol = await later.register('carol')
    const other = await carol.device.createDirectRoom(bob.device.address)
    await until('the other room', async () => (await back.device.room(other))?.joined === true)
    await (await back.device.send(room, text('I am back'))).accepted
  })

  test('gives one message for one key, however often it is asked', async () => {
    const { alice, room, heardByBob } = await pair()
    const key = new Uint8Array(16).fill(7)
    const within: string[] = []
    const send = () =>
      alice.device.send(room, text('once'), {
        key,
        within: async (_, id) => {
          within.push(String(id.length))
        },
      })
    const first = await send()
    const place = await first.accepted
    const second = await send()
    assert.deepEqual(second.messageId, first.messageId)
    assert.deepEqual(await second.accepted, place)
    await (await alice.device.send(room, text('after'))).accepted
    await expectTexts(heardByBob, ['once', 'after'])
    assert.deepEqual(within, ['32'])
  })

  test('stores several messages together, in their order, or none of them', async () => {
    const { alice, room, heardByBob } = await pair()
    const key = (number: number) => new Uint8Array(16).fill(number)
    const several = [1, 2, 1, 3].map((number) => ({ content: text(`number ${number}`), key: key(number) }))
    await assert.rejects(
      alice.device.sendAll(room, several, () => Promise.reject(new Error('the application failed'))),
      /the application failed/,
    )
    await (await alice.device.send(room, text('number 2'), { key: key(2) })).accepted
    const fresh: boolean[][] = []
    const sent = await alice.device.sendAll(room, several, async (_, ids) => {
      fresh.push(ids.map((id) => id !== undefined))
    })
    const places = await Promise.all(sent.map(({ accepted }) => accepted))
    assert.deepEqual(fresh, [[true, false, false, true]])
    assert.deepEqual(sent[2]?.messageId, sent[0]?.messageId)
    assert.deepEqual(places[2], places[0])
    await (await alice.device.send(room, text('after'))).accepted
    await expectTexts(heardByBob, ['number 2', 'number 1', 'number 3', 'after'])
  })

  test('takes as much at once as the provider does, and refuses more before anything is stored', async () => {
    const { alice, room, heardByBob: heard } = await pair()
    const { messageBytes } = defaultSettings
    const longest = longestText(alice.device.address, room, messageBytes)
    await (await alice.device.send(room, text(longest))).accepted
    await expectTexts(heard, [longest])

    const waiting = () => alice.storage.transaction((tx) => submissions.list(tx))
    for (const larger of [1, messageBytes, 10 * messageBytes]) {
      const sending = alice.device.send(room, text(`${longest}${'x'.repeat(larger)}`), {
        within: async () => assert.fail('something was stored'),
      })
      await assert.rejects(sending, { name: 'ClientError', code: 'too-large', retry: false })
    }
    assert.deepEqual(await waiting(), [])
    await (await alice.device.send(room, text('shorter'))).accepted
    await expectTexts(heard, [longest, 'shorter'])
  })

  test('tells of a handler that fails and hands the message over again', async () => {
    const { alice, bob, room } = await pair()
    const seen: string[] = []
    bob.device.on('message', async ({ content }, tx) => {
      await tx.put('application', String(seen.length), new Uint8Array(1))
      seen.push(content.body.cardinality)
      if (seen.length < 3) throw new Error('the application failed')
    })
    await (await alice.device.send(room, text('difficult'))).accepted
    await until('the third time', () => seen.length === 3)
    const kept = await bob.storage.transaction((tx) => tx.list('application'))
    assert.deepEqual(
      kept.map(({ key }) => key),
      ['2'],
    )
  })
})

describe('an edge', () => {
  test('answers look-ups for its network, and shows in the posture of every room that it reads', async () => {
    const alice = await provider.register('edge-alice')
    const claims = { kind: 'edge', operator: 'bridge.example', network: 'matrix' }
    const edge = await provider.register('edge', { claims })
    assert.equal(edge.device.kind, 'edge')
    const asked: string[] = []
    const served = await serveNetwork(edge.connection, {
      network: 'matrix',
      accessToken: () => JSON.stringify({ subject: 'edge', ...claims }),
      resolve: async (value) => {
        asked.push(value)
        return value === '@known:example.org' ? { account: edge.device.address } : { unresolved: 'not-reachable' }
      },
    })
    const target = { network: 'matrix', value: '@known:example.org' }
    await assert.rejects(alice.device.conversationWith(target), refused('not-opted-in'))
    await alice.device.setReachable('matrix', true)
    assert.deepEqual((await alice.device.settings()).networks, ['matrix'])
    await assert.rejects(alice.device.conversationWith({ ...target, value: '@other:example.org' }), {
      code: 'not-reachable',
    })
    // The connection of an edge may break; it says again what it serves.
    edge.cut()
    await edge.connection.hello()
    await new Promise((resolve) => setTimeout(resolve, 50))
    const postures: string[] = []
    alice.device.on('posture', ({ posture }) => void postures.push(posture.level))
    const room = await alice.device.conversationWith(target)
    assert.deepEqual(await alice.device.posture(room), {
      level: 'edge',
      readers: [{ operator: 'bridge.example', network: 'matrix' }],
      accounts: 2,
    })
    assert.deepEqual(postures, ['edge'])
    const other = (await alice.device.members(room)).find(({ own }) => !own)
    assert.deepEqual([other?.accountKind, other?.operator, other?.network], ['edge', 'bridge.example', 'matrix'])
    const heard = listen(edge.device)
    await (await alice.device.send(room, text('over there'))).accepted
    await expectTexts(heard, ['over there'])
    await alice.device.setReachable('matrix', false)
    await assert.rejects((await alice.device.send(room, text('no more'))).accepted, refused('not-opted-in'))
    assert.deepEqual(asked, ['@other:example.org', '@known:example.org'])
    served.stop()
  })

  test('can be asked to be reachable over the networks that there are, and over no other', async () => {
    await using small = await testProvider({ networks: ['matrix'] })
    const alice = await small.register('alice')
    await alice.device.setReachable('matrix', true)
    await assert.rejects(alice.device.setReachable('pigeon', true), refused('unsupported'))
    assert.deepEqual((await alice.device.settings()).networks, ['matrix'])
    await alice.device.setReachable('pigeon', false)
  })

  test('keeps thousands of quiet rooms for little: states are loaded when they are needed', async () => {
    const size = 2
    const cache = groupCache(size)
    const hub = await provider.register('hub of rooms', { groupCache: cache })
    const rooms = []
    const heard = listen(hub.device)
    for (let i = 0; i < 5; i++) {
      const other = await provider.register(`spoke ${i}`)
      rooms.push({ other, room: await other.device.createDirectRoom(hub.device.address) })
    }
    for (const { other, room } of rooms) await (await other.device.send(room, text('hello'))).accepted
    await until('all', () => heard.texts.length === 5)
    assert.deepEqual(heard.faults, [])
  })
})
