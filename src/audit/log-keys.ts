import type { Database } from '../store/index.ts'
import type { Audit } from './events.ts'
import { encodeVerifier, type RemoteSigner } from './log/index.ts'
import { shardsOf } from './shards.ts'

/**
 * Notes the keys that sign the log where they are others than at the last start. So a new key is told of by an entry under
 * the old one's signature, and an auditor who trusts the old one can follow. Of the logs of several years it is the newest.
 *
 * @returns the log that entries go into
 */
export async function noteLogKeys(
  { database, audit }: { database: Database; audit: Audit },
  base: string,
  signersOf: (origin: string) => readonly RemoteSigner[],
): Promise<string> {
  return database.transaction(async (tx) => {
    await tx.query('insert into audit.log (origin) values ($1) on conflict do nothing', [base])
    const { origin } = (await shardsOf(tx, base)).at(-1)!
    const keys = signersOf(origin)
      .map(({ verifier }) => encodeVerifier(verifier))
      .sort()
    const [row] = await tx.query<{ keys: string[] | null; size: number }>(
      'select keys, size from audit.log where origin = $1 for no key update',
      [origin],
    )
    // One that has no entry yet begins with one that names its keys.
    if (row?.keys?.join() === keys.join() || (origin !== base && row?.size === 0)) return origin
    await tx.query('update audit.log set keys = $2 where origin = $1', [origin, keys])
    await audit.append(tx, { type: 'log.keys-changed', keys })
    return origin
  })
}
