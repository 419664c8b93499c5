/**
 * Backups: one is made of the running service, and the service goes on from one that was put back, when others have seen
 * more than the database knows. Beside main the only place that knows several modules' tables, by one function of each.
 */
import { join } from 'node:path'
import { Hono } from 'hono'
import { z } from 'zod'
import type { Config, Secrets } from './config/index.ts'
import { putBackEdge } from './edge/put-back.ts'
import { putBackHub } from './hub/put-back.ts'
import { beginIncarnation, type Database, isStoreError, leasesHeldMs, openDatabase, StoreError } from './store/index.ts'

const wanted = z.strictObject({ folder: z.string().max(4096).startsWith('/') })

/** POST /backup, for the operator's own socket: copies the embedded database into a new folder of this machine. */
export function backupRoutes(database: Database): Hono {
  return new Hono().post('/backup', async (c) => {
    const asked = wanted.safeParse(await c.req.json().catch(() => undefined))
    if (!asked.success) return c.json({ title: 'a folder is needed' }, 400)
    if (!database.backup) return c.json({ title: 'the database is not embedded' }, 409)
    try {
      await database.backup(asked.data.folder)
      return c.json({})
    } catch (error) {
      if (!isStoreError(error)) throw error
      return c.json({ title: error.message }, 409)
    }
  })
}

/**
 * Begins a new incarnation, in one transaction: no number that was given since the backup is given again, and no key that
 * was in the backup is used to encrypt.
 *
 * @returns the number of the incarnation, 1 for the first
 * @throws StoreError, also (`locked`) while a service works on the database
 */
export async function goOnFromBackup(config: Config, secrets: Pick<Secrets, 'databaseUrl'>): Promise<number> {
  const database = await openDatabase({
    url: secrets.databaseUrl,
    directory: join(config.dataDirectory, 'database'),
    connections: 1,
  })
  try {
    return await database.transaction(async (tx) => {
      // An embedded database has one process at a time. Of PostgreSQL a service shows by the leases that it renews.
      const heldMs = database.dialect === 'postgres' ? await leasesHeldMs(tx) : 0
      if (heldMs > 0) throw inUse(heldMs)
      await putBackHub(tx)
      await putBackEdge(tx)
      return beginIncarnation(tx)
    })
  } finally {
    await database.close()
  }
}

function inUse(heldMs: number): StoreError {
  const seconds = Math.ceil(heldMs / 1000)
  return new StoreError(
    'locked',
    `a service works on this database, or did until just now, or the backup is as young: stop the service, and try again in ${seconds} s`,
  )
}
