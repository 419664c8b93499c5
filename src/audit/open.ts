import { join } from 'node:path'
import { Hono } from 'hono'
import type { Crypto } from '../crypto/index.ts'
import type { Database } from '../store/index.ts'
import { openAdmissions } from './admissions.ts'
import { noteConfiguration } from './configuration.ts'
import { openCredentials, watchAuditors } from './credentials.ts'
import { type Audit, openAudit } from './events.ts'
import { openInterop } from './interop.ts'
import { noteLogKeys } from './log-keys.ts'
import { type Erased, operatorRoutes } from './operator-routes.ts'
import { openParity } from './parity.ts'
import { openPublishedFiles } from './published.ts'
import { openIndexer, queryRoutes } from './query/index.ts'
import { openRefusals } from './refusals.ts'
import { logRoutes } from './routes.ts'
import { openS3Files, type S3Bucket } from './s3.ts'
import type { AuditStep } from './sequence.ts'
import { openSequencer } from './sequencer.ts'
import type { SequencerError } from './sequencer-errors.ts'
import { shardsOf } from './shards.ts'
import { type LogKeys, logSigners } from './signers.ts'
import { type Erasure, type ErasureStep, openErasure } from './subjects/erasure.ts'
import { openSubjectKeys } from './subjects/key-file.ts'
import { openMapping } from './subjects/mapping.ts'
import { openPseudonyms, type Pseudonyms } from './subjects/pseudonyms.ts'
import { witnessesOf } from './witness.ts'

export interface ComplianceLogOptions {
  readonly database: Database
  readonly crypto: Crypto
  /** 32 bytes, kept for as long as the accounts. */
  readonly pseudonymKey: Uint8Array
  /** File of the keys that pseudonyms are sealed with. It is rewritten with each erasure. */
  readonly subjectKeysFile: string
  /** What signs the log: Ed25519 seeds, and a command with its public key. */
  readonly logKeys: Omit<LogKeys, 'origin'>
  /** A C2SP tlog-policy that names the witnesses to ask. */
  readonly policy?: string | undefined
  /** Where the log is published; without it, in a folder of the data directory. */
  readonly bucket?: S3Bucket | undefined
  /** The provider's domain. */
  readonly provider: string
  readonly networks: readonly string[]
  /** Where the log is published and who may read it is kept. */
  readonly dataDirectory: string
  /** Names this process. */
  readonly owner: string
  readonly steps?: ((step: AuditStep | ErasureStep) => void | Promise<void>) | undefined
  onFault(error: unknown): void
}

export interface ComplianceLog extends Audit {
  /** A request was refused; written in sums. `provider`: the network it came from, `own`, or undefined. */
  refused(operation: string, code: string, provider: string | undefined): void
  /** A message was taken from a device of this provider; written in sums. */
  accepted(provider: string): void
  /** A device of this provider has a message; written in sums. */
  delivered(provider: string, latencyMs: number | undefined): void
  /** Notes the configuration, when it is another than at the last start. */
  configured(fields: ReadonlyMap<string, unknown>): Promise<void>
  /**
   * Forgets for good who the pseudonyms of an account and its devices are. What was begun and not done is carried out by
   * the next one, or by the next start.
   */
  erase(account: string): Promise<Erased>
  /** The pseudonym of an account; undefined when it has none, or none any more. */
  pseudonymOf(account: string): Promise<string | undefined>
  /** How many entries are not in the tree yet; counted up to 10,000. */
  waiting(): Promise<number>
  readonly routes: Hono
  /** For the operator's own socket. */
  readonly operatorRoutes: Hono
  /** How many auditors stand in their file otherwise than the log tells: their credentials open nothing. */
  readonly changedAuditors: number
  /** Why nothing is put into the log any more; undefined while all is well. */
  readonly stopped: SequencerError | undefined
  /** Writes what was counted, takes what waits into the log, and stops. */
  close(): Promise<void>
}

/** The name of a provider's log and of its key. */
export const originOf = (provider: string) => `${provider}/audit`
/** Where the log is published, below the data directory. */
const logFolder = 'audit'
/** The file of auditors, below the data directory. */
export const auditorsFile = 'auditors.json'

