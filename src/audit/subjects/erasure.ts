import { type Crypto, toBase64Url } from '../../crypto/index.ts'
import type { Database, Transaction } from '../../store/index.ts'
import type { Event } from '../event-schema.ts'
import type { SubjectKeys } from './key-file.ts'
import type { Pseudonyms } from './pseudonyms.ts'

/** Named points at which crash tests stop: what comes before is durable, what comes after has not happened. */
export const erasureSteps = ['audit.erasure-begun', 'audit.keys-destroyed', 'audit.erased'] as const
export type ErasureStep = (typeof erasureSteps)[number]

export interface ErasureOptions {
  readonly database: Database
  readonly crypto: Crypto
  readonly pseudonyms: Pseudonyms
  readonly subjectKeys: SubjectKeys
  /** Appends an entry whose subjects are pseudonyms already. */
  record(tx: Transaction, event: Event): Promise<unknown>
  readonly step?: ((step: ErasureStep) => void | Promise<void>) | undefined
}

export interface Erasure {
  /**
   * Has an account and its devices erased, in the transaction of what asks for it: the intent commits with that, `finish`
   * carries it out.
   *
   * @returns false when the log does not know the account, or no longer
   */
  begin(tx: Transaction, account: string): Promise<boolean>
  /** Carries out what was begun, also before a crash. @returns how many erasures were finished */
  finish(): Promise<number>
}

/** Erasures in one go: each is a few digests. */
const atOnce = 100

/**
 * Who a pseudonym was is forgotten for good: the keys of the subject are destroyed outside of the database, so there is an
 * entry of the intent before and one of the outcome after it. Between the two the table says what is to be destroyed;
 * repeating that changes nothing.
 */
export function openErasure(options: ErasureOptions): Erasure {
  const { database, crypto, pseudonyms, subjectKeys, record } = options
  const step = async (name: ErasureStep) => options.step?.(name)
  return {
    async begin(tx, account) {
      if ((await pseudonyms.known(tx, { kind: 'account', name: account })) === undefined) return false
      const erasure = toBase64Url(crypto.randomBytes(16))
      const begun = await tx.query(
        'insert into pseudonym.erasure (digest, id) values ($1, $2) on conflict (digest) do nothing returning 1',
        [pseudonyms.digestOf(account), erasure],
      )
      if (begun.length > 0) await record(tx, { type: 'subject.erasure-begun', erasure })
      return true
    },
    async finish() {
      const [waiting] = await database.query('select 1 from pseudonym.erasure limit 1')
      if (!waiting) return 0
      await step('audit.erasure-begun')
      const finished = await database.transaction(async (tx) => {
        // One process at a time rewrites the file of keys.
        await tx.query('select 1 from pseudonym.keys for update')
        const begun = await tx.query<{ digest: Uint8Array; id: string }>(
          'select digest, id from pseudonym.erasure order by id limit $1',
          [atOnce],
        )
        const owners = begun.map(({ digest }) => digest)
        const subjects = await tx.query<{ digest: Uint8Array; owner: Uint8Array }>(
          `delete from pseudonym.subject where digest = any($1::bytea[]) or owner = any($1::bytea[])
            returning digest, coalesce(owner, digest) as owner`,
          [owners],
        )
        subjectKeys.destroy([...owners, ...subjects.map(({ digest }) => digest)])
        await step('audit.keys-destroyed')
        await tx.query('update pseudonym.keys set destroyed = greatest(destroyed, $1)', [subjectKeys.destroyed])
        for (const { digest, id } of begun) {
          const count = subjects.filter(({ owner }) => Buffer.compare(owner, digest) === 0).length
          await record(tx, { type: 'subject.erased', erasure: id, subjects: count })
        }
        await tx.query('delete from pseudonym.mapping where digest = any($1::bytea[])', [owners])
        await tx.query('delete from pseudonym.erasure where digest = any($1::bytea[])', [owners])
        return begun.length
      })
      await step('audit.erased')
      return finished
    },
  }
}
