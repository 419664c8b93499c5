import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isStoreError, StoreError } from './index.ts'
import { openPglite } from './pglite.ts'
import { emptyPglite, freshPostgres, onBothDialects } from './testing.ts'

const code = (expected: string) => (error: unknown) => isStoreError(error) && error.code === expected

onBothDialects('a database', (open) => {
  test('gives the same JavaScript values for the same types', async () => {
    await using db = await open()
    const [row] = await db.query(
      `select $1::int8 as big, $2::bytea as bytes, $3::text as word, $4::bool as yes, $5::jsonb as doc, null as nothing,
        $6::int8[] as numbers, $7::bytea[] as blobs, $8::text[] as words, 1.5::float8 as half, count(*) as counted,
        2::int4 as small, sum(3::int8) as total`,
      [
        Number.MAX_SAFE_INTEGER,
        new Uint8Array([0, 255, 92]),
        'a "b" \\ c',
        true,
        JSON.stringify({ a: [1] }),
        [1, 2n, null],
        [new Uint8Array([1, 92]), new Uint8Array()],
        ['x,y', '"', '\\', null],
      ],
    )
    assert.deepStrictEqual(row, {
      big: Number.MAX_SAFE_INTEGER,
      bytes: new Uint8Array([0, 255, 92]),
      word: 'a "b" \\ c',
      yes: true,
      doc: { a: [1] },
      nothing: null,
      numbers: [1, 2, null],
      blobs: [new Uint8Array([1, 92]), new Uint8Array()],
      words: ['x,y', '"', '\\', null],
      half: 1.5,
      counted: 1,
      small: 2,
      total: '3',
    })
  })

  test('takes bytes that are a window into larger memory, and gives bytes nobody else holds', async () => {
    await using db = await open()
    const window = new Uint8Array([1, 2, 3, 4, 5]).subarray(1, 3)
    const [row] = await db.query<{ bytes: Uint8Array }>('select $1::bytea as bytes', [window])
    assert.deepEqual(row?.bytes, new Uint8Array([2, 3]))
    assert.equal(row?.bytes.buffer.byteLength, 2)
  })

  test('refuses an int8 that a number cannot hold, and parameters whose meaning it would have to guess', async () => {
    await using db = await open()
    await assert.rejects(db.query('select 9007199254740993::int8 as big'), code('value'))
    for (const guess of [undefined, {}, Number.NaN, new Date(), [{}]])
      await assert.rejects(db.query('select $1::text', [guess]), code('value'))
    assert.deepEqual(await db.query('select 1 as one'), [{ one: 1 }], 'the connection is still good')
  })

  test('a statement used often gives what it gave the first time', async () => {
    await using db = await open()
    await db.query('create table item (id int8 primary key, name text)')
    for (let id = 0; id < 12; id++) await db.query('insert into item values ($1, $2)', [id, `n${id}`])
    for (let id = 0; id < 12; id++)
      assert.deepEqual(await db.query('select name from item where id = $1', [id]), [{ name: `n${id}` }])
  })

  test('a transaction is seen by others when it is committed, not before, and not when it throws', async () => {
    await using db = await open()
    await db.query('create table item (id int8 primary key)')
    await db.transaction(async (tx) => {
      await tx.query('insert into item values (1)')
    })
    assert.deepEqual(await db.query('select id from item'), [{ id: 1 }])
    const failure = new Error('of the caller')
    await assert.rejects(
      db.transaction(async (tx) => {
        await tx.query('insert into item values (2)')
        throw failure
      }),
      (error) => error === failure,
    )
    assert.deepEqual(await db.query('select id from item'), [{ id: 1 }])
  })

  test('a query from elsewhere does not see an open transaction', async () => {
    await using db = await open()
    await db.query('create table item (id int8 primary key)')
    const inserted = Promise.withResolvers<void>()
    const finish = Promise.withResolvers<void>()
    const writing = db.transaction(async (tx) => {
      await tx.query('insert into item values (1)')
      inserted.resolve()
      await finish.promise
      throw new Error('changed its mind')
    })
    await inserted.promise
    const seen = db.query('select id from item')
    finish.resolve()
    await assert.rejects(writing, /changed its mind/)
    assert.deepEqual(await seen, [])
  })

  test('two transactions that add to one counter both count', async () => {
    await using db = await open()
    await db.query('create table counter (n int8 not null)')
    await db.query('insert into counter values (0)')
    const add = () =>
      db.transaction(async (tx) => {
        const [row] = await tx.query<{ n: number }>('select n from counter for update')
        await tx.query('update counter set n = $1', [row!.n + 1])
      })
    await Promise.all(Array.from({ length: 20 }, add))
    assert.deepEqual(await db.query('select n from counter'), [{ n: 20 }])
  })

  test('callbacks run after the commit, in order, and not after a rollback; one that throws harms nobody', async () => {
    await using db = await open()
    await db.query('create table item (id int8 primary key)')
    const ran: string[] = []
    await db.transaction(async (tx) => {
      tx.afterCommit(() => ran.push('first'))
      tx.afterCommit(() => {
        throw new Error('of a listener')
      })
      await tx.query('insert into item values (1)')
      tx.afterCommit(() => ran.push('last'))
      ran.push('work')
    })
    assert.deepEqual(ran, ['work', 'first', 'last'])
    const refused = db.transaction(async (tx) => {
      tx.afterCommit(() => ran.push('never'))
      await tx.query('insert into item values (1)')
    })
    await assert.rejects(refused, code('conflict'))
    assert.deepEqual(ran, ['work', 'first', 'last'])
  })

  test('a callback after commit may use the database', async () => {
    await using db = await open()
    let found: Promise<unknown[]> | undefined
    await db.transaction(async (tx) => {
      tx.afterCommit(() => {
        found = db.query('select 1 as one')
      })
    })
    assert.deepEqual(await found, [{ one: 1 }])
  })

  test('statements of one transaction may be asked for at once', async () => {
    await using db = await open()
    await db.query('create table item (id int8 primary key)')
    for (let round = 0; round < 5; round++)
      await db.transaction(async (tx) => {
        const ids = [1, 2, 3, 4].map((n) => round * 10 + n)
        await Promise.all(ids.map((id) => tx.query('insert into item values ($1)', [id])))
        const found = await Promise.all(ids.map((id) => tx.query('select id from item where id = $1', [id])))
        assert.deepEqual(
          found.flat(),
          ids.map((id) => ({ id })),
        )
      })
  })

  test('what is only written keeps its place among what is waited for, and gives its rows before callbacks after the commit', async () => {
    await using db = await open()
    await db.query('create table item (id int8 primary key)')
    const ran: unknown[] = []
    await db.transaction(async (tx) => {
      tx.afterCommit(() => ran.push('committed'))
      tx.write<{ id: number }>('insert into item values (1), ($1) returning id', [2], (rows) => ran.push(rows))
      assert.deepEqual(await tx.query('select count(*) from item'), [{ count: 2 }])
      tx.beforeCommit(async () => tx.write('delete from item where id = $1', [1]))
      tx.write('insert into item values ($1)', [3])
    })
    assert.deepEqual(ran, [[{ id: 1 }, { id: 2 }], 'committed'])
    assert.deepEqual(await db.query('select id from item order by id'), [{ id: 2 }, { id: 3 }])
  })

  test('what is only written and fails undoes the transaction, with its own error, whatever else was to be written', async () => {
    await using db = await open()
    await db.query('create table item (id int8 primary key)')
    for (let round = 0; round < 5; round++)
      await assert.rejects(
        db.transaction(async (tx) => {
          tx.write('insert into item values ($1)', [1])
          tx.write('insert into item values ($1)', [1])
          tx.write('insert into item values ($1)', [2])
        }),
        code('conflict'),
      )
    assert.deepEqual(await db.query('select id from item'), [])
  })

  test('after a statement that could not even be prepared nothing of the transaction happens', async () => {
    await using db = await open()
    await db.query('create table item (id int8 primary key)')
    const hiding = db.transaction(async (tx) => {
      await tx.query('select * from nowhere where id = $1', [1]).catch(() => undefined)
      await tx.query('insert into item values ($1)', [1]).catch(() => undefined)
      tx.write('insert into item values ($1)', [2])
    })
    await assert.rejects(hiding, code('aborted'))
    assert.deepEqual(await db.query('select id from item'), [])
    await db.transaction((tx) => tx.query('insert into item values ($1)', [3]))
    assert.deepEqual(await db.query('select id from item'), [{ id: 3 }])
  })

  test('a transaction that is over refuses, so that nothing runs outside of it unnoticed', async () => {
    await using db = await open()
    let left: { query(text: string): Promise<unknown> } | undefined
    await db.transaction(async (tx) => {
      left = tx
    })
    await assert.rejects(left!.query('select 1'), code('closed'))
  })

  test('a transaction that failed takes with it what was still waiting', async () => {
    await using db = await open()
    await db.query('create table item (id int8 primary key)')
    const failing = db.transaction((tx) =>
      Promise.all([1, 1, 2, 3].map((id) => tx.query('insert into item values ($1)', [id]))),
    )
    await assert.rejects(failing, code('conflict'))
    assert.deepEqual(await db.query('select id from item'), [])
  })

  test('a statement that was prepared goes on after the schema changed', async () => {
    await using db = await open()
    await db.query('create table item (id int8 primary key)')
    await db.query('insert into item values (1)')
    const read = () => db.query('select * from item where id = $1', [1])
    const within = () => db.transaction((tx) => tx.query('select * from item where id >= $1', [1]))
    for (const ask of [read, within]) {
      for (let times = 0; times < 6; times++) await ask()
      await db.query("alter table item add column name text default 'x'")
      assert.deepEqual(await ask().catch(ask), [{ id: 1, name: 'x' }])
      await db.query('alter table item drop column name')
    }
  })

  test('a transaction that hid the failure of a statement is not reported as committed', async () => {
    await using db = await open()
    await db.query('create table item (id int8 primary key)')
    const hiding = db.transaction(async (tx) => {
      await tx.query('insert into item values (1)')
      await tx.query('select 1 / 0').catch(() => undefined)
    })
    await assert.rejects(hiding, code('aborted'))
    assert.deepEqual(await db.query('select id from item'), [])
  })

  test('using the database inside its own transaction fails at once instead of waiting for ever', async () => {
    await using db = await open()
    await assert.rejects(
      db.transaction(async () => db.query('select 1')),
      code('nested'),
    )
    await assert.rejects(
      db.transaction(async () => db.transaction(async () => 1)),
      code('nested'),
    )
  })

  test('errors say what happened and carry no value', async () => {
    await using db = await open()
    await db.query('create table item (id int8 primary key, name text constraint short check (length(name) < 9))')
    await db.query("insert into item values (1, 'x')")
    const cases: [string, unknown[], string][] = [
      ['insert into item values (1, $1)', ['canary'], 'conflict'],
      ['insert into item values (2, $1)', ['canary-canary'], 'constraint'],
      ['select $1::int8', ['canary'], 'value'],
      ['select $1 from nowhere', ['canary'], 'failed'],
      ["select 'canary'::jsonb", [], 'value'],
    ]
    for (const [text, parameters, expected] of cases) {
      const error = await db.query(text, parameters).then(
        () => assert.fail('was not refused'),
        (reason: unknown) => reason,
      )
      assert.ok(error instanceof StoreError)
      assert.equal(error.code, expected)
      assert.equal(error.cause, undefined)
      assert.doesNotMatch(`${error.stack} ${JSON.stringify(error)}`, /canary/)
    }
  })
})

onBothDialects('closing a database', (_, dialect) => {
  // Really closed: what other tests are given is only emptied.
  const open = async () =>
    dialect === 'pglite' ? openPglite('memory://', { template: await emptyPglite() }) : (await freshPostgres()).database

  test('after closing it refuses, and closing again is nothing', async () => {
    const db = await open()
    await db.close()
    await db.close()
    await assert.rejects(db.query('select 1'), code('closed'))
    await assert.rejects(
      db.transaction(async () => 1),
      code('closed'),
    )
  })

  test('closing waits for the transaction under way', async () => {
    const db = await open()
    await db.query('create table item (id int8 primary key)')
    const started = Promise.withResolvers<void>()
    const writing = db.transaction(async (tx) => {
      started.resolve()
      await new Promise((resolve) => setTimeout(resolve, 30))
      await tx.query('insert into item values (1)')
      return 'written'
    })
    await started.promise
    await db.close()
    assert.equal(await writing, 'written')
  })
})
