import { readText } from './text.ts'
import type { MimiContent } from './types.ts'

/** Mentions in one message that are looked at: more would be a nuisance to everybody named. */
const mostMentions = 64

/** An account's address, as it stands in a link: host and opaque name. */
const address = 'mimi://[a-z0-9.:-]{1,260}/u/[A-Za-z0-9_-]{22}'

/**
 * The Markdown of a mention (draft-ietf-mimi-content-08 §7.1.1 has links of any scheme): a link whose target is the
 * account's address. Characters that would end the link's text are taken out of the name.
 */
export function mentionMarkdown(name: string, account: string): string {
  return `[@${name.replace(/[[\]\\\n]/g, '')}](${account})`
}

/** The accounts that a text mentions: links to their addresses, in Markdown or HTML. Whether they are in the room is not looked at. */
export function mentionsIn(content: Pick<MimiContent, 'body'>): string[] {
  const text = readText(content)
  const found = [
    ...(text?.markdown ?? '').matchAll(new RegExp(`\\]\\((${address})\\)`, 'g')),
    ...(text?.html ?? '').matchAll(new RegExp(`\\bhref="(${address})"`, 'g')),
  ]
  return [...new Set(found.map(([, account]) => account!))].slice(0, mostMentions)
}
