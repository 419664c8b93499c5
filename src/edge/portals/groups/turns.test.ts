/**
 * Several devices of the edge in one group, each reading the log from where it came in and at its own speed. Whatever the
 * order in which they come to it: each place is for the portal once, in the log's order, and none is lost.
 */
import assert from 'node:assert/strict'
import { before, describe, it } from 'node:test'
import fc from '../../../../test/support/fast-check.ts'
import { nodeCrypto } from '../../../crypto/node.ts'
import type { AccountAddress, RoomId } from '../../../identity/index.ts'
import { createSealer, type Transaction } from '../../../store/index.ts'
import { freshDatabase, type TestDatabase } from '../../../store/testing.ts'
import { outboxTable } from '../outbox-table.ts'
import { words } from '../words.ts'
import { groupTable } from './table.ts'
import { turns } from './turns.ts'

/** What one device does, in this order: it comes in at a place, reads on, may miss some, may be taken out. */
interface Stay {
  readonly since: number
  /** It is taken out at this place; undefined: it stays. */
  readonly until?: number
  /** It could not follow and came in anew here. */
  readonly anew?: number
}
type Act = { account: AccountAddress } & (
  | { what: 'enter' | 'read' | 'leave'; seq: number }
  | { what: 'missed'; seq: number }
)

const length = 12

