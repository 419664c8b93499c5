import { type ElementName, type Fragment, joined, type Node, safeHref, wrap } from './fragment.ts'

/** A run of `*`, `_` or `~~` that may open or close emphasis (GFM section 6.4). */
interface Delimiter {
  at: number
  mark: string
  count: number
  original: number
  opens: boolean
  closes: boolean
}
interface Bracket {
  at: number
  delimiters: number
  image: boolean
}

/** Marks waiting for their other half. More than anyone nests; without a bound, time would grow with the square. */
const maximumOpeners = 128

const punctuation = /[\p{P}\p{S}]/u
const space = /\s/
const named: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'", nbsp: '\u00a0' }
const entity = /&(?:(amp|lt|gt|quot|apos|nbsp)|#(\d{1,7})|#[xX]([0-9a-fA-F]{1,6}));/y
const autolink = /<((?:https?|mailto|mimi):[^\s<>]{1,2048})>/y
/** `(destination "title")` after a `]`; both bounded, so that a source full of brackets costs no more than its length. */
const destination =
  /\(\s{0,9}(?:<([^<>\n]{0,2048})>|([^\s<>()]{0,2048}(?:\([^\s<>()]{0,2048}\)[^\s<>()]{0,2048})?))(?:\s{1,9}(?:"[^"]{0,512}"|'[^']{0,512}'))?\s{0,9}\)/y

/**
 * Reads the inline part of GFM-MIMI: emphasis, strikethrough, code, links, autolinks in angle brackets, line breaks.
 * Tags are text. Time grows with the length of the source, not with its square.
 */
export function readInline(source: string): Fragment {
  const out: Fragment[] = []
  const delimiters: Delimiter[] = []
  const brackets: Bracket[] = []
  const fences = fencesOf(source)
  let text = ''
  let position = 0
  /** Brackets below this height stand before a finished link and can no longer become one: no link in a link. */
  let spent = 0
  const endText = () => {
    if (text !== '') out.push([text])
    text = ''
  }
  const match = (pattern: RegExp): RegExpExecArray | null => {
    pattern.lastIndex = position
    return pattern.exec(source)
  }

  while (position < source.length) {
    const character = source[position] ?? ''
    if (character === '\\') {
      const next = source[position + 1]
      if (next === '\n') {
        endText()
        out.push(wrap('br', []))
      } else if (next !== undefined && /[!-/:-@[-`{-~]/.test(next)) text += next
      else {
        text += '\\'
        position += 1
        continue
      }
      position += 2
    } else if (character === '\n') {
      text = text.replace(/ +$/, '')
      endText()
      // A chat's line break is meant as one; GFM leaves it to the renderer (section 6.13).
      out.push(wrap('br', []))
      position += 1
      while (source[position] === ' ') position += 1
    } else if (character === '`') {
      const length = runLength(source, position)
      const close = fences.closing(position + length, length)
      if (close === undefined) text += '`'.repeat(length)
      else {
        endText()
        let code = source.slice(position + length, close).replace(/\n/g, ' ')
        if (/^ .*[^ ].* $|^ [^ ] $/.test(code)) code = code.slice(1, -1)
        out.push(wrap('code', [code]))
        position = close
      }
      position += length
    } else if (character === '*' || character === '_' || character === '~') {
      const length = runLength(source, position)
      if (character === '~' && length > 2) text += source.slice(position, position + length)
      else {
        endText()
        delimiters.push(delimiterAt(source, position, length, character, out.length))
        out.push([source.slice(position, position + length)])
      }
      position += length
    } else if (character === '[' || (character === '!' && source[position + 1] === '[')) {
      endText()
      const image = character === '!'
      brackets.push({ at: out.length, delimiters: delimiters.length, image })
      out.push([image ? '![' : '['])
      position += image ? 2 : 1
    } else if (character === ']') {
      position += 1
      const opener = brackets.pop()
      const live = opener?.image === true || brackets.length >= spent
      const found = live && source[position] === '(' ? match(destination) : null
      spent = Math.min(spent, brackets.length)
      if (opener === undefined || found === null) text += ']'
      else {
        endText()
        pairEmphasis(out, delimiters, opener.delimiters)
        const inner = joined(withoutLinks(out.splice(opener.at).slice(1).flat()))
        const href = safeHref(unescaped(found[1] ?? found[2] ?? ''))
        const label = inner.length === 0 && href !== undefined ? [href] : inner
        out.push(href === undefined ? label : wrap('a', label, { href }))
        if (!opener.image) spent = brackets.length
        position += found[0].length
      }
    } else if (character === '<') {
      const found = match(autolink)
      const href = found?.[1] === undefined ? undefined : safeHref(found[1])
      if (found === null || href === undefined) {
        text += '<'
        position += 1
      } else {
        endText()
        out.push(wrap('a', [href.replace(/^mailto:/, '')], { href }))
        position += found[0].length
      }
    } else if (character === '&') {
      const found = match(entity)
      text += found === null ? '&' : decoded(found)
      position += found?.[0].length ?? 1
    } else {
      text += character
      position += 1
    }
  }
  endText()
  pairEmphasis(out, delimiters, 0)
  return joined(out.flat())
}

/** A picture inside a link has become a link to the picture; the outer link wins. */
const withoutLinks = (nodes: Fragment): Fragment =>
  nodes.flatMap((node) => (typeof node !== 'string' && node.name === 'a' ? node.children : [node]))

function runLength(source: string, position: number): number {
  let end = position
  while (source[end] === source[position] && end < source.length) end += 1
  return end - position
}

function decoded(found: RegExpExecArray): string {
  if (found[1] !== undefined) return named[found[1]] ?? ''
  const point = found[2] === undefined ? Number.parseInt(found[3] ?? '0', 16) : Number(found[2])
  return point === 0 || point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff)
    ? '\ufffd'
    : String.fromCodePoint(point)
}

const unescaped = (text: string) => text.replace(/\\([!-/:-@[-`{-~])/g, '$1')

/** Where code spans can end: all runs of backticks, looked up by their length in one pass over the source. */
function fencesOf(source: string) {
  const starts = new Map<number, number[]>()
  for (const run of source.matchAll(/`+/g)) {
    const list = starts.get(run[0].length) ?? []
    list.push(run.index)
    starts.set(run[0].length, list)
  }
  return {
    closing(from: number, length: number): number | undefined {
      const list = starts.get(length)
      while (list !== undefined && list[0] !== undefined && list[0] < from) list.shift()
      return list?.[0]
    },
  }
}

/** Left- and right-flanking (GFM section 6.4); `_` does not work inside a word. */
function delimiterAt(source: string, position: number, count: number, mark: string, at: number): Delimiter {
  const before = source[position - 1] ?? ' '
  const after = source[position + count] ?? ' '
  const left = !space.test(after) && (!punctuation.test(after) || space.test(before) || punctuation.test(before))
  const right = !space.test(before) && (!punctuation.test(before) || space.test(after) || punctuation.test(after))
  return {
    at,
    mark,
    count,
    original: count,
    opens: mark === '_' ? left && (!right || punctuation.test(before)) : left,
    closes: mark === '_' ? right && (!left || punctuation.test(after)) : right,
  }
}

/** The "process emphasis" procedure of GFM, appendix "parsing strategy": each closer looks back no further than the last that failed. */
function pairEmphasis(out: Fragment[], delimiters: Delimiter[], bottom: number): void {
  const stack: Delimiter[] = []
  const failed = new Map<string, number>()
  for (const closer of delimiters.splice(bottom)) {
    while (closer.closes && closer.count > 0) {
      const key = `${closer.mark}${closer.opens}${closer.original % 3}${closer.mark === '~' ? closer.count : ''}`
      const floor = failed.get(key) ?? 0
      let index = stack.length - 1
      while (index >= floor && !matches(stack[index], closer)) index -= 1
      const opener = stack[index]
      if (index < floor || opener === undefined) {
        failed.set(key, stack.length)
        break
      }
      stack.length = index + 1
      for (const [other, mark] of failed) if (mark > stack.length) failed.set(other, stack.length)
      const used = closer.mark === '~' ? closer.count : opener.count >= 2 && closer.count >= 2 ? 2 : 1
      const name: ElementName = closer.mark === '~' ? 'del' : used === 2 ? 'strong' : 'em'
      const inner: Node[] = []
      for (let slot = opener.at + 1; slot < closer.at; slot += 1) {
        for (const node of out[slot] ?? []) inner.push(node)
        out[slot] = []
      }
      opener.count -= used
      closer.count -= used
      out[opener.at] = [opener.mark.repeat(opener.count)]
      out[closer.at] = [closer.mark.repeat(closer.count)]
      // Two runs of one mark always have something between them: that slot takes the pair, theirs keep the marks left over.
      out[opener.at + 1] = wrap(name, joined(inner))
      if (opener.count === 0) stack.length = index
    }
    if (closer.opens && closer.count > 0 && stack.length < maximumOpeners) stack.push(closer)
  }
}

function matches(opener: Delimiter | undefined, closer: Delimiter): boolean {
  if (opener === undefined || opener.mark !== closer.mark || !opener.opens) return false
  if (opener.mark === '~') return opener.count === closer.count
  // The rule of three (GFM section 6.4, rules 9 and 10).
  const both = (opener.closes || closer.opens) && (opener.original + closer.original) % 3 === 0
  return !both || (opener.original % 3 === 0 && closer.original % 3 === 0)
}
