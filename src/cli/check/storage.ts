import { accessSync, constants, existsSync, statfsSync, statSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import type { Config } from '../../config/index.ts'
import { type Inspection, inspectPostgres, isStoreError } from '../../store/index.ts'
import { type Finding, ok, skipped, warning, wrong } from './finding.ts'

/** The oldest PostgreSQL that is tested. */
const oldest = 140_000
/** Less than this is filled in a moment by a database that grows. */
const fewBytes = 1024 ** 3

/** Looks whether what is to be kept can be kept. Changes nothing, and makes nothing. */
export async function checkStorage(config: Config, databaseUrl: string | undefined): Promise<Finding[]> {
  const folders = checkFolder('data directory', config.dataDirectory)
  if (databaseUrl === undefined) {
    const said = 'the embedded one, in the data directory.'
    return [...folders, folders.some(({ state }) => state === 'wrong') ? wrong('database', said) : ok('database', said)]
  }
  return [...folders, ...(await checkPostgres(databaseUrl))]
}

/** Of the folder, or of the nearest one above it that is there. */
function checkFolder(about: string, folder: string): Finding[] {
  const path = resolve(folder)
  let there = path
  while (!existsSync(there) && dirname(there) !== there) there = dirname(there)
  if (!statSync(there).isDirectory()) return [wrong(about, `${there} is a file, and no folder.`)]
  try {
    accessSync(there, constants.W_OK | constants.X_OK)
  } catch {
    const said = there === path ? `${path} cannot be written to.` : `${path} is not there, and cannot be made.`
    return [
      wrong(
        about,
        said,
        `Make it and give it to the user that Silta runs as: install -d -m 700 -o USER ${path}`,
        'Or name another one: dataDirectory in the configuration.',
      ),
    ]
  }
  const { bavail, bsize } = statfsSync(there)
  const free = `${Math.floor((bavail * bsize) / fewBytes)} GB free`
  if (bavail * bsize < fewBytes)
    return [warning(about, `${path} is on a disk with less than 1 GB free.`, 'Make room, or choose another disk.')]
  return [ok(about, there === path ? `${path} can be written to, ${free}.` : `${path} will be made, ${free}.`)]
}

async function checkPostgres(url: string): Promise<Finding[]> {
  let found: Inspection
  try {
    found = await inspectPostgres(url)
  } catch (error) {
    // The driver's words can hold the address and the user's name; the code says enough.
    const code = isStoreError(error) ? error.code : 'failed'
    return [
      wrong(
        'database',
        `PostgreSQL does not let us in (${code}).`,
        'Is it running, and are host, database, user and password in database.url right?',
        'createuser silta && createdb --owner silta silta makes both.',
      ),
      skipped('database schema', 'could not be looked at.'),
    ]
  }
  const findings: Finding[] = []
  const version = Math.floor(found.version / 10_000)
  if (found.version < oldest) findings.push(wrong('database', `PostgreSQL ${version} is too old.`, 'Use 14 or newer.'))
  else if (found.readOnly)
    findings.push(wrong('database', 'takes no writes: it is a standby, or set to read only.', 'Name the primary.'))
  else findings.push(ok('database', `PostgreSQL ${version} answers.`))
  findings.push(schemaOf(found))
  return findings
}

function schemaOf({ mismatch, pending, mayCreate }: Inspection): Finding {
  const about = 'database schema'
  if (mismatch === 'newer')
    return wrong(about, 'is of a newer Silta than this one.', 'Run that one, or restore a backup from before it.')
  if (mismatch === 'changed')
    return wrong(about, 'was made by a migration that has been changed since.', 'Use an unchanged copy of Silta.')
  if (pending.length === 0) return ok(about, 'is up to date.')
  if (!mayCreate)
    return wrong(
      about,
      `needs ${pending.length} migrations, and this user may not make tables and schemas.`,
      'Make it the owner of the database: alter database NAME owner to USER',
    )
  return ok(about, `${pending.length} migrations will be applied at the next start.`)
}
