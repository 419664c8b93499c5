import { type Crypto, toBase64Url } from '../../crypto/index.ts'
import type { Database } from '../../store/index.ts'
import type { Credentials } from '../credentials.ts'
import type { Audit } from '../events.ts'
import type { Pseudonyms } from './pseudonyms.ts'

/**
 * Why a pseudonym is not told.
 *
 * - not-allowed: no credential for that
 * - not-known: the log does not know the account, or no longer
 * - not-asked: nobody has asked for it within a day whose credential counts still
 * - same-person: whoever has asked cannot agree too
 */
export type MappingRefusal = 'not-allowed' | 'not-known' | 'not-asked' | 'same-person'

/** Tells the pseudonym of a person, when two people with a credential for it agree, and never without an entry. */
export interface Mapping {
  /** @returns undefined when it was asked for */
  request(account: string, credential: string): Promise<MappingRefusal | undefined>
  /** The other person's part. The entry is committed before the pseudonym is told. */
  approve(account: string, credential: string): Promise<{ pseudonym: string } | MappingRefusal>
}

/** A day: long enough for a colleague, short enough that nobody agrees to what was forgotten. */
const openMs = 24 * 3_600_000

export interface MappingOptions {
  readonly database: Database
  readonly crypto: Crypto
  readonly pseudonyms: Pseudonyms
  readonly credentials: Credentials
  readonly audit: Audit
  /** Milliseconds since the epoch. */
  readonly clock?: () => number
}

export function openMapping(options: MappingOptions): Mapping {
  const { database, crypto, pseudonyms, credentials, audit, clock = Date.now } = options
  const holderOf = (credential: string): string | undefined => {
    const holder = credentials.holderOf(credential)
    return holder?.scopes.includes('resolve') ? holder.id : undefined
  }
  return {
    async request(account, credential) {
      const auditor = holderOf(credential)
      if (auditor === undefined) return 'not-allowed'
      return database.transaction(async (tx) => {
        const pseudonym = await pseudonyms.known(tx, { kind: 'account', name: account })
        if (pseudonym === undefined) return 'not-known'
        const mapping = toBase64Url(crypto.randomBytes(16))
        await tx.query('delete from pseudonym.mapping where at < $1', [clock() - openMs])
        await tx.query(
          `insert into pseudonym.mapping (digest, id, asked_by, at) values ($1, $2, $3, $4)
            on conflict (digest) do update set id = excluded.id, asked_by = excluded.asked_by, at = excluded.at`,
          [pseudonyms.digestOf(account), mapping, auditor, clock()],
        )
        // Not whose: whoever asks could read there alone what it takes two for.
        await audit.append(tx, { type: 'mapping.requested', mapping, auditor })
        return undefined
      })
    },
    async approve(account, credential) {
      const auditor = holderOf(credential)
      if (auditor === undefined) return 'not-allowed'
      return database.transaction(async (tx) => {
        const [asked] = await tx.query<{ id: string; asked_by: string }>(
          'select id, asked_by from pseudonym.mapping where digest = $1 and at >= $2 for update',
          [pseudonyms.digestOf(account), clock() - openMs],
        )
        const pseudonym = await pseudonyms.known(tx, { kind: 'account', name: account })
        if (pseudonym === undefined) return 'not-known'
        // Both have to be admitted at the moment in which it is told.
        if (!asked || !credentials.mayNow(asked.asked_by, 'resolve')) return 'not-asked'
        if (asked.asked_by === auditor) return 'same-person'
        if (!credentials.mayNow(auditor, 'resolve')) return 'not-allowed'
        await tx.query('delete from pseudonym.mapping where id = $1', [asked.id])
        await audit.append(tx, { type: 'mapping.disclosed', mapping: asked.id, account, auditor })
        return { pseudonym }
      })
    },
  }
}
