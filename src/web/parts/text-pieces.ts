/** A piece of a message's text: as it is, or a link. */
export type Piece = { text: string; href?: string }

const link = /\bhttps?:\/\/[^\s<>"'`\u2066-\u2069\u202a-\u202e]+/giu
/** What ends a sentence is not part of a link at its end. */
const trailing = /[.,:;!?…)\]}”’»]+$/u

/** Links in a text: http and https with a host, nothing else. What is shown is the address itself. */
export function piecesOf(text: string): Piece[] {
  const pieces: Piece[] = []
  let at = 0
  for (const { 0: found, index } of text.matchAll(link)) {
    const shown = balanced(found)
    if (!URL.canParse(shown)) continue
    if (index > at) pieces.push({ text: text.slice(at, index) })
    pieces.push({ text: shown, href: new URL(shown).href })
    at = index + shown.length
  }
  if (at < text.length) pieces.push({ text: text.slice(at) })
  return pieces
}

/** Without the punctuation after it; a closing bracket stays when it was opened within. */
function balanced(found: string): string {
  const shown = found.replace(trailing, '')
  return found[shown.length] === ')' && shown.includes('(') && !shown.includes(')') ? `${shown})` : shown
}

const emoji = /^\p{RGI_Emoji}$/v
const mostLarge = 6

/** One to six emoji and nothing else are shown large. */
export function isEmojiOnly(text: string): boolean {
  // The longest emoji of all has some fifteen units.
  if (text.length > 16 * mostLarge) return false
  const signs = [...new Intl.Segmenter().segment(text)].map(({ segment }) => segment).filter((sign) => sign.trim())
  return signs.length > 0 && signs.length <= mostLarge && signs.every((sign) => emoji.test(sign))
}