/** The compliance log of one provider: appends, sequences, serves. @throws SubjectKeysError */
export async function openComplianceLog(options: ComplianceLogOptions): Promise<ComplianceLog> {
  const { database, crypto, pseudonymKey, owner, onFault } = options
  const { audit, pseudonyms, erasure } = await openSubjects(options)
  const folder = join(options.dataDirectory, logFolder)
  const files = options.bucket ? openS3Files(crypto, options.bucket) : openPublishedFiles(folder)
  const signersOf = (origin: string) => logSigners(crypto, { origin, ...options.logKeys })
  const base = originOf(options.provider)
  const [signer, ...moreSigners] = signersOf(base)
  if (!signer) throw new TypeError('nothing signs the compliance log')
  const filesOf = (label: string) => {
    if (label === '') return files
    return options.bucket ? openS3Files(crypto, options.bucket, `${label}/`) : openPublishedFiles(join(folder, label))
  }
  await noteLogKeys({ database, audit }, base, signersOf)
  const witnesses = options.policy === undefined ? [] : witnessesOf(crypto, options.policy)
  const indexer = openIndexer({ database, origin: base, onFault })
  const sequencer = openSequencer({
    ...{ database, crypto, audit, signer, moreSigners, witnesses, folder, files, owner, onFault },
    years: { signersOf, filesOf },
    async steps(step) {
      await options.steps?.(step)
      if (step === 'audit.sequenced') indexer.wake()
    },
  })
  const refusals = openRefusals({ database, audit, onFault })
  const parity = openParity({ database, audit, onFault })
  const erase = async (account: string): Promise<Erased> => {
    const known = await database.transaction((tx) => erasure.begin(tx, account))
    try {
      await erasure.finish()
      return known ? 'erased' : 'not-known'
    } catch (error) {
      // The intent is committed: whatever was asked of it now, it stands, and the next attempt carries it out.
      onFault(error)
      return known ? 'begun' : 'not-known'
    }
  }
  const { read } = files
  const logs = () => shardsOf(database, base)
  const keys = async () => signersOf((await logs()).at(-1)?.origin ?? base).map((each) => each.verifier)
  const auditors = watchAuditors(join(options.dataDirectory, auditorsFile))
  const admissions = await openAdmissions({ database, crypto, audit, auditors, onFault })
  const credentials = openCredentials(crypto, { auditors, admitted: admissions.admitted })
  return {
    append: audit.append,
    refused(operation, code, provider) {
      refusals.refused(operation, code, provider)
      if (operation === 'submitMessage' && provider !== undefined) parity.refused(provider, code)
    },
    accepted: parity.accepted,
    delivered: parity.delivered,
    configured: (fields) => noteConfiguration({ database, audit, crypto, key: pseudonymKey }, fields),
    erase,
    operatorRoutes: operatorRoutes({
      erase,
      mapping: openMapping({ database, crypto, pseudonyms, credentials, audit }),
      changedAuditors: () => admissions.changed,
      interop: openInterop({ database, crypto, record: audit.record }),
    }),
    async waiting() {
      const [row] = await database.query<{ count: number }>(
        'select count(*) as count from (select 1 from audit.entry where place is null limit 10000) as waiting',
      )
      return row?.count ?? 0
    },
    pseudonymOf: (account) => pseudonyms.known(database, { kind: 'account', name: account }),
    routes: new Hono()
      .route('/', queryRoutes({ database, crypto, verifier: signer.verifier, read, credentials }))
      .route('/', logRoutes({ read, credentials, keys, logs })),
    get changedAuditors() {
      return admissions.changed.length
    },
    get stopped() {
      return sequencer.refused
    },
    async close() {
      await admissions.close()
      await parity.close()
      await refusals.close()
      await sequencer.close()
      await indexer.close()
    },
  }
}

/** What appends and erases; it finishes what a process before it has begun. @throws SubjectKeysError */
export async function openSubjects({
  database,
  crypto,
  networks,
  steps,
  ...options
}: Pick<
  ComplianceLogOptions,
  'database' | 'crypto' | 'pseudonymKey' | 'subjectKeysFile' | 'networks' | 'steps'
>): Promise<Subjects> {
  const subjectKeys = openSubjectKeys(crypto, options.subjectKeysFile)
  const pseudonyms = openPseudonyms({ crypto, key: options.pseudonymKey, subjectKeys })
  await database.transaction((tx) => pseudonyms.check(tx))
  const audit = openAudit({ crypto, pseudonyms, networks })
  const erasure = openErasure({ database, crypto, pseudonyms, subjectKeys, record: audit.record, step: steps })
  await erasure.finish()
  return { audit, pseudonyms, erasure }
}

interface Subjects {
  readonly audit: ReturnType<typeof openAudit>
  readonly pseudonyms: Pseudonyms
  readonly erasure: Erasure
}
