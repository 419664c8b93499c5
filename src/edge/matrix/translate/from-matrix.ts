import { type ContentDraft, messengerCapabilities, textMessage } from '../../../content/index.ts'
import { utf8 } from '../../../crypto/index.ts'
import { type Loss, type Refused, refused, type TranslationCode } from './capabilities.ts'
import { type Fragment, isFormatted, maximumSource, wrap } from './fragment.ts'
import { readHtml } from './html-read.ts'
import { writeHtml } from './html-write.ts'
import { mentionedIn, withLinks } from './links.ts'
import { readMarkdown } from './markdown-read.ts'
import { writeMarkdown } from './markdown-write.ts'
import { writePlain } from './plain-write.ts'

type Json = Record<string, unknown>

/** `nothing`: an event that says nothing to a person. */
export type FromMatrix =
  | { readonly content: ContentDraft; readonly losses: readonly Loss[] }
  | Refused
  | { readonly nothing: true }

export interface FromMatrixContext {
  /** The message that the event's reply target (`replyTargetOf`) is, when it is known. */
  readonly inReplyTo?: Uint8Array | undefined
  /** The message that this one takes the place of. */
  readonly replaces?: Uint8Array | undefined
  /** The account that a Matrix id is in this room; undefined for whoever is not in it: their id is nobody's business. */
  readonly accountOf?: ((mxid: string) => string | undefined) | undefined
}

/** Events that are a message of some kind to a person. */
const eventTypes: Readonly<Record<string, TranslationCode>> = {
  'm.sticker': 'sticker',
  'm.reaction': 'reaction',
  'm.room.redaction': 'deletion',
  'm.poll.start': 'poll',
  'org.matrix.msc3381.poll.start': 'poll',
  'm.poll.response': 'poll',
  'org.matrix.msc3381.poll.response': 'poll',
  'm.location': 'location',
  'm.call.invite': 'call',
  'm.call.notify': 'call',
  'org.matrix.msc4075.call.notify': 'call',
  'm.rtc.notification': 'call',
  'org.matrix.msc4075.rtc.notification': 'call',
  'm.key.verification.request': 'verification',
}

/** Events that clients send among themselves about one of those, which was answered: they pass unseen. */
const signalling =
  /^(?:m\.call\.|org\.matrix\.call\.|m\.rtc\.|m\.key\.verification\.|(?:m|org\.matrix\.msc3381)\.poll\.end$|com\.beeper\.message_send_status$)/

/** Bytes of a text, as the room states it (`textBytes`). */
const longestText = messengerCapabilities.limits.textBytes ?? Number.POSITIVE_INFINITY

/** Kinds of m.room.message that are no text. */
const messageTypes: Readonly<Record<string, TranslationCode>> = {
  'm.image': 'media',
  'm.video': 'media',
  'm.audio': 'media',
  'm.file': 'media',
  'm.location': 'location',
  'm.key.verification.request': 'verification',
}

const isObject = (value: unknown): value is Json => typeof value === 'object' && value !== null && !Array.isArray(value)
const relationOf = (content: Json): Json => (isObject(content['m.relates_to']) ? content['m.relates_to'] : {})

/** The event that a message answers, if it is a reply and not one only for clients that know no threads. */
export function replyTargetOf(content: Json): string | undefined {
  const relation = relationOf(content)
  const target = relation['m.in_reply_to']
  if (!isObject(target) || typeof target.event_id !== 'string') return undefined
  return relation.rel_type === 'm.thread' && relation.is_falling_back === true ? undefined : target.event_id
}

