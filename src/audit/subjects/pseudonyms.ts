import { type Crypto, fromUtf8, toBase64Url, utf8 } from '../../crypto/index.ts'
import type { Queryable, Transaction } from '../../store/index.ts'
import { type SubjectKeys, SubjectKeysError } from './key-file.ts'

export type SubjectKind = 'account' | 'device' | 'room'

export interface Subject {
  readonly kind: SubjectKind
  /** An address, or an id. */
  readonly name: string
  /** The account that a device is of: it is erased with it. */
  readonly owner?: string | undefined
}

export interface Pseudonyms {
  /** The pseudonym of a subject, the same each time, in the caller's transaction. Of an erased one, another each time. */
  of(tx: Queryable, subject: Subject): Promise<string>
  /** The pseudonym, if there is one: after an erasure there is none any more. */
  known(on: Queryable, subject: Subject): Promise<string | undefined>
  /** The digest under which an account stands in the table. */
  digestOf(account: string): Uint8Array
  /**
   * Whether the file of keys belongs to the table: to be called at the start.
   *
   * @throws SubjectKeysError other-file, set-back
   */
  check(tx: Transaction): Promise<void>
}

export interface PseudonymOptions {
  readonly crypto: Crypto
  /** 32 bytes, kept for as long as the accounts: under it the table is searched. */
  readonly key: Uint8Array
  readonly subjectKeys: SubjectKeys
}

/**
 * Pseudonyms are random and say nothing. The table that maps them is found by a hash under `key` and holds the pseudonym
 * sealed under a key of its own for each subject, which is not in the database. Where that key is destroyed, neither the
 * table nor any backup of it says who a pseudonym was.
 */
export function openPseudonyms({ crypto, key, subjectKeys }: PseudonymOptions): Pseudonyms {
  const digestOf = (kind: SubjectKind, name: string) => crypto.hmacSha256(key, utf8(`${kind}\0${name}`))
  const find = async (on: Queryable, digest: Uint8Array, sealingKey: Uint8Array): Promise<string | undefined> => {
    const [row] = await on.query<{ sealed: Uint8Array }>('select sealed from pseudonym.subject where digest = $1', [
      digest,
    ])
    return row && fromUtf8(crypto.open(sealingKey, row.sealed, digest))
  }
  return {
    async of(tx, { kind, name, owner }) {
      const digest = digestOf(kind, name)
      const fresh = toBase64Url(crypto.randomBytes(16))
      const sealingKey = subjectKeys.keyOf(digest)
      // What belongs to somebody erased is not to be kept either, also when it is new.
      const forgotten = owner !== undefined && !subjectKeys.keyOf(digestOf('account', owner))
      if (!sealingKey || forgotten) return fresh
      const known = await find(tx, digest, sealingKey)
      if (known !== undefined) return known
      await tx.query(
        `insert into pseudonym.subject (digest, kind, owner, sealed) values ($1, $2, $3, $4)
          on conflict (digest) do nothing`,
        [
          digest,
          kind,
          owner === undefined ? null : digestOf('account', owner),
          crypto.seal(sealingKey, utf8(fresh), digest),
        ],
      )
      // Another transaction may have been first.
      return (await find(tx, digest, sealingKey)) ?? fresh
    },
    async known(on, { kind, name }) {
      const digest = digestOf(kind, name)
      const sealingKey = subjectKeys.keyOf(digest)
      return sealingKey && find(on, digest, sealingKey)
    },
    digestOf: (account) => digestOf('account', account),
    async check(tx) {
      const { id, destroyed } = subjectKeys
      await tx.query('insert into pseudonym.keys (id) select $1 where not exists (select 1 from pseudonym.keys)', [id])
      const [row] = await tx.query<{ id: string; destroyed: number }>('select id, destroyed from pseudonym.keys')
      if (row?.id !== id) throw new SubjectKeysError('other-file')
      if (row.destroyed > destroyed) throw new SubjectKeysError('set-back')
    },
  }
}
