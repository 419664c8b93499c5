import { LogError } from '../../audit/log/index.ts'
import { type EntryFilter, facetsOf, matches, readEntry } from '../../audit/reading/index.ts'
import { utf8 } from '../../crypto/index.ts'

/** What is asked for, as the API has it. */
export type Question = Readonly<Record<string, string>>

/** An entry as an answer has it, before anything is proven of it. */
export interface AnsweredEntry extends Placed {
  readonly text: string
}

/**
 * An answer with an entry twice, in another order, or with one that was not asked for, would be added up wrongly.
 *
 * @throws LogError malformed
 */
export function checkAnswer(
  given: readonly AnsweredEntry[],
  question: Question,
  { newest, after }: { newest: boolean; after: Placed | undefined },
): void {
  checkOrder(given, newest, after)
  const filter = filterOf(question)
  for (const { text } of given)
    if (!matches(facetsOf(readEntry(utf8(text))), filter))
      throw new LogError('malformed', 'an answer has an entry that was not asked for')
}

/** The entry stands in its line byte for byte. */
export function splitLine(line: string): AnsweredEntry {
  const { log, index } = JSON.parse(line) as { log: unknown; index: unknown }
  const before = `{"log":${JSON.stringify(log)},"index":${index},"entry":`
  if (typeof log !== 'string' || !Number.isSafeInteger(index) || !line.startsWith(before) || !line.endsWith('}'))
    throw new LogError('malformed', 'an answer is not of this log')
  return { log, index: index as number, text: line.slice(before.length, -1) }
}

interface Placed {
  readonly log: string
  readonly index: number
}

/** Each further on than the one before; names of later years' logs come later. @throws LogError malformed */
function checkOrder(given: readonly Placed[], newest: boolean, after: Placed | undefined): void {
  const all = after ? [after, ...given] : given
  const isBefore = (a: Placed, b: Placed) => (a.log === b.log ? a.index < b.index : a.log < b.log)
  for (const [at, each] of all.entries())
    if (at > 0 && !(newest ? isBefore(each, all[at - 1]!) : isBefore(all[at - 1]!, each)))
      throw new LogError('malformed', 'an answer repeats entries, or has them in another order')
}

function filterOf({ from, to, type, provider, pseudonym, outcome }: Question): EntryFilter {
  const time = (text: string | undefined) => (text === undefined ? undefined : Date.parse(text))
  return { from: time(from), to: time(to), type, provider, pseudonym, outcome }
}
