import { existsSync, renameSync, rmSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { PGlite } from '@electric-sql/pglite'
import { copyFolder } from './backup.ts'
import type { Database, DatabaseSettings, Transaction } from './database.ts'
import { DurableFiles, durableStart } from './durable-files.ts'
import { fromDriver } from './errors.ts'
import { lockDirectory } from './lock.ts'
import { type MigrationSession, migrate } from './migrations.ts'
import { openConnection } from './pglite-connection.ts'
import { afterCommits, guard, inTransaction, type Send } from './transactions.ts'
import { takeTurns } from './turns.ts'
import { keepUp, type UpkeepSettings, usualUpkeep } from './upkeep.ts'
import { bytea, checkParameters, int8, parseBytea, parseInt8, serializeBytea } from './values.ts'

export interface EmbeddedDatabase extends Database {
  readonly dialect: 'pglite'
  /** How often something was forced to disk since it was opened; 0 in memory. */
  syncs(): number
}

const values = {
  parsers: { [int8]: parseInt8, [bytea]: parseBytea },
  serializers: { [bytea]: serializeBytea },
}

interface EmbeddedSettings {
  /** An archive of an empty data directory, from which a new one is made faster than by initdb. */
  readonly template?: Blob | undefined
  readonly migrations?: URL | undefined
  /** Forces a file to disk; replaced to try what happens when it cannot be. */
  readonly syncFile?: ((descriptor: number) => void) | undefined
  readonly upkeep?: UpkeepSettings | undefined
}

/**
 * The embedded database: PGlite in a folder that is locked for this process, every commit forced to disk. One
 * connection on this thread: statements run one after the other, a transaction has it alone.
 */
export async function openPglite(
  directory: string,
  settings: DatabaseSettings & EmbeddedSettings,
): Promise<EmbeddedDatabase> {
  const inMemory = directory.startsWith('memory://')
  const lock = inMemory ? undefined : lockDirectory(resolve(directory))
  try {
    const { pglite, files } = inMemory
      ? {
          pglite: await PGlite.create({ dataDir: 'memory://', ...values, ...start(settings.template) }),
          files: undefined,
        }
      : await openFolder(resolve(directory), settings)
    await migrate(session(pglite), settings.migrations)
    // Whoever held a lease held the directory's lock too, and is therefore gone.
    await pglite.query('update lease set held_until = 0')
    return database(pglite, files, lock, settings, inMemory ? undefined : placeIn(resolve(directory)))
  } catch (error) {
    lock?.[Symbol.dispose]()
    throw fromDriver(error)
  }
}

function start(template: Blob | undefined) {
  return template ? { loadDataDir: template } : {}
}

/** Where the database lies below its folder, which has the lock beside it. */
const placeIn = (directory: string) => join(directory, 'pg')

/** Made beside its place and moved there when complete, so that a start that is cut short leaves no half database. */
async function openFolder(directory: string, { template, syncFile }: EmbeddedSettings) {
  const place = placeIn(directory)
  if (!existsSync(place)) {
    const beside = join(directory, 'pg.new')
    rmSync(beside, { recursive: true, force: true })
    const made = await create(new DurableFiles(beside), template)
    await made.close()
    renameSync(beside, place)
  }
  const files = new DurableFiles(place, syncFile)
  return { pglite: await create(files, undefined), files }
}

function create(files: DurableFiles, template: Blob | undefined): Promise<PGlite> {
  return PGlite.create({ fs: files, startParams: [...durableStart], ...values, ...start(template) })
}

function session(pglite: PGlite): MigrationSession {
  return {
    query: async (text, parameters = []) => (await pglite.query(text, [...parameters])).rows as never,
    script: async (text) => {
      await pglite.exec(text)
    },
  }
}

function database(
  pglite: PGlite,
  files: DurableFiles | undefined,
  lock: Disposable | undefined,
  settings: DatabaseSettings & EmbeddedSettings,
  place: string | undefined,
): EmbeddedDatabase {
  const scope = guard()
  const alone = takeTurns()
  let told = false
  const run = openConnection(pglite, () => {
    if (files?.failure && !told) {
      told = true
      settings.onFault?.(files.failure)
    }
    return files?.failure
  })
  const send: Send = (statements) =>
    run(statements.map(({ text, parameters }) => ({ text, parameters: checkParameters(parameters) })))
  const query = async <Row>(text: string, parameters: readonly unknown[] = []): Promise<Row[]> =>
    (await send([{ text, parameters }]))[0]!.rows as Row[]
  const upkeep = keepUp(
    (text, parameters) => alone(() => query(text, parameters)),
    settings.upkeep ?? usualUpkeep,
    (fault) => settings.onFault?.(fault),
  )
  return {
    dialect: 'pglite',
    async query<Row>(text: string, parameters?: readonly unknown[]) {
      scope.outside()
      const rows = await alone(() => query<Row>(text, parameters))
      upkeep.worked()
      return rows
    },
    async transaction<T>(work: (transaction: Transaction) => Promise<T>): Promise<T> {
      scope.outside()
      const callbacks = afterCommits(settings.onFault)
      const result = await scope.inside(() => alone(() => inTransaction(send, callbacks.add, work)))
      callbacks.run()
      upkeep.worked()
      return result
    },
    async close() {
      if (!scope.close()) return
      await Promise.all([scope.idle(), upkeep.stop()])
      await pglite.close()
      lock?.[Symbol.dispose]()
    },
    syncs: () => files?.syncs ?? 0,
    ...(place && {
      async backup(folder: string) {
        scope.outside()
        // Nothing is written between the checkpoint and the end of the copy.
        await alone(async () => {
          await query('checkpoint')
          await copyFolder(place, folder)
        })
      },
    }),
  }
}