/** A (decrypted) Matrix event as a message of the messenger. Pure; never throws, whatever the JSON. */
export function fromMatrix({ type, content }: { type: string; content: Json }, context: FromMatrixContext): FromMatrix {
  const code = Object.hasOwn(eventTypes, type) ? eventTypes[type] : undefined
  if (code !== undefined) return refused(code)
  if (type !== 'm.room.message')
    return signalling.test(type) || Object.keys(content).length === 0 ? { nothing: true } : refused('unsupported')
  const { msgtype, body } = content
  // Redacted before it came: there is nothing left to pass on.
  if (msgtype === undefined && body === undefined) return { nothing: true }
  if (typeof msgtype !== 'string' || typeof body !== 'string') return refused('malformed')
  const kind = Object.hasOwn(messageTypes, msgtype) ? messageTypes[msgtype] : undefined
  if (kind !== undefined) return refused(kind)
  const { rel_type: relation } = relationOf(content)
  if (relation === 'm.replace') return refused('edit')
  if (relation === 'm.annotation') return refused('reaction')
  if (body.length > maximumSource) return refused('too-large')

  const losses = new Set<Loss>()
  const target = replyTargetOf(content)
  if (target !== undefined && context.inReplyTo === undefined) losses.add('reply')
  if (relation === 'm.thread') losses.add('thread')
  if (msgtype === 'm.notice') losses.add('notice')
  else if (msgtype === 'm.emote') losses.add('emote')
  else if (msgtype !== 'm.text') losses.add('part')

  const isReply = isObject(relationOf(content)['m.in_reply_to'])
  const star = msgtype === 'm.emote' ? '* ' : ''
  const plain = star + (isReply ? withoutFallback(body) : body)
  const fragment = formattedOf(content, star, losses, context)
  const text = fragment === undefined ? { plain } : { ...written(fragment), plain: writePlain(fragment) || plain }
  if (text.plain.slice(star.length).trim() === '') return refused('empty')
  if (utf8(text.plain).length > longestText) return refused('too-large')
  const { inReplyTo, replaces } = context
  return {
    content: textMessage({
      ...text,
      ...(inReplyTo === undefined ? {} : { inReplyTo }),
      ...(replaces === undefined ? {} : { replaces }),
    }),
    losses: [...losses],
  }
}

/** The formatted body, if there is one that says more than the plain one. */
function formattedOf(
  content: Json,
  star: string,
  losses: Set<Loss>,
  { accountOf = () => undefined }: FromMatrixContext,
): Fragment | undefined {
  const { format, formatted_body: html } = content
  if (format !== 'org.matrix.custom.html' || typeof html !== 'string') return undefined
  const read = readHtml(html)
  if (read === undefined || read.lossy) losses.add('formatting')
  if (read === undefined) return undefined
  // Who is in the room is named by their account. Anybody else's Matrix id is nothing to the messenger: their name stays.
  const { fragment, taken } = withLinks(read.fragment, (href) => {
    const mxid = mentionedIn(href)
    // What only looks like an account of ours is a stranger's word.
    if (mxid === undefined) return href.startsWith('mimi:') ? undefined : href
    return accountOf(mxid)
  })
  if (taken) losses.add('mention')
  if (!isFormatted(fragment)) return undefined
  const [first, ...rest] = fragment
  if (star === '') return fragment
  return typeof first === 'object' && first.name === 'p'
    ? [...wrap('p', [star, ...first.children]), ...rest]
    : [star, ...fragment]
}

/** A fragment as HTML, and as Markdown where that says the same words. */
function written(fragment: Fragment): { html: string; markdown?: string } {
  const markdown = writeMarkdown(fragment)
  const back = readMarkdown(markdown)
  const words = (nodes: Fragment) => writePlain(nodes).replace(/\s+/g, ' ')
  const html = writeHtml(fragment)
  return back !== undefined && words(back) === words(fragment) ? { html, markdown } : { html }
}

/**
 * A reply's body without the quotation that older clients put in front (client-server API before v1.13, "fallbacks for
 * rich replies"): lines that begin with `> `, the first of them naming the author, and an empty line.
 */
function withoutFallback(body: string): string {
  if (!/^> (?:\* )?<@[^>\n]+>/.test(body)) return body
  const lines = body.split('\n')
  const end = lines.findIndex((line) => !line.startsWith('>'))
  if (end === -1) return body
  return lines.slice(lines[end] === '' ? end + 1 : end).join('\n')
}
