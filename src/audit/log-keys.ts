import type { Database } from '../store/index.ts'
import type { Audit } from './events.ts'
import { encodeVerifier, type NoteVerifier } from './log/index.ts'

/**
 * Notes the keys that sign the log where they are others than at the last start. So a new key is told of by an entry under
 * the old one's signature, and an auditor who trusts the old one can follow.
 */
export async function noteLogKeys(
  { database, audit }: { database: Database; audit: Audit },
  verifiers: readonly NoteVerifier[],
): Promise<void> {
  const [first] = verifiers
  if (!first) return
  const keys = verifiers.map(encodeVerifier).sort()
  await database.transaction(async (tx) => {
    await tx.query('insert into audit.log (origin) values ($1) on conflict do nothing', [first.name])
    const [row] = await tx.query<{ keys: string[] | null }>(
      'select keys from audit.log where origin = $1 for no key update',
      [first.name],
    )
    if (row?.keys?.join() === keys.join()) return
    await tx.query('update audit.log set keys = $2 where origin = $1', [first.name, keys])
    await audit.append(tx, { type: 'log.keys-changed', keys })
  })
}
