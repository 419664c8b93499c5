import { type Crypto, fromBase64Url, toBase64Url, utf8 } from '../../crypto/index.ts'
import type { EntryFilter } from '../reading/facets.ts'
import type { Order } from './find.ts'

/**
 * Where to go on, as the caller is given it: stable, since an index in the log never changes. It belongs to one question:
 * with another filter it would pass over entries without a word.
 */
export function encodeCursor(crypto: Crypto, question: { filter: EntryFilter; order: Order }, at: number): string {
  return toBase64Url(utf8(`${at} ${digestOf(crypto, question)}`))
}

/** Reverses `encodeCursor`; undefined for anything else, and for a cursor of another question. */
export function decodeCursor(
  crypto: Crypto,
  question: { filter: EntryFilter; order: Order },
  cursor: string,
): number | undefined {
  try {
    const text = new TextDecoder().decode(fromBase64Url(cursor))
    const [, at, digest] = /^(\d{1,15}) (\S{11})$/.exec(text) ?? []
    return at !== undefined && digest === digestOf(crypto, question) ? Number(at) : undefined
  } catch {
    return undefined
  }
}

function digestOf(crypto: Crypto, { filter, order }: { filter: EntryFilter; order: Order }): string {
  const { from, to, type, provider, pseudonym, outcome } = filter
  const text = JSON.stringify([order, from, to, type, provider, pseudonym, outcome])
  return toBase64Url(crypto.sha256(utf8(text)).subarray(0, 8))
}
