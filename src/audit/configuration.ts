import { type Crypto, equalBytes, utf8 } from '../crypto/index.ts'
import type { Database } from '../store/index.ts'
import { canonicalJson } from './canonical.ts'
import type { Audit } from './events.ts'

/** Fields whose values may be published: limits and switches. Of all others only that they changed. */
const policyFields = /^(production|tokens\.trial|limits\.[A-Za-z]+|retention\.[A-Za-z]+|listen\.proxy)$/

/**
 * Notes a configuration that differs from the one of the last start. `fields` are its values by path; `key` (32 bytes)
 * hides them in the table, where a short value could be guessed from a plain hash.
 */
export async function noteConfiguration(
  { database, audit, crypto, key }: { database: Database; audit: Audit; crypto: Crypto; key: Uint8Array },
  fields: ReadonlyMap<string, unknown>,
): Promise<void> {
  const given = [...fields].filter(([, value]) => value !== undefined)
  const now = new Map(
    given.map(([path, value]) => [path, crypto.hmacSha256(key, utf8(`${path}\0${canonicalJson(value)}`))]),
  )
  await database.transaction(async (tx) => {
    const rows = await tx.query<{ path: string; digest: Uint8Array }>('select path, digest from audit.setting')
    const before = new Map(rows.map(({ path, digest }) => [path, digest]))
    const changed = [...new Set([...before.keys(), ...now.keys()])]
      .filter((path) => !equalBytes(before.get(path) ?? new Uint8Array(), now.get(path) ?? new Uint8Array()))
      .sort()
    if (changed.length === 0) return
    const policy = given.filter(
      (field): field is [string, number | boolean] =>
        policyFields.test(field[0]) && ['number', 'boolean'].includes(typeof field[1]),
    )
    await audit.append(tx, {
      type: 'configuration.applied',
      first: before.size === 0,
      changed,
      policy: Object.fromEntries(policy),
    })
    await tx.query('delete from audit.setting')
    for (const [path, digest] of now)
      await tx.query('insert into audit.setting (path, digest) values ($1, $2)', [path, digest])
  })
}