describe("places of a group's log and who reads them", () => {
  const sealer = createSealer(nodeCrypto, [new Uint8Array(32).fill(3)])
  const outbox = outboxTable(sealer, Date.now)
  const groups = groupTable(sealer, Date.now)
  const whose = turns(outbox)
  let database: TestDatabase
  let rooms = 0

  before(async () => {
    database = await freshDatabase('pglite')
  })

  const addressOf = (index: number) => `mimi://e.org/u/${index}` as AccountAddress
  const begin = async (count: number): Promise<number> => {
    for (let index = 0; index < count; index++)
      await database.query(
        `insert into matrix_user (lookup, mxid, account, created_at) values ($1, $1, $2, 0) on conflict do nothing`,
        [new Uint8Array([index]), addressOf(index)],
      )
    return groups.ensure(database, { room: `mimi://e.org/r/${++rooms}` as RoomId })
  }
  const told = async (portal: number) =>
    (await outbox.waiting(database, portal, 1000)).map(({ body }) => new TextDecoder().decode(body))
  const sent = async (portal: number): Promise<number[]> =>
    (await told(portal)).filter((text) => text !== words.gap()).map(Number)

  const perform = (portal: number, act: Act) =>
    database.transaction(async (tx: Transaction) => {
      const { account, seq } = act
      if (act.what === 'enter') await whose.enter(tx, portal, account, seq)
      else if (act.what === 'missed') await whose.enter(tx, portal, account, seq, true)
      else if (act.what === 'leave') await whose.leave(tx, portal, account)
      else {
        const known = (await groups.byId(tx, portal))?.seq ?? 0
        await whose.take(tx, { portal, account, seq, known }, (add) => add('notice', String(seq)))
      }
    })
  const actsOf = (account: AccountAddress, { since, until, anew }: Stay): Act[] => {
    const acts: Act[] = [{ account, what: 'enter', seq: since }]
    for (let seq = since + 1; seq <= length; seq++) {
      if (anew !== undefined && seq > since + 2 && seq <= anew) {
        if (seq === anew) acts.push({ account, what: 'missed', seq: anew })
        continue
      }
      acts.push({ account, what: 'read', seq })
      if (seq === until) return [...acts, { account, what: 'leave', seq }]
    }
    return acts
  }
  /** The work on the portal: when nobody who is in the group is still to come in. */
  const work = async (portal: number, stays: readonly Stay[], done: readonly Act[]) => {
    const came = new Set(done.map(({ account }) => account))
    const furthest = Math.max(0, ...done.map(({ seq }) => seq))
    const coming = stays.some(
      ({ since, until = length + 1 }, index) => !came.has(addressOf(index)) && since <= furthest && furthest < until,
    )
    if (!coming && (await groups.byId(database, portal))?.ahead)
      await database.transaction((tx) => whose.go(tx, portal))
  }

  it('gives what a later one has read first its turn behind what the earlier one reads', async () => {
    const portal = await begin(2)
    const [early, late] = [addressOf(0), addressOf(1)]
    await perform(portal, { account: early, what: 'enter', seq: 1 })
    await perform(portal, { account: early, what: 'read', seq: 2 })
    await database.transaction((tx) => whose.go(tx, portal))
    // The edge was away; the later one comes first to what was said meanwhile.
    await perform(portal, { account: late, what: 'enter', seq: 5 })
    for (const seq of [6, 7]) await perform(portal, { account: late, what: 'read', seq })
    assert.deepEqual(await sent(portal), [2])
    for (const seq of [3, 4, 5, 6, 7, 8]) await perform(portal, { account: early, what: 'read', seq })
    assert.deepEqual(await sent(portal), [2, 3, 4, 5, 6, 7, 8])
  })

  it('does not wait for one who is gone', async () => {
    const portal = await begin(2)
    const [early, late] = [addressOf(0), addressOf(1)]
    await perform(portal, { account: early, what: 'enter', seq: 1 })
    await perform(portal, { account: late, what: 'enter', seq: 5 })
    await perform(portal, { account: late, what: 'read', seq: 6 })
    assert.deepEqual(await groups.accounts(database, portal), [early, late])
    await perform(portal, { account: early, what: 'leave', seq: 3 })
    assert.deepEqual(await groups.accounts(database, portal), [late])
    assert.deepEqual(await groups.accounts(database, portal, [early]), [early, late])
    await database.transaction((tx) => whose.go(tx, portal))
    assert.deepEqual(await sent(portal), [6])
  })

  it('tells in its place what everybody has missed who was there, and nothing where one has read it or nobody was', async () => {
    const portal = await begin(3)
    const [one, two, later] = [addressOf(0), addressOf(1), addressOf(2)]
    const read = (account: AccountAddress, ...seqs: number[]) =>
      seqs.reduce(async (before, seq) => {
        await before
        await perform(portal, { account, what: 'read', seq })
      }, Promise.resolve())
    const pass = () => database.transaction((tx) => whose.go(tx, portal))
    // Begun behind what was said before anybody of ours was in it.
    for (const account of [one, two]) await perform(portal, { account, what: 'enter', seq: 3 })
    await pass()
    await read(one, 4)
    await perform(portal, { account: one, what: 'missed', seq: 6 })
    await read(one, 7)
    assert.equal((await groups.byId(database, portal))?.ahead, true)
    await read(two, 5, 6, 7)
    assert.equal((await groups.byId(database, portal))?.ahead, false)
    assert.deepEqual(await told(portal), ['4', '5', '6', '7'])
    for (const account of [one, two]) await perform(portal, { account, what: 'missed', seq: 9 })
    await pass()
    await read(one, 10)
    assert.deepEqual((await told(portal)).slice(4), [words.gap(), '10'])
    // All go, and somebody comes in later.
    for (const account of [one, two]) await perform(portal, { account, what: 'leave', seq: 10 })
    await perform(portal, { account: later, what: 'enter', seq: 15 })
    await read(later, 16)
    await pass()
    assert.deepEqual((await told(portal)).slice(6), ['16'])
  })

  const stay: fc.Arbitrary<Stay> = fc
    .record({
      since: fc.integer({ min: 0, max: length - 4 }),
      until: fc.option(fc.integer({ min: 3, max: length - 1 }), { nil: undefined }),
      anew: fc.option(fc.integer({ min: 3, max: length - 1 }), { nil: undefined }),
    })
    .map(({ since, until, anew }) => ({
      since,
      ...(until !== undefined && until > since + 1 ? { until } : {}),
      ...(anew !== undefined && until === undefined && anew > since + 2 ? { anew } : {}),
    }))

  it('is once, in order and complete, in whatever order the devices come to it', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(stay, { minLength: 2, maxLength: 4 }),
        fc.infiniteStream(fc.nat(1000)),
        async (stays, chance) => {
          const portal = await begin(stays.length)
          const queues = stays.map((one, index) => actsOf(addressOf(index), one))
          const done: Act[] = []
          for (const number of chance) {
            const left = queues.filter((queue) => queue.length > 0)
            if (left.length === 0) break
            // Runs of one device, as they happen when others are not there.
            const queue = left[number % left.length]!
            for (const act of queue.splice(0, 1 + (number % 5))) {
              await perform(portal, act)
              done.push(act)
            }
            if (number % 3 === 0) await work(portal, stays, done)
          }
          await work(portal, stays, done)
          const order = await sent(portal)
          assert.deepEqual(
            order,
            [...new Set(order)].sort((a, b) => a - b),
          )
          // What only somebody has read who was gone when others were first heard of is of their time.
          const owed = new Set(
            stays.flatMap((one, index) =>
              one.until === undefined
                ? actsOf(addressOf(index), one).flatMap((act) => (act.what === 'read' ? [act.seq] : []))
                : [],
            ),
          )
          for (const seq of owed) assert.ok(order.includes(seq), `${seq} is missing in ${order}`)
        },
      ),
      { numRuns: Number(process.env.SILTA_RUNS ?? 30) },
    )
  })
})
