import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { clientSteps, type Device, hasDevice, memoryStorage, type Storage } from '../src/client/index.ts'
import { readText, textMessage } from '../src/content/index.ts'
import { fromUtf8, utf8 } from '../src/crypto/index.ts'
import { listen, testProvider, until } from './support/provider.ts'

let provider: Awaited<ReturnType<typeof testProvider>>
before(async () => {
  provider = await testProvider()
})
after(() => provider.close())

const words = (who: string) => Array.from({ length: 3 }, (_, i) => `${who} ${i}`)
const keyOf = (word: string) => Uint8Array.from({ length: 16 }, (_, i) => utf8(word)[i] ?? 0)

/** An application that keeps what it hears in the transaction that it is handed. */
function keepHeard(device: Device) {
  device.on('message', async ({ content }, tx) => {
    const text = readText(content)?.plain
    if (text === undefined) return
    const place = (await tx.list('heard')).length
    await tx.put('heard', String(place).padStart(4, '0'), utf8(text))
  })
}
const heardIn = async (storage: Storage) =>
  (await storage.transaction((tx) => tx.list('heard'))).map(({ value }) => fromUtf8(value))

/** Sends what the application has not noted as handed over, each note in the transaction that stores the message. */
async function sendAll(device: Device, room: Parameters<Device['send']>[0]) {
  for (const word of words('alice')) {
    const within = (tx: Parameters<NonNullable<Parameters<Device['send']>[2]>['within'] & {}>[0]) =>
      tx.put('handed over', word, new Uint8Array())
    await device.send(room, textMessage({ plain: word }), { key: keyOf(word), within })
  }
}

describe('a device that dies', () => {
  for (const step of clientSteps)
    for (const time of [1, 2])
      test(`at ${step}, time ${time}: everything arrives once and in order`, async () => {
        const name = `${step} ${time}`
        const bob = await provider.register(`bob ${name}`)
        const heardByBob = listen(bob.device)
        let armed = false
        let times = 0
        let died = false
        const alice = await provider.register(`alice ${name}`, {
          dies: () => died,
          steps: (at) => {
            if (armed && at === step && ++times === time) died = true
            return died ? new Promise<void>(() => {}) : undefined
          },
        })
        keepHeard(alice.device)
        const room = await bob.device.createDirectRoom(alice.device.address)
        await until('the room', async () => (await alice.device.room(room))?.joined === true)
        await alice.device.accept(room)

        armed = true
        const sending = sendAll(alice.device, room)
        sending.catch(() => {})
        for (const word of words('bob')) await bob.device.send(room, textMessage({ plain: word }))
        await until('the crash', () => died)
        await alice.crash()

        const again = await provider.reopen(alice.storage, { before: keepHeard })
        await sendAll(again.device, room)
        await until('all from alice', () => heardByBob.texts.length >= 3)
        await until('all from bob', async () => (await heardIn(alice.storage)).length >= 3)
        await again.device.ready()
        assert.deepEqual(heardByBob.texts, words('alice'))
        assert.deepEqual(await heardIn(alice.storage), words('bob'))
        assert.deepEqual(heardByBob.faults, [])
        await Promise.all([again.crash(), bob.crash()])
      })

  test('not, but whose storage could not say whether it stored a message: that is sent all the same', async () => {
    const bob = await provider.register('bob unsure')
    const heard = listen(bob.device)
    const memory = memoryStorage()
    let unsure = false
    const storage: Storage = {
      ...memory,
      async transaction(work) {
        let stores = false
        const result = await memory.transaction((tx) =>
          work({
            ...tx,
            put(collection, key, value) {
              stores ||= collection === 'submission'
              return tx.put(collection, key, value)
            },
          }),
        )
        if (!unsure || !stores) return result
        unsure = false
        throw new Error('the connection broke')
      },
    }
    const alice = await provider.register('alice unsure', { storage })
    const room = await alice.device.createDirectRoom(bob.device.address)
    await until('the room', async () => (await bob.device.room(room))?.joined === true)
    unsure = true
    await assert.rejects(alice.device.send(room, textMessage({ plain: 'stored all the same' })))
    await until('the message', () => heard.texts.includes('stored all the same'))
  })

  test('while it registers, at any storage transaction: the account is made once, under its first key', async () => {
    for (let death = 1, finished = false; !finished; death++) {
      const storage = memoryStorage()
      let count = 0
      let died = () => {}
      const dying = new Promise<undefined>((resolve) => {
        died = () => resolve(undefined)
      })
      const dies = () => {
        if (++count !== death) return false
        setImmediate(died)
        return true
      }
      const name = `newcomer ${death}`
      const first = await Promise.race([provider.register(name, { storage, dies }), dying])
      finished = first !== undefined
      await first?.crash()
      const again = (await hasDevice(storage))
        ? await provider.reopen(storage)
        : await provider.register(name, { storage })
      await again.device.ready()
      if (first) assert.equal(first.device.address, again.device.address)
      assert.equal((await again.device.devices()).length, 1)
      await again.crash()
    }
  })

  // A conversation from its first step, with a device that is linked on the way; it dies at every storage transaction
  // in turn, once before it and once behind it, and does the same again.
  test('at any storage transaction at all: it takes up where it was', { timeout: 300_000 }, async (t) => {
    let transactions = 0
    for (let death = 1, finished = false; !finished; death++) {
      const bob = await provider.register(`bob ${death}`)
      const heardByBob = listen(bob.device)
      let count = 0
      let armed = false
      let dead = () => {}
      const dies = (at: 'before' | 'after') => {
        if (!armed || ++count !== death) return false
        t.diagnostic(`dies ${at} transaction ${Math.ceil(death / 2)}`)
        setImmediate(dead)
        return true
      }
      const alice = await provider.register(`alice ${death}`, { dies })
      armed = true
      const live = async ({ device }: { device: Device }) => {
        const room = await device.createDirectRoom(bob.device.address)
        await sendAll(device, room)
        await until('all from alice', () => heardByBob.texts.length >= 3)
        return room
      }
      const outcome = await Promise.race([
        live(alice).then((room) => ({ room })),
        new Promise<undefined>((resolve) => {
          dead = () => resolve(undefined)
        }),
      ])
      finished = outcome !== undefined
      if (finished) transactions = count
      await alice.crash()
      const again = await provider.reopen(alice.storage)
      const room = await live(again)
      await again.device.ready()
      assert.deepEqual(heardByBob.texts, words('alice'))
      assert.deepEqual(heardByBob.faults, [])
      assert.equal((await again.device.rooms()).filter(({ kind }) => kind === 'direct').length, 1)
      assert.equal((await bob.device.rooms()).filter(({ kind }) => kind === 'direct').length, 1)
      assert.ok(room)
      await Promise.all([again.crash(), bob.crash()])
    }
    t.diagnostic(`${transactions / 2} transactions`)
  })
})
