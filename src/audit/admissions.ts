import { type Crypto, equalBytes, utf8 } from '../crypto/index.ts'
import type { Database } from '../store/index.ts'
import { canonicalJson } from './canonical.ts'
import { type Admitted, type Auditor, usualScopes } from './credentials.ts'
import type { Audit } from './events.ts'

/** Who of the file of auditors may read: those whose admission is in the log, and for what it says. */
export interface Admissions {
  /** Whether the log tells that this auditor was admitted, with this credential, for these scopes and until then. */
  admitted(auditor: Auditor): Admitted
  /** Ids in the file that stand there otherwise than they were admitted. */
  readonly changed: readonly string[]
  close(): Promise<void>
}

/**
 * - auditor-changed: somebody stands in the file of auditors otherwise than the log tells. The credential opens nothing;
 *   `silta auditor list` names it, and it can be revoked and given anew.
 */
export class AdmissionError extends Error {
  override readonly name = 'AdmissionError'
  readonly code = 'auditor-changed'

  constructor() {
    super('an auditor in auditors.json is not as the log tells: revoke it, and add it anew')
  }
}

/** A credential that was just given has to work when it is tried, and a look is one call of the system. */
const everyMs = 250

export interface AdmissionsOptions {
  readonly database: Database
  readonly crypto: Crypto
  readonly audit: Audit
  /** Those in the file, as it is now. */
  auditors(): readonly Auditor[]
  readonly everyMs?: number
  onFault(error: unknown): void
}

/**
 * The file of auditors is changed by commands beside the service, outside of the database. So that no one reads whose
 * admission is not in the log, a credential counts only when its entry has been committed, and only as it stands in that
 * entry: whoever can write the file could otherwise widen it without a word. A revoked one counts no more from the moment
 * it is out of the file, and its entry follows.
 */
export async function openAdmissions(options: AdmissionsOptions): Promise<Admissions> {
  const { database, crypto, audit, onFault } = options
  let known: ReadonlyMap<string, Uint8Array> = new Map()
  let changed: readonly string[] = []
  let looked: readonly Auditor[] | undefined

  const note = async (): Promise<void> => {
    const now = options.auditors()
    if (now === looked) return
    known = await database.transaction(async (tx) => {
      // Of several processes one takes each down.
      await tx.query('lock table audit.auditor in share row exclusive mode')
      const rows = await tx.query<{ id: string; digest: Uint8Array }>('select id, digest from audit.auditor')
      const before = new Map(rows.map(({ id, digest }) => [id, digest]))
      const after = new Map<string, Uint8Array>()
      for (const auditor of now) {
        const { id, notAfter, scopes = usualScopes } = auditor
        const there = before.get(id)
        // The first of an id; what else stands there under it was never admitted.
        if (!after.has(id)) after.set(id, there ?? digestOf(crypto, auditor))
        if (there || now.find((each) => each.id === id) !== auditor) continue
        await tx.query('insert into audit.auditor (id, digest) values ($1, $2)', [id, after.get(id)])
        await audit.append(tx, {
          ...{ type: 'auditor.admitted', auditor: id, scopes: [...scopes] },
          until: new Date(notAfter).toISOString(),
        })
      }
      for (const id of before.keys()) {
        if (after.has(id)) continue
        await tx.query('delete from audit.auditor where id = $1', [id])
        await audit.append(tx, { type: 'auditor.removed', auditor: id })
      }
      return after
    })
    looked = now
    changed = now.filter((auditor) => judge(auditor) === 'changed').map(({ id }) => id)
    if (changed.length > 0) onFault(new AdmissionError())
  }
  const judge = (auditor: Auditor): Admitted => {
    const digest = known.get(auditor.id)
    if (!digest) return 'no'
    return equalBytes(digest, digestOf(crypto, auditor)) ? 'yes' : 'changed'
  }
  let looking = note()
  await looking
  const timer = setInterval(() => {
    looking = looking.then(note).catch(onFault)
  }, options.everyMs ?? everyMs)
  timer.unref()
  return {
    admitted: judge,
    get changed() {
      return changed
    },
    async close() {
      clearInterval(timer)
      await looking
    },
  }
}

/** What an admission is for. The credential is random, so its hash tells nothing about it. */
function digestOf(crypto: Crypto, { id, credentialHash, notAfter, scopes = usualScopes }: Auditor): Uint8Array {
  return crypto.sha256(utf8(canonicalJson({ id, credentialHash, notAfter, scopes: [...scopes] })))
}
