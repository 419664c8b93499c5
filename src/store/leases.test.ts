import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  acquireLease,
  assertFence,
  LeaseLost,
  leasesHeldMs,
  releaseLease,
  renewLease,
  renewLeases,
  requireFence,
} from './index.ts'
import { onBothDialects } from './testing.ts'

onBothDialects('a lease', (open, dialect) => {
  test('is held by one at a time, and each change of hands has a higher fence', async () => {
    await using db = await open()
    const first = await acquireLease(db, { name: 'portal/1', owner: 'a', ttlMs: 60_000 })
    assert.ok(first)
    assert.equal(await acquireLease(db, { name: 'portal/1', owner: 'b', ttlMs: 60_000 }), undefined)
    assert.equal(await acquireLease(db, { name: 'portal/1', owner: 'a', ttlMs: 60_000 }), undefined, 'not even again')
    assert.ok(await acquireLease(db, { name: 'portal/2', owner: 'b', ttlMs: 60_000 }), 'another name is another lease')
    await releaseLease(db, first)
    const second = await acquireLease(db, { name: 'portal/1', owner: 'b', ttlMs: 60_000 })
    assert.ok(second && second.fence > first.fence)
  })

  test('shows that somebody works, until it is given back or has run out', async () => {
    await using db = await open()
    assert.equal(await leasesHeldMs(db), 0)
    const long = await acquireLease(db, { name: 'long', owner: 'a', ttlMs: 60_000 })
    await acquireLease(db, { name: 'short', owner: 'a', ttlMs: 1 })
    const heldMs = await leasesHeldMs(db)
    assert.ok(heldMs > 1 && heldMs <= 60_000, `${heldMs} ms`)
    await releaseLease(db, long!)
    await sleep(5)
    assert.equal(await leasesHeldMs(db), 0)
  })

  test('is prolonged among many, unless it was lost or given back', async () => {
    await using db = await open()
    const take = async (name: string, ttlMs: number) => (await acquireLease(db, { name, owner: 'a', ttlMs }))!
    const kept = await take('kept', 60_000)
    const ranOut = await take('ran out', 1)
    const lost = await take('lost', 1)
    const given = await take('given', 60_000)
    await sleep(5)
    await acquireLease(db, { name: 'lost', owner: 'b', ttlMs: 60_000 })
    await releaseLease(db, given)
    const renewed = await renewLeases(db, [kept, ranOut, lost, given], 60_000)
    assert.deepEqual([...renewed].sort(), ['kept', 'ran out'])
    assert.equal(await acquireLease(db, { name: 'ran out', owner: 'b', ttlMs: 1 }), undefined)
    // A renewal that was under way when it was given back does not bring it back.
    assert.equal(await renewLease(db, given, 60_000), false)
    assert.ok(await acquireLease(db, { name: 'given', owner: 'b', ttlMs: 1 }))
  })

  if (dialect === 'postgres')
    test('under which a transaction commits just now is left out, and nobody waits for it', async () => {
      await using db = await open()
      const busy = (await acquireLease(db, { name: 'busy', owner: 'a', ttlMs: 60_000 }))!
      const free = (await acquireLease(db, { name: 'free', owner: 'a', ttlMs: 60_000 }))!
      const checked = Promise.withResolvers<void>()
      const seen = Promise.withResolvers<void>()
      const writing = db.transaction(async (tx) => {
        await assertFence(tx, 'busy', busy.fence)
        checked.resolve()
        await seen.promise
      })
      await checked.promise
      const renewed = await renewLeases(db, [busy, free], 60_000).finally(seen.resolve)
      assert.deepEqual([...renewed], ['free'])
      await writing
      assert.deepEqual([...(await renewLeases(db, [busy, free], 60_000))].sort(), ['busy', 'free'])
    })

  test('that ran out can be taken, and what its former owner still writes is refused', async () => {
    await using db = await open()
    await db.query('create table written (by text)')
    const slow = await acquireLease(db, { name: 'w', owner: 'slow', ttlMs: 30 })
    assert.ok(slow)
    await sleep(60)
    const quick = await acquireLease(db, { name: 'w', owner: 'quick', ttlMs: 60_000 })
    assert.ok(quick)
    const write = (fence: number, by: string) =>
      db.transaction(async (tx) => {
        await assertFence(tx, 'w', fence)
        await tx.query('insert into written values ($1)', [by])
      })
    await assert.rejects(write(slow.fence, 'slow'), LeaseLost)
    const writeTogether = (fence: number, by: string) =>
      db.transaction(async (tx) => {
        tx.write('insert into written values ($1)', [by])
        requireFence(tx, 'w', fence)
      })
    for (let times = 0; times < 5; times++) await assert.rejects(writeTogether(slow.fence, 'slow'), LeaseLost)
    await write(quick.fence, 'quick')
    await writeTogether(quick.fence, 'quick')
    assert.equal(await renewLease(db, slow, 60_000), false)
    await releaseLease(db, slow)
    assert.equal(
      await acquireLease(db, { name: 'w', owner: 'third', ttlMs: 1 }),
      undefined,
      'it was not theirs to release',
    )
    assert.deepEqual(await db.query('select by from written'), [{ by: 'quick' }, { by: 'quick' }])
  })

  test('that was renewed stays, also past its end when nobody took it', async () => {
    await using db = await open()
    const lease = await acquireLease(db, { name: 'w', owner: 'a', ttlMs: 20 })
    assert.ok(lease)
    await sleep(40)
    assert.equal(await renewLease(db, lease, 60_000), true)
    assert.equal(await acquireLease(db, { name: 'w', owner: 'b', ttlMs: 60_000 }), undefined)
  })

  test('cannot change hands between the check of the fence and the commit', async () => {
    await using db = await open()
    const lease = await acquireLease(db, { name: 'w', owner: 'a', ttlMs: 1 })
    assert.ok(lease)
    await sleep(10)
    const order: string[] = []
    const checked = Promise.withResolvers<void>()
    const writing = db.transaction(async (tx) => {
      await assertFence(tx, 'w', lease.fence)
      checked.resolve()
      await sleep(60)
      order.push('written')
    })
    await checked.promise
    const taken = acquireLease(db, { name: 'w', owner: 'b', ttlMs: 60_000 }).then(() => order.push('taken'))
    await Promise.all([writing, taken])
    assert.deepEqual(order, ['written', 'taken'])
  })

  test('two workers that pause past their leases never both count one piece of work', async () => {
    await using db = await open()
    await db.query('create table progress (done int8 not null)')
    await db.query('insert into progress values (0)')
    await db.query('create table step (n int8 not null, fence int8 not null)')
    const total = 40
    const refused = { count: 0 }
    const worker = async (owner: string, pauseAt: number) => {
      for (;;) {
        const [state] = await db.query<{ done: number }>('select done from progress')
        if (state!.done >= total) return
        const lease = await acquireLease(db, { name: 'work', owner, ttlMs: 25 })
        if (!lease) {
          await sleep(2)
          continue
        }
        try {
          for (let i = 0; i < 10; i++) {
            // Longer than the lease: the other one takes over, and this one has not noticed.
            if (i === pauseAt) await sleep(60)
            await db.transaction(async (tx) => {
              await assertFence(tx, 'work', lease.fence)
              const [row] = await tx.query<{ done: number }>('select done from progress for update')
              if (row!.done >= total) return
              await tx.query('insert into step values ($1, $2)', [row!.done + 1, lease.fence])
              await tx.query('update progress set done = done + 1')
            })
          }
        } catch (error) {
          if (!(error instanceof LeaseLost)) throw error
          refused.count++
        }
        await releaseLease(db, lease)
      }
    }
    await Promise.all([worker('a', 3), worker('b', 5)])
    const steps = await db.query<{ n: number; fence: number }>('select n, fence from step order by n')
    assert.deepEqual(
      steps.map((step) => step.n),
      Array.from({ length: total }, (_, i) => i + 1),
    )
    for (let i = 1; i < steps.length; i++) assert.ok(steps[i]!.fence >= steps[i - 1]!.fence, 'fences only grow')
    assert.ok(refused.count > 0, 'somebody was fenced off')
  })
})
