import { type Fragment, maximumSource, type Node, wrap } from './fragment.ts'
import { readInline } from './markdown-inline.ts'

/** Quotes and lists inside each other; what is deeper is read as text. Every level reads its lines once more. */
const maximumNesting = 12

/**
 * Reads GitHub Flavored Markdown as MIMI content uses it: no raw HTML (tags are text), no bare-link extension
 * (draft-ietf-mimi-content-08 section 7.1.1). Link reference definitions are not followed. Never throws on any text.
 * Undefined when the source is longer than {@link maximumSource} UTF-16 units.
 */
export function readMarkdown(source: string): Fragment | undefined {
  if (source.length > maximumSource) return undefined
  return blocks(source.replace(/\r\n?/g, '\n').replace(/\t/g, '    ').replace(/\0/g, '\ufffd').split('\n'), 0)
}

const fence = /^( {0,3})(`{3,}|~{3,})\s*([^\s`]*)[^`]*$/
const heading = /^ {0,3}(#{1,6})(?:\s+(.*?))?(?:\s+#+)?\s*$/
const rule = /^ {0,3}(?:(?:\*\s*){3,}|(?:-\s*){3,}|(?:_\s*){3,})$/
const quote = /^ {0,3}> ?/
const item = /^( {0,3})([-+*]|(\d{1,9})[.)])(?:( {1,4})(?=\S)|( *)$|( )(?= {4}))/
const underline = /^ {0,3}(=+|-+)\s*$/
const delimiterRow = /^ {0,3}\|?\s*:?-+:?\s*(?:\|\s*:?-+:?\s*)*\|?\s*$/
const blank = (line: string | undefined) => line === undefined || /^\s*$/.test(line)

/** Whether a line ends a paragraph above it; an empty item, or a list that does not start at 1, does not (GFM 5.2). */
function interrupts(line: string): boolean {
  const list = item.exec(line)
  return (
    blank(line) ||
    fence.test(line) ||
    heading.test(line) ||
    rule.test(line) ||
    quote.test(line) ||
    (list !== null && list[5] === undefined && (list[3] === undefined || list[3] === '1'))
  )
}

function blocks(lines: readonly string[], nesting: number): Fragment {
  const out: Node[] = []
  const put = (nodes: Fragment) => {
    for (const node of nodes) out.push(node)
  }
  let at = 0
  while (at < lines.length) {
    const line = lines[at] ?? ''
    if (blank(line)) {
      at += 1
      continue
    }
    const nested = nesting < maximumNesting
    const fenced = fence.exec(line)
    const titled = heading.exec(line)
    if (fenced !== null) {
      const end = endOfFence(lines, at, fenced[2] ?? '```')
      const indent = new RegExp(`^ {0,${(fenced[1] ?? '').length}}`)
      const code = lines.slice(at + 1, end).map((text) => text.replace(indent, ''))
      put(codeBlock(code, fenced[3] ?? ''))
      at = end + 1
    } else if (/^ {4}/.test(line)) {
      let end = at
      while (end < lines.length && (/^ {4}/.test(lines[end] ?? '') || blank(lines[end]))) end += 1
      while (blank(lines[end - 1])) end -= 1
      put(
        codeBlock(
          lines.slice(at, end).map((text) => text.slice(4)),
          '',
        ),
      )
      at = end
    } else if (titled !== null) {
      const level = (titled[1]?.length ?? 1) as 1 | 2 | 3 | 4 | 5 | 6
      put(wrap(`h${level}`, readInline(titled[2] ?? '')))
      at += 1
    } else if (rule.test(line)) {
      put(wrap('hr', []))
      at += 1
    } else if (nested && quote.test(line)) {
      const end = endOfQuote(lines, at)
      put(
        wrap(
          'blockquote',
          blocks(
            lines.slice(at, end).map((text) => text.replace(quote, '')),
            nesting + 1,
          ),
        ),
      )
      at = end
    } else if (nested && item.test(line)) {
      at = list(lines, at, nesting, put)
    } else if (
      line.includes('|') &&
      delimiterRow.test(lines[at + 1] ?? '') &&
      columns(line) === columns(lines[at + 1])
    ) {
      at = table(lines, at, put)
    } else at = paragraph(lines, at, put)
  }
  return out
}

