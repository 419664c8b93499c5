import { lookalikes } from './lookalikes.ts'

const byLetter = new Map(
  Object.entries(lookalikes).flatMap(([looksLike, letters]) =>
    [...letters].map((letter) => [letter, looksLike] as const),
  ),
)

/**
 * What a name looks like: two names that a person could take for each other have one skeleton (UTS #39 §4, coarser: case,
 * marks, spaces and punctuation do not count, and 1, I, i and l are one). Not to be shown to anybody.
 */
function skeleton(name: string): string {
  const letters = name
    .normalize('NFKD')
    .toLowerCase()
    // Marks, what is invisible, and everything but letters and digits.
    .replace(/[^\p{L}\p{N}|]/gu, '')
  return [...letters]
    .map((letter) => byLetter.get(letter) ?? letter)
    .join('')
    .replaceAll(/[1i|]/g, 'l')
    .replaceAll('0', 'o')
    .replaceAll('rn', 'm')
    .replaceAll('vv', 'w')
}

/** Whether a name could be taken for another one. */
export function looksLike(name: string, other: string): boolean {
  const look = skeleton(name)
  return look !== '' && look === skeleton(other)
}

/**
 * Whether a name speaks for the provider: it is, or has among its words, the provider's domain or what stands before the
 * domain's ending.
 */
export function looksLikeProvider(name: string, domain: string): boolean {
  const labels = domain.replace(/:\d+$/, '').split('.')
  const own = [domain, labels.at(-2) ?? domain].filter((each) => each.length >= 3)
  const words = [name, ...name.split(/[\s\p{P}]+/u)]
  return own.some((each) => words.some((word) => looksLike(word, each)))
}
