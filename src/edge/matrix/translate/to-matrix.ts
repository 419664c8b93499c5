import { disposition, type MimiContent, type Part, readText } from '../../../content/index.ts'
import { type Loss, type Refused, refused, type TranslationCode } from './capabilities.ts'
import { type Fragment, isFormatted } from './fragment.ts'
import { readHtml } from './html-read.ts'
import { writeHtml } from './html-write.ts'
import { mentionLink, withLinks } from './links.ts'
import { readMarkdown } from './markdown-read.ts'
import { writePlain } from './plain-write.ts'

interface MatrixEvent {
  readonly type: 'm.room.message'
  readonly content: Record<string, unknown>
}
export type ToMatrix = { readonly event: MatrixEvent; readonly losses: readonly Loss[] } | Refused

export interface ToMatrixContext {
  /** The event that `inReplyTo` is on Matrix, when it is known. */
  readonly replyTo?: string | undefined
  /** The Matrix id of an account in this room; undefined for whoever is not in it. */
  readonly mxidOf?: ((account: string) => string | undefined) | undefined
  /** Bytes that an event's content may have before it is encrypted. */
  readonly eventBytes: number
}

/**
 * A message of the messenger as a Matrix event. Pure; never throws for content that was decoded.
 * Nothing is quoted in the body for a reply: the fallback text was taken out of Matrix with version 1.13.
 */
export function toMatrix(content: MimiContent, { replyTo, mxidOf, eventBytes }: ToMatrixContext): ToMatrix {
  const refusal = refusalOf(content)
  if (refusal !== undefined) return refused(refusal)
  const text = readText(content)
  if (text === undefined) return refused(partCode(content.body))

  const losses: Loss[] = []
  if (content.inReplyTo !== undefined && replyTo === undefined) losses.push('reply')
  if (content.topicId !== undefined) losses.push('thread')
  if (hasOtherParts(content.body)) losses.push('part')
  const { fragment, lossy, mention, mentioned } = formattedOf(text, mxidOf)
  if (lossy) losses.push('formatting')
  if (mention) losses.push('mention')

  const formatted = isFormatted(fragment)
  const body = formatted ? writePlain(fragment) : text.html === undefined ? text.plain : writePlain(fragment)
  if (body.trim() === '') return refused('empty')
  const plainEvent: Record<string, unknown> = {
    msgtype: 'm.text',
    body,
    // Said explicitly: without it, clients search the body for names and keywords (client-server API v1.7, mentions).
    'm.mentions': mentioned.length > 0 ? { user_ids: mentioned } : {},
    ...(replyTo === undefined ? {} : { 'm.relates_to': { 'm.in_reply_to': { event_id: replyTo } } }),
  }
  const full = formatted
    ? { ...plainEvent, format: 'org.matrix.custom.html', formatted_body: writeHtml(fragment) }
    : plainEvent
  if (sizeOf(full) <= eventBytes) return { event: { type: 'm.room.message', content: full }, losses }
  if (sizeOf(plainEvent) > eventBytes) return refused('too-large')
  return {
    event: { type: 'm.room.message', content: plainEvent },
    losses: [...new Set([...losses, 'formatting' as const])],
  }
}

/** People called by one message: more would be a nuisance. */
const mostMentions = 64

const sizeOf = (content: object) => new TextEncoder().encode(JSON.stringify(content)).length

/** What the message as a whole is, where that does not cross. Order matters: a timer outweighs everything else. */
function refusalOf({ expires, replaces, body }: MimiContent): TranslationCode | undefined {
  if (expires !== undefined) return 'disappearing'
  if (body.cardinality === 'null') return replaces === undefined ? 'empty' : 'deletion'
  if (replaces !== undefined) return 'edit'
  return body.disposition === disposition.reaction ? 'reaction' : undefined
}

/** What a part without text is. */
function partCode(part: Part): TranslationCode {
  if (part.cardinality === 'multi') {
    const codes = part.parts.map(partCode)
    return codes.find((code) => code === 'media') ?? codes[0] ?? 'unsupported'
  }
  if (part.cardinality === 'null') return 'empty'
  if (part.disposition === disposition.session) return 'call'
  const type = part.contentType.toLowerCase()
  if (/^(?:image|audio|video)\//.test(type) || part.cardinality === 'external') return 'media'
  if (type.startsWith('text/vcard')) return 'contact'
  return type.startsWith('application/geo') ? 'location' : 'unsupported'
}

/** Whether something besides text was to be shown too. Alternatives of the text are none. */
function hasOtherParts(part: Part): boolean {
  if (part.cardinality !== 'multi' || part.semantics === 'chooseOne') return false
  return part.parts.some((inner) => hasOtherParts(inner) || readText({ body: inner }) === undefined)
}

interface Formatted {
  fragment: Fragment
  lossy: boolean
  /** Somebody was mentioned who is not in the room. */
  mention: boolean
  /** Matrix ids. */
  mentioned: readonly string[]
}

/** The richest form of a text that can be read. */
function formattedOf(
  { plain, html, markdown }: { plain: string; html?: string; markdown?: string },
  mxidOf: (account: string) => string | undefined = () => undefined,
): Formatted {
  const lossyPlain = html !== undefined || markdown !== undefined
  const plainly = { fragment: [plain], lossy: lossyPlain, mention: false, mentioned: [] }
  const read =
    html === undefined
      ? markdown === undefined
        ? undefined
        : { fragment: readMarkdown(markdown), lossy: false }
      : (readHtml(html) ?? { fragment: markdown === undefined ? undefined : readMarkdown(markdown), lossy: true })
  if (read?.fragment === undefined) return plainly
  // A mention points to an account of the messenger. Of whoever is not in the room, the text stays alone.
  const mentioned = new Set<string>()
  const { fragment, taken } = withLinks(read.fragment, (href) => {
    if (!href.startsWith('mimi:')) return href
    const mxid = mxidOf(href)
    if (mxid === undefined) return undefined
    mentioned.add(mxid)
    return mentionLink(mxid)
  })
  return { fragment, lossy: read.lossy, mention: taken, mentioned: [...mentioned].slice(0, mostMentions) }
}
