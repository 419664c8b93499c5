import type { AccountAddress, AccountKind } from '../identity/index.ts'
import type { Queryable } from '../store/index.ts'
import { type ContactDecision, decideContact, type FirstContact } from './contact.ts'
import type { Asker } from './context.ts'

/** What the hub knows of an account that somebody wants to reach, and what it decides. */
export interface Approached {
  account: AccountAddress
  kind: AccountKind
  endorsement: Uint8Array
  manifestNumber: number
  manifestHash: Uint8Array | undefined
  /** Milliseconds since the epoch. */
  manifestUntil: number
  decision: ContactDecision
}

/**
 * Whether the asker may reach these accounts; accounts that do not exist are missing in the answer. Their rows stay
 * locked against change until the transaction ends, so that neither an unlinking nor an opt-out is overtaken.
 */
export async function approach(
  tx: Queryable,
  asker: Asker,
  accounts: readonly string[],
): Promise<Map<string, Approached>> {
  // First the lock, then the reading: a statement that waits for a lock sees what was before it waited.
  await tx.query('select from hub.account where address = any($1::text[]) order by address for share', [accounts])
  const rows = await tx.query<{
    address: AccountAddress
    kind: AccountKind
    endorsement: Uint8Array
    first_contact: FirstContact
    manifest_number: number
    manifest_hash: Uint8Array | null
    manifest_until: number
    asker_blocks: boolean
    target_blocks: boolean
    consent: 'requested' | 'granted' | 'denied' | null
    target_opted_in: boolean
    asker_opted_in: boolean
  }>(
    `select a.address, a.kind, a.endorsement, a.first_contact, a.manifest_number, a.manifest_hash, a.manifest_until,
            exists (select 1 from hub.block where owner = $1 and blocked = a.address) as asker_blocks,
            exists (select 1 from hub.block where owner = a.address and blocked = $1) as target_blocks,
            (select state from hub.consent where owner = a.address and peer = $1) as consent,
            exists (select 1 from hub.reachability where account = a.address and network = $2) as target_opted_in,
            exists (select 1 from hub.reachability where account = $1 and network = a.network) as asker_opted_in
       from hub.account a where a.address = any($3::text[])`,
    [asker.account, asker.network ?? '', accounts],
  )
  return new Map(
    rows.map((row) => [
      row.address,
      {
        account: row.address,
        kind: row.kind,
        endorsement: row.endorsement,
        manifestNumber: row.manifest_number,
        manifestHash: row.manifest_hash ?? undefined,
        manifestUntil: row.manifest_until,
        decision:
          row.address === asker.account
            ? { allowed: true, standing: 'accepted' }
            : decideContact({
                asker: { kind: asker.accountKind, optedIn: row.asker_opted_in },
                target: { kind: row.kind, optedIn: row.target_opted_in, firstContact: row.first_contact },
                askerBlocksTarget: row.asker_blocks,
                targetBlocksAsker: row.target_blocks,
                consent: row.consent ?? undefined,
              }),
      },
    ]),
  )
}
