import { bodyOfType, essenceOf, type MimiContent, mediaTypes, type Part } from '../../content/index.ts'

const texts: readonly string[] = [mediaTypes.plain, mediaTypes.markdown, mediaTypes.html].map(essenceOf)

/** Whether a message may be in a guest's chat: a text or a reply, what is read or delivered, and who one is. */
export function isForGuests(content: Pick<MimiContent, 'body' | 'replaces'>): boolean {
  if (content.replaces) return false
  if (bodyOfType(content, mediaTypes.profile) || bodyOfType(content, mediaTypes.status)) return true
  return isText(content.body)
}

/** One text, or the same text in several forms. */
function isText(part: Part): boolean {
  if (part.cardinality === 'single') return texts.includes(essenceOf(part.contentType)) && part.disposition <= 1
  return part.cardinality === 'multi' && part.semantics === 'chooseOne' && part.parts.every(isText)
}
