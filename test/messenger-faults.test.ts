import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { create } from '@bufbuild/protobuf'
import type { Storage } from '../src/client/index.ts'
import { keyPackages } from '../src/client/state/records.ts'
import { readText, textMessage } from '../src/content/index.ts'
import { ErrorCode, ErrorSchema } from '../src/protocol/index.ts'
import { expectTexts, listen, type Tap, type TestDevice, testProvider, until } from './support/provider.ts'

// What passes by itself while a device logs in: faults of the provider, and of the storage.

let provider: Awaited<ReturnType<typeof testProvider>>
before(async () => {
  provider = await testProvider()
})
after(() => provider.close())

const text = (plain: string) => textMessage({ plain })
let people = 0
const newcomer = (extra = {}) => provider.register(`person ${++people}`, extra)

async function met() {
  const [alice, bob] = [await newcomer(), await newcomer()]
  const room = await alice.device.createDirectRoom(bob.device.address)
  await until('the room', async () => (await bob.device.room(room))?.joined === true)
  await bob.device.accept(room)
  return { alice, bob, room }
}

test('a log-in that is overtaken while it waits takes nothing from the one after it', async () => {
  const { alice, bob, room } = await met()
  const heardByBob = listen(bob.device)
  await alice.crash()
  const asked: bigint[] = []
  const again = await provider.reopen(alice.storage, {
    settings: { retryFirst: 400, retryMost: 400 },
    tap: {
      up(frame) {
        if (frame.request.case === 'listRooms') asked.push(frame.id)
        return frame
      },
      down(frame) {
        // As after a backup was put back, so that the device asks before it does anything else.
        if (frame.body.case === 'authenticated') frame.body.value.incarnation = 1n
        if (frame.body.case !== 'rooms' || frame.id !== asked[0]) return frame
        const value = create(ErrorSchema, { code: ErrorCode.UNAVAILABLE, retry: true })
        return { ...frame, body: { case: 'error', value } }
      },
    },
  })
  await until('the first was refused', () => asked.length > 0)
  again.cut()
  await again.device.ready()
  await sleep(500)
  await (await again.device.send(room, text('still here'))).accepted
  await expectTexts(heardByBob, ['still here'])
  assert.equal(await again.device.resting(), true)
})

/** Answers the first so many that publish KeyPackages with an error, and keeps how what was published ends, each time. */
function refusing(times: number, code: ErrorCode, retry: boolean) {
  const asked: { id: bigint; packages: string[] }[] = []
  const tap: Tap = {
    up(frame) {
      if (frame.request.case !== 'publishKeyPackages') return frame
      const { keyPackages, lastResort } = frame.request.value
      const packages = [...keyPackages, lastResort].map((each) => Buffer.from(each.slice(-8)).toString('hex'))
      asked.push({ id: frame.id, packages: packages.sort() })
      return frame
    },
    down(frame) {
      if (!asked.slice(0, times).some(({ id }) => id === frame.id)) return frame
      return { ...frame, body: { case: 'error', value: create(ErrorSchema, { code, retry }) } }
    },
  }
  return { asked, tap }
}
const kept = ({ storage }: TestDevice) => storage.transaction((tx) => keyPackages.list(tx))

test('a supply of KeyPackages is made once, however often it has to be published', async () => {
  const { asked, tap } = refusing(5, ErrorCode.UNAVAILABLE, true)
  const alice = await newcomer({ tap, settings: { keyPackages: 4, keyPackagesLow: 2 } })
  assert.equal(asked.length, 6)
  for (const { packages } of asked) assert.deepEqual(packages, asked[0]?.packages)
  const all = await kept(alice)
  assert.equal(all.length, 5)
  assert.ok(all.every(({ value }) => value.published))
})

test('KeyPackages that are refused for good are not shown again', async () => {
  const { asked, tap } = refusing(1, ErrorCode.BAD_KEY_PACKAGE, false)
  const alice = await newcomer({ tap, settings: { keyPackages: 4, keyPackagesLow: 2 } })
  assert.equal((await kept(alice)).length, 0)
  alice.tap.down = (frame) => {
    if (frame.body.case === 'authenticated') frame.body.value.keyPackages = 0
    return frame
  }
  alice.cut()
  await until('the next log-in', async () => (await kept(alice)).filter(({ value }) => value.published).length === 5)
  const [first, second] = asked
  assert.deepEqual(
    second?.packages.filter((each) => first?.packages.includes(each)),
    [],
  )
})

for (const stored of [false, true])
  test(`a storage that fails once, at any transaction ${stored ? 'that was stored' : 'that was not stored'}: nothing is left undone`, async () => {
    const { alice, bob, room } = await met()
    const [heardByBob, said] = [listen(bob.device), [] as string[]]
    let last = alice
    for (let at = 1; ; at++) {
      // One waits at each side.
      last.tap.up = (frame) => (frame.request.case === 'submitMessage' ? undefined : frame)
      await last.device.send(room, text(`from Alice ${at}`))
      await last.crash()
      await (await bob.device.send(room, text(`from Bob ${at}`))).accepted
      said.push(`from Alice ${at}`)
      let [count, listed] = [Number.NEGATIVE_INFINITY, 0]
      const storage: Storage = {
        ...alice.storage,
        async transaction(fn) {
          if (++count !== at) return alice.storage.transaction(fn)
          if (stored) await alice.storage.transaction(fn)
          throw new Error('a fault of the test')
        },
      }
      const heard: string[] = []
      last = await provider.reopen(storage, {
        before: (device) => device.on('message', ({ content }) => void heard.push(readText(content)?.plain ?? '')),
        tap: {
          up(frame) {
            if (frame.request.case === 'listRooms') listed++
            return frame
          },
          down(frame) {
            if (frame.body.case === 'authenticated') count = 0
            return frame
          },
        },
      })
      await last.device.ready()
      assert.ok(listed > 0, 'the rooms were compared with the provider’s')
      await until('both', () => heard.includes(`from Bob ${at}`) && heardByBob.texts.length >= said.length)
      const finished = count < at
      count = Number.POSITIVE_INFINITY
      await until('rest', () => last.device.resting())
      assert.deepEqual(heardByBob.texts, said)
      if (finished) break
    }
    assert.ok(said.length > 10)
  })
