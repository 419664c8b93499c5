/**
 * Formatted text as a tree of allowed elements: what every reader (Matrix HTML, MIMI HTML, GFM-MIMI Markdown) gives and
 * every writer takes. Whatever is not in these tables cannot be said in it, so what is written from a fragment is clean
 * whoever wrote the source.
 *
 * The elements are those of the Matrix specification, client-server API v1.13, section 11.2.1.7 "m.room.message
 * msgtypes" (recommended HTML subset), with synonyms folded together: b → strong, i → em, s and strike → del.
 */

export type ElementName =
  | 'p'
  | 'div'
  | 'blockquote'
  | 'pre'
  | 'h1'
  | 'h2'
  | 'h3'
  | 'h4'
  | 'h5'
  | 'h6'
  | 'ul'
  | 'ol'
  | 'li'
  | 'table'
  | 'caption'
  | 'thead'
  | 'tbody'
  | 'tr'
  | 'th'
  | 'td'
  | 'details'
  | 'summary'
  | 'hr'
  | 'br'
  | 'a'
  | 'code'
  | 'del'
  | 'em'
  | 'span'
  | 'strong'
  | 'sub'
  | 'sup'
  | 'u'

export interface Element {
  readonly name: ElementName
  readonly attributes: Readonly<Record<string, string>>
  readonly children: Fragment
  /** Elements from here down to the deepest one, this one counted. */
  readonly height: number
}
export type Node = string | Element
export type Fragment = readonly Node[]

/**
 * The specification advises 100 levels. Writers recurse, so the bound also keeps a hostile tree from exhausting the
 * stack; 32 is deeper than anything a person writes.
 */
export const maximumHeight = 32
/** UTF-16 units of HTML or Markdown that are read at all; a Matrix event as a whole has at most 65,536 bytes. */
export const maximumSource = 65_536
/** Nodes in one fragment: bounds memory for sources that are all tags. */
export const maximumNodes = 8_192
/** Longer links are kept as their text. */
const maximumHref = 2_048

const blocks: ReadonlySet<ElementName> = new Set<ElementName>([
  'p',
  'div',
  'blockquote',
  'pre',
  'h1',
  'h2',
  'h3',
  'h4',
  'h5',
  'h6',
  'ul',
  'ol',
  'li',
  'table',
  'caption',
  'thead',
  'tbody',
  'tr',
  'details',
  'summary',
  'hr',
])
export const isBlock = (node: Node): node is Element => typeof node !== 'string' && blocks.has(node.name)

/** A new element around `children`, or the children alone where it would stand higher than the bound. */
export function wrap(
  name: ElementName,
  children: Fragment,
  attributes: Readonly<Record<string, string>> = {},
): Fragment {
  let height = 0
  for (const child of children) if (typeof child !== 'string' && child.height > height) height = child.height
  return height >= maximumHeight ? children : [{ name, attributes, children, height: height + 1 }]
}

/** Neighbouring texts joined, empty ones left out. */
export function joined(nodes: Fragment): Fragment {
  const out: Node[] = []
  for (const node of nodes) {
    const last = out.at(-1)
    if (node === '') continue
    if (typeof node === 'string' && typeof last === 'string') out[out.length - 1] = last + node
    else out.push(node)
  }
  return out
}

/** All text of a fragment, without any layout. */
export function textOf(nodes: Fragment): string {
  return nodes
    .map((node) => (typeof node === 'string' ? node : node.name === 'br' ? '\n' : textOf(node.children)))
    .join('')
}

/** Whether the fragment says more than its plain text does. */
export function isFormatted(nodes: Fragment): boolean {
  return nodes.some(
    (node) =>
      typeof node !== 'string' &&
      ((node.name !== 'p' && node.name !== 'br' && node.name !== 'div') || isFormatted(node.children)),
  )
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: naming them is the point
const unfitForLink = /[\u0000-\u0020\u007f-\u009f"<>\\^`{|}]/
const allowedLink = /^(?:https?:\/\/[^/]|mailto:[^@]+@|mimi:\/\/[^/])/i

/**
 * A link that may cross, or undefined. Only schemes of the list, spelt at the very start: browsers drop tabs and line
 * breaks inside a scheme, which is how `java\nscript:` passes a careless check.
 */
export function safeHref(href: string): string | undefined {
  const trimmed = href.trim()
  return trimmed.length <= maximumHref && allowedLink.test(trimmed) && !unfitForLink.test(trimmed) ? trimmed : undefined
}
