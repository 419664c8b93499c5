import type { Member } from '../../client/index.ts'

/** What could make a name look like another one, or like more than a name: control characters, and what turns text around. */
const unseen = /[\p{Cc}\p{Cf}\p{Co}\p{Cn}]/gu
const longest = 64

/** A name as it may be shown; undefined when nothing is left of it. */
export function shownName(name: string | undefined): string | undefined {
  const shown = name?.replace(unseen, (mark) => (mark === '\u200d' ? mark : ''))?.trim() ?? ''
  return shown ? [...shown].slice(0, longest).join('') : undefined
}

/** The name that a member gave itself; a guest's is marked where it is shown. */
export const nameOf = (member: Member | undefined): string | undefined => shownName(member?.profile?.name)

/** One or two letters for the round picture in a name's place. */
export function initialsOf(name: string): string {
  const segmenter = new Intl.Segmenter()
  const first = (word: string) => [...segmenter.segment(word)][0]?.segment ?? ''
  // Without what surrounds a name, such as brackets.
  const spoken = name.replaceAll(/\p{Cf}(?<!\u200d)/gu, '').split(/\s+/)
  const letters = spoken.filter((word) => /^[\p{L}\p{N}\p{Emoji}]/u.test(word)).map(first)
  return letters.length > 1 ? `${letters[0]}${letters.at(-1)}` : (letters[0] ?? '')
}
