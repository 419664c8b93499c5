import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createEntryLanes } from './lanes.ts'

describe('lanes for rooms that are entered', () => {
  const scene = () => {
    const woken: string[] = []
    const lanes = createEntryLanes({ entriesAtOnce: 3, failedEntriesAtOnce: 1 }, (room) => void woken.push(room))
    const take = (failedBefore: boolean, ...rooms: string[]) => rooms.map((room) => lanes.take(room, failedBefore))
    return { lanes, woken, take }
  }

  it('are so many, and fewer for those that failed before', () => {
    const { lanes, take } = scene()
    assert.deepEqual(take(true, 'a', 'b'), [true, false])
    assert.deepEqual(take(false, 'c', 'd', 'e'), [true, true, false])
    assert.deepEqual(
      ['a', 'b', 'c', 'd', 'e'].filter((room) => lanes.isInLine(room)),
      ['b', 'e'],
    )
  })

  it('go to whoever waits in line, in its order, whoever else may come first', () => {
    const { lanes, woken, take } = scene()
    take(false, 'a', 'b', 'c', 'd', 'e')
    take(true, 'f')
    lanes.release('a')
    assert.deepEqual(woken.splice(0), ['f', 'd'])
    assert.deepEqual(take(false, 'late'), [true])
    assert.deepEqual([...take(true, 'f'), ...take(false, 'd')], [false, false])
    lanes.release('late')
    assert.deepEqual(woken.splice(0), ['f', 'd'])
    assert.deepEqual(take(true, 'f'), [true])
    assert.equal(lanes.isInLine('f'), false)
    lanes.release('b')
    assert.deepEqual(woken, ['d'])
  })

  it('are not given back by who has none', () => {
    const { lanes, woken, take } = scene()
    take(false, 'a', 'b', 'c', 'd')
    lanes.release('d')
    assert.deepEqual(woken, [])
  })
})
