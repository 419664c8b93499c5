import { join, resolve } from 'node:path'
import { goOnFromBackup } from '../backup.ts'
import { type Config, readSecrets } from '../config/index.ts'
import { nodeCrypto } from '../crypto/node.ts'
import { askOperator, operatorSocketFile } from '../ops/index.ts'
import { backupFolder, isStoreError, replaceFolder } from '../store/index.ts'
import { exit, type Terminal, Unusable } from './terminal.ts'

/** `silta backup FOLDER`: copies the embedded database, of the running service or of one that is stopped. */
export async function backup(config: Config, folder: string | undefined, terminal: Terminal): Promise<number> {
  if (folder === undefined) throw new Unusable('silta backup needs a folder to write to')
  if (isOnPostgres(config)) {
    terminal.err('The database is PostgreSQL: back it up with pg_dump or pg_basebackup (docs/operating.md).\n')
    return exit.unusable
  }
  const to = resolve(folder)
  return told(terminal, async () => {
    const answer = await askOperator(join(config.dataDirectory, operatorSocketFile), {
      path: '/backup',
      body: { folder: to },
      waitMs: 0,
    })
    if (answer === undefined) await backupFolder(join(config.dataDirectory, 'database'), to)
    else if (answer.status !== 200) {
      terminal.err(`The service has not made the backup: ${answer.body.title ?? `status ${answer.status}`}.\n`)
      return exit.failed
    }
    terminal.out(`The backup is in ${to}. The keys are not in it: they are in ${secretsOf(config)}.\n`)
    return exit.well
  })
}

/** `silta restore [FOLDER]`: puts a backup back and lets the service go on from it. */
export async function restore(config: Config, folder: string | undefined, terminal: Terminal): Promise<number> {
  if (folder !== undefined && isOnPostgres(config))
    throw new Unusable(
      'The database is PostgreSQL: put its backup back yourself, then run silta restore without a folder',
    )
  if (
    (await askOperator(join(config.dataDirectory, operatorSocketFile), { method: 'GET', path: '/status' })) !==
    undefined
  ) {
    terminal.err('The service runs. Stop it first.\n')
    return exit.failed
  }
  return told(terminal, async () => {
    const directory = join(config.dataDirectory, 'database')
    const replaced = folder === undefined ? undefined : await replaceFolder(directory, resolve(folder))
    if (replaced !== undefined) terminal.out(`The database that was here is now ${replaced}.\n`)
    terminal.err('Renumbering rooms …\n')
    const number = await goOnFromBackup(config, readSecrets(config, nodeCrypto))
    terminal.out(
      `Restored. This is life number ${number + 1} of this database: devices enter their rooms anew, ghosts get new devices,\n` +
        'and people are shown where messages may be missing. Start the service.\n',
    )
    return exit.well
  })
}

const isOnPostgres = (config: Config) => config.database.url !== undefined || config.database.urlFile !== undefined
const secretsOf = (config: Config) => join(config.dataDirectory, 'secrets')

async function told(terminal: Terminal, work: () => Promise<number>): Promise<number> {
  try {
    return await work()
  } catch (error) {
    if (!isStoreError(error)) throw error
    terminal.err(`${error.message.charAt(0).toUpperCase()}${error.message.slice(1)}.\n`)
    return exit.failed
  }
}
