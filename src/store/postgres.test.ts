import assert from 'node:assert/strict'
import { connect, createServer, type Socket } from 'node:net'
import { after, before, describe, it } from 'node:test'
import { findPostgres, type PostgresServer, startPostgres } from '../../test/support/postgres.ts'
import { isStoreError } from './errors.ts'
import { openPostgres } from './postgres.ts'

/** ReadyForQuery and ErrorResponse (PostgreSQL documentation, "Message Formats"). */
const ready = Buffer.from('Z\0\0\0\x05I', 'latin1')
function errorResponse(severity: string, code: string, message: string): Buffer {
  const fields = Buffer.from(`S${severity}\0V${severity}\0C${code}\0M${message}\0\0`, 'latin1')
  const length = Buffer.alloc(4)
  length.writeUInt32BE(4 + fields.length)
  return Buffer.concat([Buffer.from('E'), length, fields])
}
const ending = errorResponse('FATAL', '57P01', 'terminating connection due to administrator command')
const refusal = errorResponse('ERROR', '57014', 'canceling statement due to statement timeout')
/** Query, `begin`. */
const beginning = Buffer.from('Q\0\0\0\x0abegin\0', 'latin1')

describe('a PostgreSQL that ends connections', {
  skip: findPostgres() === undefined && 'PostgreSQL is not installed',
}, () => {
  let server: PostgresServer
  /** Whether each new connection is ended in the bytes that say that it is ready. */
  let endsAtOnce = false
  /** Whether nothing comes from the server any more, without anybody being told. */
  let isGone = false
  /** Whether a transaction's beginning is refused, and nothing else. */
  let refusesToBegin = false
  const sockets = new Set<Socket>()
  const proxy = createServer((client) => {
    const upstream = connect(Number(new URL(server.url).port), '127.0.0.1')
    for (const socket of [client, upstream]) {
      sockets.add(socket)
      socket.on('error', () => {})
    }
    client.on('data', (bytes) => {
      if (!refusesToBegin || !bytes.subarray(0, beginning.length).equals(beginning)) return void upstream.write(bytes)
      client.write(Buffer.concat([refusal, ready]))
      if (bytes.length > beginning.length) upstream.write(bytes.subarray(beginning.length))
    })
    client.on('end', () => upstream.end())
    upstream.on('data', (bytes) => {
      if (isGone) return
      if (!endsAtOnce || !bytes.includes(ready)) return void client.write(bytes)
      client.end(Buffer.concat([bytes, ending]))
      upstream.destroy()
    })
    // Also where it was reset, which is no `end`.
    upstream.on('close', () => client.end())
  })
  before(async () => {
    server = await startPostgres()
    await new Promise<void>((done) => proxy.listen(0, '127.0.0.1', done))
  })
  after(async () => {
    for (const socket of sockets) socket.destroy()
    proxy.close()
    await server?.stop()
  })
  const url = () => {
    const address = proxy.address()
    assert.ok(address && typeof address === 'object')
    return server.url.replace(/:\d+\//, `:${address.port}/`)
  }

  it('in the moment in which they are made: what was asked for fails, the process goes on', async () => {
    endsAtOnce = false
    const database = await openPostgres(url(), {})
    endsAtOnce = true
    await assert.rejects(
      database.transaction((tx) => tx.query('select 1')),
      (error) => isStoreError(error),
    )
    await assert.rejects(database.query('select 1'), (error) => isStoreError(error))
    endsAtOnce = false
    assert.equal((await database.query('select 1 as one')).length, 1)
    await database.close()
  })

  it('while the schema is looked at: opening fails', async () => {
    endsAtOnce = true
    await assert.rejects(openPostgres(url(), {}), (error) => isStoreError(error))
  })

  it('without a word: who waits for an answer is told after a while, and the next one gets a connection that works', async () => {
    endsAtOnce = false
    const database = await openPostgres(url(), { answerTimeoutMs: 200, connections: 1 })
    await assert.rejects(
      database.transaction(async (tx) => {
        await tx.query('select 1')
        isGone = true
        await Promise.all([tx.query('select 2'), tx.query('select 3')])
      }),
      (error) => isStoreError(error, 'unavailable'),
    )
    isGone = false
    assert.deepEqual(await database.query('select 4 as four'), [{ four: 4 }])
    await database.close()
  })

  it('or refuses that a transaction begins: nothing of it is done', async () => {
    endsAtOnce = false
    const database = await openPostgres(url(), {})
    await database.query('create table whole (n int8)')
    refusesToBegin = true
    await assert.rejects(
      database.transaction(async (tx) => tx.write('insert into whole values ($1)', [1])),
      (error) => isStoreError(error, 'busy'),
    )
    await assert.rejects(
      database.transaction(async (tx) => {
        tx.write('select $1::int8', [1])
        tx.write('insert into whole values ($1)', [2])
      }),
      (error) => isStoreError(error, 'busy'),
    )
    refusesToBegin = false
    assert.deepEqual(await database.query('select * from whole'), [])
    await database.close()
  })

  it('while they are idle, or inside a transaction: the next one is as good as new', async () => {
    endsAtOnce = false
    const database = await openPostgres(url(), {})
    await database.query('select 1')
    await server.cut()
    await assert.rejects(
      database.transaction(async (tx) => {
        await tx.query('create table half (n int8)')
        await server.cut()
        await tx.query('select 1')
      }),
      (error) => isStoreError(error),
    )
    await assert.rejects(database.query('select * from half'), (error) => isStoreError(error))
    await database.close()
  })
})