const codeBlock = (lines: readonly string[], language: string): Fragment => {
  const known = /^[A-Za-z0-9+#._-]{1,32}$/.test(language)
  return wrap('pre', wrap('code', [`${lines.join('\n')}\n`], known ? { class: `language-${language}` } : {}))
}

function endOfFence(lines: readonly string[], start: number, marks: string): number {
  const close = new RegExp(`^ {0,3}\\${marks[0]}{${marks.length},}\\s*$`)
  let end = start + 1
  while (end < lines.length && !close.test(lines[end] ?? '')) end += 1
  return end
}

/** A paragraph in a quote goes on in a line without its mark (GFM section 5.1, laziness). */
function endOfQuote(lines: readonly string[], start: number): number {
  let end = start + 1
  while (end < lines.length) {
    const line = lines[end] ?? ''
    const above = (lines[end - 1] ?? '').replace(quote, '')
    if (!quote.test(line) && (blank(above) || interrupts(line) || interrupts(above) || item.test(above))) break
    end += 1
  }
  return end
}

function paragraph(lines: readonly string[], start: number, put: (nodes: Fragment) => void): number {
  let end = start + 1
  while (end < lines.length && !underline.test(lines[end] ?? '') && !interrupts(lines[end] ?? '')) end += 1
  const text = lines
    .slice(start, end)
    .map((line) => line.replace(/^ +/, ''))
    .join('\n')
  const under = underline.exec(lines[end] ?? '')
  if (under !== null) put(wrap(under[1]?.startsWith('=') ? 'h1' : 'h2', readInline(text.trimEnd())))
  else put(wrap('p', readInline(text.trimEnd())))
  return under === null ? end : end + 1
}

function list(lines: readonly string[], start: number, nesting: number, put: (nodes: Fragment) => void): number {
  const first = item.exec(lines[start] ?? '')
  const kind = (found: RegExpExecArray | null) => found?.[2]?.slice(-1)
  const items: string[][] = []
  let loose = false
  let at = start
  for (;;) {
    const found = item.exec(lines[at] ?? '')
    if (found === null || kind(found) !== kind(first) || rule.test(lines[at] ?? '')) break
    const indent = (found[1] ?? '').length + (found[2] ?? '').length + (found[4]?.length ?? 1)
    const content = [(lines[at] ?? '').slice(indent)]
    at += 1
    let blanks = 0
    while (at < lines.length) {
      const line = lines[at] ?? ''
      if (blank(line)) blanks += 1
      else if (line.startsWith(' '.repeat(indent))) {
        if (blanks > 0 && content.some((text) => !blank(text))) loose = true
        for (; blanks > 0; blanks -= 1) content.push('')
        content.push(line.slice(indent))
      } else if (blanks === 0 && !interrupts(line) && !item.test(line)) content.push(line.trimStart())
      else break
      at += 1
    }
    items.push(content)
    if (blanks > 0 && kind(item.exec(lines[at] ?? '')) === kind(first)) loose = true
  }
  const children = items.flatMap((content) => {
    const inner = blocks(content, nesting + 1)
    // In a tight list an item's text is no paragraph of its own (GFM section 5.3).
    return wrap(
      'li',
      loose ? inner : inner.flatMap((node) => (typeof node !== 'string' && node.name === 'p' ? node.children : [node])),
    )
  })
  const from = first?.[3]
  if (from === undefined) put(wrap('ul', children))
  else put(wrap('ol', children, Number(from) === 1 ? {} : { start: String(Number(from)) }))
  return at
}

const cells = (row: string): string[] =>
  row
    .trim()
    .replace(/^\|/, '')
    .replace(/(?<!\\)\|$/, '')
    .split(/(?<!\\)\|/)
    .map((cell) => cell.trim().replace(/\\\|/g, '|'))
const columns = (row: string | undefined): number => cells(row ?? '').length

function table(lines: readonly string[], start: number, put: (nodes: Fragment) => void): number {
  const width = columns(lines[start])
  const row = (line: string, name: 'th' | 'td') =>
    wrap(
      'tr',
      [...cells(line), ...Array<string>(width).fill('')]
        .slice(0, width)
        .flatMap((cell) => wrap(name, readInline(cell))),
    )
  let end = start + 2
  while (end < lines.length && !interrupts(lines[end] ?? '')) end += 1
  const body = lines.slice(start + 2, end).flatMap((line) => row(line, 'td'))
  const head = wrap('thead', row(lines[start] ?? '', 'th'))
  put(wrap('table', body.length === 0 ? head : [...head, ...wrap('tbody', body)]))
  return end
}
