import { fromUtf8, utf8 } from '../crypto/index.ts'
import { essenceOf, mediaTypes, singlePart } from './media-type.ts'
import { type ContentDraft, disposition, type MimiContent, type Part, type SinglePart } from './types.ts'

export interface TextInput {
  /** What a client without formatting shows. */
  plain: string
  /** GFM-MIMI (draft-ietf-mimi-content-08 §7.1.1): no raw HTML, no autolinks. */
  markdown?: string
  html?: string
  /** Id of the message that this one answers. */
  inReplyTo?: Uint8Array
  /** Id of the message that this one takes the place of. */
  replaces?: Uint8Array
}

/** A text as it was found in a message. HTML and Markdown are the sender's and not to be trusted. */
export interface Text {
  plain: string
  html?: string
  markdown?: string
}

/** A text message: plain text alone, or alternatives with the richest first when it is formatted. */
export function textMessage({ plain, markdown, html, inReplyTo, replaces }: TextInput): ContentDraft {
  const parts = [singlePart(mediaTypes.plain, utf8(plain))]
  if (markdown !== undefined) parts.unshift(singlePart(mediaTypes.markdown, utf8(markdown)))
  if (html !== undefined) parts.unshift(singlePart(mediaTypes.html, utf8(html)))
  const draft: ContentDraft = { body: parts.length === 1 ? parts[0]! : alternatives(parts) }
  if (inReplyTo) draft.inReplyTo = inReplyTo
  if (replaces) draft.replaces = replaces
  return draft
}

/**
 * The text of a message in the forms that it offers; undefined when it has none to show, as a reaction, a deletion or an
 * attachment. Of alternatives the first of each form is taken; of parts that go one after another all; a unit of which
 * one part is no text is none. Markdown alone is its own plain text, HTML alone loses its tags.
 */
export function readText({ body }: Pick<MimiContent, 'body'>): Text | undefined {
  const found = textOf(body)
  if (!found) return undefined
  const { plain = found.markdown ?? withoutTags(found.html ?? ''), ...formatted } = found
  return { plain, ...formatted }
}

function alternatives(parts: Part[]): Part {
  return { disposition: disposition.render, language: '', cardinality: 'multi', semantics: 'chooseOne', parts }
}

/** Dispositions whose parts are not the text of the message. Unknown ones count as `render` (§9.1). */
const notText: readonly number[] = [
  disposition.reaction,
  disposition.profile,
  disposition.icon,
  disposition.attachment,
  disposition.session,
  disposition.preview,
]

function textOf(part: Part): Partial<Text> | undefined {
  if (notText.includes(part.disposition)) return undefined
  if (part.cardinality === 'single') return singleText(part)
  if (part.cardinality !== 'multi') return undefined
  const all = part.parts.map(textOf)
  const texts = all.filter((text) => text !== undefined)
  if (texts.length === 0 || (part.semantics === 'singleUnit' && texts.length < all.length)) return undefined
  // later ones are overwritten by earlier ones: the sender's preference comes first
  if (part.semantics === 'chooseOne') return Object.assign({}, ...texts.toReversed())
  if (texts.length === 1) return texts[0]
  return { plain: texts.map(({ plain, markdown, html }) => plain ?? markdown ?? withoutTags(html ?? '')).join('\n') }
}

function singleText({ contentType, content }: SinglePart): Partial<Text> | undefined {
  const form = forms.get(essenceOf(contentType))
  const charset = /;\s*charset\s*=\s*"?([^;"\s]*)/i.exec(contentType)?.[1]?.toLowerCase() ?? 'utf-8'
  if (!form || !(charset === 'utf-8' || charset === 'us-ascii')) return undefined
  try {
    return { [form]: fromUtf8(content) }
  } catch {
    return undefined // not in the charset that it claims: unreadable, as another charset would be
  }
}

const forms = new Map<string, keyof Text>([
  ['text/plain', 'plain'],
  ['text/markdown', 'markdown'],
  ['text/html', 'html'],
])

const entities = new Map([
  ['lt', '<'],
  ['gt', '>'],
  ['quot', '"'],
  ['apos', "'"],
  ['nbsp', ' '],
  ['amp', '&'],
])

/** Legible, not faithful: for a sender that offers nothing else. The result is text, never to be taken as HTML. */
function withoutTags(html: string): string {
  return html
    .replace(/<(?:br|\/p|\/div|\/li|\/h[1-6])\b[^<>]*>/gi, '\n')
    .replace(/<[^<>]*>/g, '')
    .replace(/&(?:#39|([a-z]{2,4}));/g, (whole, name?: string) => (name ? (entities.get(name) ?? whole) : "'"))
    .trim()
}
