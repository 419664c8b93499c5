import { type Crypto, toBase64Url, utf8 } from '../crypto/index.ts'
import type { Queryable, Sealer } from '../store/index.ts'

export type SubjectKind = 'account' | 'device' | 'room'

/** Gives what an event is about its pseudonym, the same each time, in the caller's transaction. */
export type Pseudonyms = (tx: Queryable, kind: SubjectKind, subject: string) => Promise<string>

/**
 * Pseudonyms are random and say nothing. The table that maps them is found by a hash under `key` (32 bytes, as long-lived
 * as the accounts) and holds the subject sealed: who has the log and the table, but no key, learns nobody's name.
 */
export function openPseudonyms(crypto: Crypto, sealer: Sealer, key: Uint8Array): Pseudonyms {
  return async (tx, kind, subject) => {
    const digest = crypto.hmacSha256(key, utf8(`${kind}\0${subject}`))
    const find = () =>
      tx.query<{ pseudonym: string }>('select pseudonym from pseudonym.subject where digest = $1', [digest])
    const [known] = await find()
    if (known) return known.pseudonym
    const fresh = toBase64Url(crypto.randomBytes(16))
    await tx.query(
      `insert into pseudonym.subject (digest, pseudonym, kind, sealed) values ($1, $2, $3, $4)
        on conflict (digest) do nothing`,
      [digest, fresh, kind, sealer.seal(utf8(subject), `pseudonym.subject|sealed|${fresh}`)],
    )
    // Another transaction may have been first.
    return (await find())[0]?.pseudonym ?? fresh
  }
}
