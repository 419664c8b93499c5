import { disposition, type MimiContent, type SinglePart } from './types.ts'

/** Media types that are written here. */
export const mediaTypes = {
  plain: 'text/plain;charset=utf-8',
  markdown: 'text/markdown;variant=GFM-MIMI',
  html: 'text/html;charset=utf-8',
  status: 'application/mimi-message-status',
  profile: 'application/vnd.silta.profile+cbor',
  outcome: 'application/vnd.silta.outcome+cbor',
  capabilities: 'application/vnd.silta.capabilities+cbor',
} as const

/** Type and subtype in lower case, without parameters. */
export function essenceOf(contentType: string): string {
  return (contentType.split(';', 1)[0] ?? '').trim().toLowerCase()
}

/** A part of one media type. */
export function singlePart(contentType: string, content: Uint8Array, shownAs: number = disposition.render): SinglePart {
  return { disposition: shownAs, language: '', cardinality: 'single', contentType, content }
}

/** The content of a message that is one part of this media type; undefined for any other message. */
export function bodyOfType({ body }: Pick<MimiContent, 'body'>, contentType: string): Uint8Array | undefined {
  if (body.cardinality !== 'single' || essenceOf(body.contentType) !== essenceOf(contentType)) return undefined
  return body.content
}
