import type { Database } from '../store/index.ts'
import { type Auditor, usualScopes } from './credentials.ts'
import type { Audit } from './events.ts'

/** Who of the file of auditors may read: those whose admission is in the log. */
export interface Admissions {
  /** Whether the log tells that this auditor was admitted. */
  admitted(id: string): boolean
  close(): Promise<void>
}

/** A credential that was just given has to work when it is tried, and a look is one call of the system. */
const everyMs = 250

export interface AdmissionsOptions {
  readonly database: Database
  readonly audit: Audit
  /** Those in the file, as it is now. */
  auditors(): readonly Auditor[]
  readonly everyMs?: number
  onFault(error: unknown): void
}

/**
 * The file of auditors is changed by commands beside the service, outside of the database. So that no one reads whose
 * admission is not in the log, a credential counts only when its entry has been committed; a revoked one counts no more
 * from the moment it is out of the file, and its entry follows.
 */
export async function openAdmissions(options: AdmissionsOptions): Promise<Admissions> {
  const { database, audit, onFault } = options
  let known: ReadonlySet<string> = new Set()
  let looked: readonly Auditor[] | undefined

  const note = async (): Promise<void> => {
    const now = options.auditors()
    if (now === looked) return
    known = await database.transaction(async (tx) => {
      // Of several processes one takes each down.
      await tx.query('lock table audit.auditor in share row exclusive mode')
      const rows = await tx.query<{ id: string }>('select id from audit.auditor')
      const before = new Set(rows.map(({ id }) => id))
      for (const { id, notAfter, scopes = usualScopes } of now.filter((each) => !before.has(each.id))) {
        await tx.query('insert into audit.auditor (id) values ($1)', [id])
        await audit.append(tx, {
          ...{ type: 'auditor.admitted', auditor: id, scopes: [...scopes] },
          until: new Date(notAfter).toISOString(),
        })
      }
      for (const id of before) {
        if (now.some((each) => each.id === id)) continue
        await tx.query('delete from audit.auditor where id = $1', [id])
        await audit.append(tx, { type: 'auditor.removed', auditor: id })
      }
      return new Set(now.map(({ id }) => id))
    })
    looked = now
  }
  let looking = note()
  await looking
  const timer = setInterval(() => {
    looking = looking.then(note).catch(onFault)
  }, options.everyMs ?? everyMs)
  timer.unref()
  return {
    admitted: (id) => known.has(id),
    async close() {
      clearInterval(timer)
      await looking
    },
  }
}
