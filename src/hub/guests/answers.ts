import { toBase64Url } from '../../crypto/index.ts'
import type { Transaction } from '../../store/index.ts'
import type { HubContext } from '../context.ts'

/** Under which key somebody asked to be let in. */
export interface EntryKey {
  account_key: Uint8Array
}

/** A link's id and 32 bytes: nobody but the one who waits can name it. */
const topicOf = (invite: string, accountKey: Uint8Array) => `guest-entry/${invite}/${toBase64Url(accountKey)}`

/** Tells whoever waits by this link, after the commit, that there is an answer: asking again gives it. */
export function tellAnswered(ctx: HubContext, tx: Transaction, invite: string, entries: readonly EntryKey[]): void {
  tx.afterCommit(() => {
    for (const { account_key } of entries) ctx.bus.publish(topicOf(invite, account_key), '')
  })
}

/** Calls `onAnswer` when there is one. Returns a function that ends it. */
export function awaitAnswer(ctx: HubContext, invite: string, accountKey: Uint8Array, onAnswer: () => void): () => void {
  return ctx.bus.subscribe(topicOf(invite, accountKey), onAnswer)
}
