import { lookalikes } from './lookalikes.ts'

/** Letters by what they look like, each list under what all of it looks like. */
export type Lookalikes = Readonly<Record<string, string>>

const byLetter = (table: Lookalikes): ReadonlyMap<string, string> =>
  new Map(Object.entries(table).flatMap(([look, letters]) => [...letters].map((letter) => [letter, look] as const)))

let ofAscii: ReadonlyMap<string, string> | undefined
const ofMore = new WeakMap<Lookalikes, ReadonlyMap<string, string>>()

/** What is made of a table, made once. */
function lookOf(more: Lookalikes | undefined): (letter: string) => string {
  ofAscii ??= byLetter(lookalikes)
  const ascii = ofAscii
  if (!more) return (letter) => ascii.get(letter) ?? letter
  const others = ofMore.get(more) ?? byLetter(more)
  ofMore.set(more, others)
  return (letter) => ascii.get(letter) ?? others.get(letter) ?? letter
}

/**
 * What a name looks like: two names that a person could take for each other have one skeleton (UTS #39 §4, coarser: case,
 * marks, spaces and punctuation do not count, and 1, I, i and l are one). Not to be shown to anybody.
 */
function skeleton(name: string, more: Lookalikes | undefined): string {
  const letters = name
    .normalize('NFKD')
    .toLowerCase()
    // Marks, what is invisible, and everything but letters and digits.
    .replace(/[^\p{L}\p{N}|]/gu, '')
  return [...letters]
    .map(lookOf(more))
    .join('')
    .replaceAll(/[1i|]/g, 'l')
    .replaceAll('0', 'o')
    .replaceAll('rn', 'm')
    .replaceAll('vv', 'w')
}

/**
 * Whether a name could be taken for another one: by what looks like ASCII, which is small enough for every page, and by the
 * rest of Unicode's table when that is given (`confusables`).
 */
export function looksLike(name: string, other: string, more?: Lookalikes): boolean {
  const look = skeleton(name, more)
  return look !== '' && look === skeleton(other, more)
}

/**
 * Whether a name speaks for the provider: it is, or has among its words, the provider's domain or what stands before the
 * domain's ending.
 */
export function looksLikeProvider(name: string, domain: string, more?: Lookalikes): boolean {
  const labels = domain.replace(/:\d+$/, '').split('.')
  const own = [domain, labels.at(-2) ?? domain].filter((each) => each.length >= 3)
  const words = [name, ...name.split(/[\s\p{P}]+/u)]
  return own.some((each) => words.some((word) => looksLike(word, each, more)))
}
