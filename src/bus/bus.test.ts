import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { type Bus, openBus } from './index.ts'

const noFault = (fault: unknown): never => assert.fail(String(fault))

/** What every bus must do. `settle` waits until a published wake-up has certainly arrived. */
function contract(
  name: string,
  open: (onFault: (fault: unknown) => void) => Bus,
  settle: () => Promise<unknown>,
): void {
  describe(`a bus (${name})`, () => {
    const record = () => {
      const woken: string[] = []
      return { woken, of: (who: string) => () => void woken.push(who) }
    }

    test('wakes everybody who listens to the topic, and nobody else', async () => {
      const bus = open(noFault)
      const { woken, of } = record()
      bus.subscribe('room/1', of('a'))
      bus.subscribe('room/1', of('b'))
      bus.subscribe('room/2', of('c'))
      bus.subscribe('room/', of('d'))
      bus.publish('room/1')
      await settle()
      assert.deepEqual(woken.sort(), ['a', 'b'])
      await bus.close()
    })

    test('does not run listeners inside publish', async () => {
      const bus = open(noFault)
      const { woken, of } = record()
      bus.subscribe('t', of('a'))
      bus.publish('t')
      assert.deepEqual(woken, [])
      await settle()
      assert.deepEqual(woken, ['a'])
      await bus.close()
    })

    test('wakes again for a publication made while it wakes', async () => {
      const bus = open(noFault)
      let times = 0
      bus.subscribe('t', () => {
        times++
        if (times === 1) bus.publish('t')
      })
      bus.publish('t')
      await settle()
      await settle()
      assert.equal(times, 2)
      await bus.close()
    })

    test('a subscription that ended is not woken, not even by what is under way', async () => {
      const bus = open(noFault)
      const { woken, of } = record()
      const end = bus.subscribe('t', of('ended'))
      bus.subscribe('t', of('stays'))
      bus.publish('t')
      end()
      end()
      await settle()
      assert.deepEqual(woken, ['stays'])
      await bus.close()
    })

    test('a listener that throws is reported and stops nobody else', async () => {
      const faults: unknown[] = []
      const bus = open((fault) => faults.push(fault))
      const { woken, of } = record()
      const failure = new Error('of a listener')
      bus.subscribe('t', () => {
        throw failure
      })
      bus.subscribe('t', of('b'))
      bus.publish('t')
      await settle()
      assert.deepEqual(woken, ['b'])
      assert.deepEqual(faults, [failure])
      await bus.close()
    })

    test('after closing nobody is woken', async () => {
      const bus = open(noFault)
      const { woken, of } = record()
      bus.subscribe('t', of('a'))
      bus.publish('t')
      await bus.close()
      bus.publish('t')
      await settle()
      assert.deepEqual(woken, [])
    })
  })
}

test('a wake-up brings the hints of all publications that it stands for', async () => {
  const bus = openBus()
  const woken: string[][] = []
  bus.subscribe('t', (where) => woken.push([...where]))
  bus.publish('t', 'room 1')
  bus.publish('t')
  bus.publish('t', 'room 2')
  bus.publish('t', 'room 1')
  await turn()
  assert.deepEqual(woken, [['room 1', 'room 2']])
})

contract('in process', (onFault) => openBus({ onFault }), turn)

test('publications that come close together are one', async () => {
  const bus = openBus()
  let times = 0
  bus.subscribe('t', () => times++)
  for (let i = 0; i < 100; i++) bus.publish('t')
  await turn()
  assert.equal(times, 1)
})
