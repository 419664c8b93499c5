import assert from 'node:assert/strict'
import { test } from 'node:test'
import { utf8 } from '../../crypto/index.ts'
import { nodeCrypto } from '../../crypto/node.ts'
import { createSealer, type Transaction } from '../../store/index.ts'
import { onBothDialects } from '../../store/testing.ts'
import { durableStorageContract, storageContract } from './contract.ts'
import { type RecordCache, recordCache, sqlStorage } from './sql.ts'

const sealer = createSealer(nodeCrypto, [nodeCrypto.randomBytes(32)])

onBothDialects('storage in SQL', (openDatabase) => {
  for (const [name, run] of [...storageContract, ...durableStorageContract])
    test(name, async () => {
      await using database = await openDatabase()
      await run({ open: async (device) => sqlStorage(database, sealer, device) }, 'device')
    })

  test("the application's rows commit with the device's, or not at all", async () => {
    await using database = await openDatabase()
    await database.query('create table note (text text)')
    const storage = sqlStorage(database, sealer, 'device')
    const write = (fail: boolean) =>
      storage.transaction(async (tx) => {
        await (tx.application as Transaction).query('insert into note values ($1)', ['written'])
        await tx.put('a', 'k', Uint8Array.of(1))
        if (fail) throw new Error('on purpose')
      })
    await assert.rejects(write(true))
    assert.deepEqual(await database.query('select * from note'), [])
    await write(false)
    assert.equal((await database.query('select * from note')).length, 1)
  })

  test('no value can be read in the database, nor put in the place of another', async () => {
    await using database = await openDatabase()
    const storage = sqlStorage(database, sealer, 'device')
    await storage.transaction((tx) => tx.put('a', 'k', utf8('a secret of the device')))
    const [row] = await database.query<{ value: Uint8Array }>('select value from device_state')
    assert.ok(!Buffer.from(row!.value).includes('secret'))
    for (const place of ["key = 'other'", "collection = 'b'", "namespace = 'device-2'"]) {
      await database.query(`update device_state set ${place}`)
      const moved = sqlStorage(database, sealer, place.includes('namespace') ? 'device-2' : 'device')
      const reading = moved.transaction((tx) => tx.list(place.includes('collection') ? 'b' : 'a'))
      await assert.rejects(reading, { name: 'ClientError', code: 'storage' })
      await database.query("update device_state set namespace = 'device', collection = 'a', key = 'k'")
    }
  })

  test('what is kept in memory is not believed after a failure, nor by another opening', async () => {
    await using database = await openDatabase()
    const storage = sqlStorage(database, sealer, 'device')
    const read = (from: typeof storage) => from.transaction((tx) => tx.get('a', 'k'))
    await storage.transaction((tx) => tx.put('a', 'k', Uint8Array.of(1)))
    assert.deepEqual(await read(storage), Uint8Array.of(1))
    const other = sqlStorage(database, sealer, 'device')
    await other.transaction((tx) => tx.put('a', 'k', Uint8Array.of(2)))
    const failing = storage.transaction(async (tx) => {
      await tx.put('a', 'k', Uint8Array.of(3))
      throw new Error('on purpose')
    })
    await assert.rejects(failing, /on purpose/)
    assert.deepEqual(await read(storage), Uint8Array.of(2))
    assert.deepEqual(await read(sqlStorage(database, sealer, 'device')), Uint8Array.of(2))
  })

  test('a list that was read once follows what is written, and is read anew after a failure', async () => {
    await using database = await openDatabase()
    const storage = sqlStorage(database, sealer, 'device')
    const list = (prefix: string, limit?: number) =>
      storage.transaction(async (tx) => (await tx.list('a', prefix, limit)).map(({ key, value }) => [key, value[0]]))
    const put = (...entries: [string, number | undefined][]) =>
      storage.transaction(async (tx) => {
        for (const [key, value] of entries)
          await (value === undefined ? tx.delete('a', key) : tx.put('a', key, Uint8Array.of(value)))
      })
    assert.deepEqual(await list('x '), [])
    await put(['x 2', 2], ['x 1', 1], ['y 1', 9])
    const both = [
      ['x 1', 1],
      ['x 2', 2],
    ]
    assert.deepEqual(await list('x '), both)
    assert.deepEqual(await list('x ', 1), both.slice(0, 1))
    await put(['x 1', undefined], ['x 3', 3], ['x 2', 4])
    assert.deepEqual(await list('x '), [
      ['x 2', 4],
      ['x 3', 3],
    ])
    const failing = storage.transaction(async (tx) => {
      await tx.put('a', 'x 0', Uint8Array.of(0))
      throw new Error('on purpose')
    })
    await assert.rejects(failing, /on purpose/)
    await sqlStorage(database, sealer, 'device').transaction((tx) => tx.delete('a', 'x 2'))
    assert.deepEqual(await list('x '), [['x 3', 3]])
    const many = Array.from({ length: 70 }, (_, n) => [`x ${100 + n}`, n] as [string, number])
    await put(...many)
    assert.equal((await list('x ')).length, 71)
    assert.equal((await list('x ', 70)).length, 70)
  })

  test('what was read is kept in memory up to a size, the oldest to go first', async () => {
    const cache = recordCache(128 * 1024)
    cache.set('large', new Uint8Array(64 * 1024))
    assert.equal(cache.get('large'), undefined)
    for (let number = 0; number < 1000; number++) {
      cache.set(`k ${number}`, new Uint8Array(1000))
      cache.get('k 0')
    }
    assert.deepEqual([cache.get('k 0')?.length, cache.get('k 1'), cache.get('k 999')?.length], [1000, undefined, 1000])
  })

  test('a message that was sent leaves nothing in memory', async () => {
    await using database = await openDatabase()
    const kept = new Map<string, Uint8Array | null>()
    const cache: RecordCache = {
      get: (key) => kept.get(key),
      set: (key, value) => void kept.set(key, value),
      delete: (key) => void kept.delete(key),
    }
    const storage = sqlStorage(database, sealer, 'device', { cache })
    await storage.transaction(async (tx) => {
      assert.equal(await tx.get('sent', 'event'), undefined)
      await tx.put('sent', 'event', Uint8Array.of(1))
      await tx.put('submission', '1', Uint8Array.of(2))
    })
    assert.equal(kept.size, 1)
    await storage.transaction(async (tx) => {
      assert.deepEqual(await tx.get('sent', 'event'), Uint8Array.of(1))
      await tx.delete('submission', '1')
    })
    assert.equal(kept.size, 0)
    assert.equal(await storage.transaction((tx) => tx.get('submission', '1')), undefined)
  })

  test('a guard that refuses stops every transaction that writes, or whose application may', async () => {
    await using database = await openDatabase()
    let allowed = true
    const guard = async () => {
      if (!allowed) throw new Error('the lease is lost')
    }
    const storage = sqlStorage(database, sealer, 'device', { guard })
    await storage.transaction((tx) => tx.put('a', 'k', Uint8Array.of(1)))
    allowed = false
    await assert.rejects(
      storage.transaction((tx) => tx.put('a', 'k', Uint8Array.of(2))),
      /lease/,
    )
    await database.query('create table note (text text)')
    await assert.rejects(
      storage.transaction((tx) => (tx.application as Transaction).query("insert into note values ('written')")),
      /lease/,
    )
    assert.deepEqual(await database.query('select * from note'), [])
    assert.deepEqual(await storage.transaction((tx) => tx.get('a', 'k')), Uint8Array.of(1))
  })
})
