import { Parser } from 'htmlparser2'
import {
  type ElementName,
  type Fragment,
  joined,
  maximumHeight,
  maximumNodes,
  maximumSource,
  type Node,
  safeHref,
  wrap,
} from './fragment.ts'

const synonyms: Readonly<Record<string, ElementName>> = {
  b: 'strong',
  i: 'em',
  s: 'del',
  strike: 'del',
  font: 'span',
}
const kept = new Set<string>(
  (
    'p div blockquote pre h1 h2 h3 h4 h5 h6 ul ol li table caption thead tbody tr th td details summary hr br ' +
    'a code del em span strong sub sup u'
  ).split(' '),
)
const empty = new Set<string>(['br', 'hr'])
/** Elements that vanish with all they contain; every other unknown element leaves its contents. */
const swallowed = new Set<string>(
  'script style title template iframe object embed noscript svg math mx-reply head textarea select'.split(' '),
)

/**
 * Elements that a tag ends when it stands directly in one of them (HTML standard, 13.1.2.4 "Optional tags", and what the
 * parser does besides). The parser goes by its own tags; an element that was left out of a fragment (a link without a
 * target, an unknown name) may have stood between the two, so the same holds once more for what is left.
 */
const ends = new Map<ElementName, ReadonlySet<ElementName>>(
  (
    [
      ['p div blockquote pre ul ol table details hr', 'p'],
      ['h1 h2 h3 h4 h5 h6', 'h1 h2 h3 h4 h5 h6 p'],
      ['li', 'li'],
      ['a', 'a'],
      ['tr', 'tr th td'],
      ['th td', 'thead th td'],
      ['tbody', 'thead tbody'],
    ] as const
  ).flatMap(([starting, ended]) =>
    starting.split(' ').map((name) => [name as ElementName, new Set(ended.split(' ') as ElementName[])] as const),
  ),
)

const colour = /^#[0-9a-f]{6}$/i
const language = /^language-[A-Za-z0-9+#._-]{1,32}$/

/** What of an element's attributes may stay; everything else, event handlers and styles included, is not even looked at. */
function allowedAttributes(name: ElementName, given: Readonly<Record<string, string>>): Record<string, string> {
  const out: Record<string, string> = {}
  const keep = (attribute: string, fits: RegExp, from = attribute) => {
    const value = given[from]
    if (value !== undefined && fits.test(value)) out[attribute] = value
  }
  if (name === 'a') {
    const href = given.href === undefined ? undefined : safeHref(given.href)
    if (href !== undefined) out.href = href
  } else if (name === 'ol') keep('start', /^\d{1,9}$/)
  else if (name === 'code') {
    const first = given.class?.split(/\s/).find((word) => language.test(word))
    if (first !== undefined) out.class = first
  } else if (name === 'span') {
    keep('data-mx-color', colour, 'color')
    keep('data-mx-color', colour)
    keep('data-mx-bg-color', colour)
    keep('data-mx-spoiler', /^[^<>]{0,200}$/)
  }
  return out
}

export interface ReadHtml {
  fragment: Fragment
  /** Something that a reader would notice was left out: an image, nesting past the bound. */
  lossy: boolean
}

/**
 * Reads HTML from a stranger into a fragment of allowed elements. Never throws on any text.
 * Undefined when the source is longer than {@link maximumSource} UTF-16 units or has more nodes than
 * {@link maximumNodes}: its plain text is to be used then.
 */
export function readHtml(source: string): ReadHtml | undefined {
  if (source.length > maximumSource) return undefined
  interface Open {
    tag: string
    name: ElementName | undefined
    attributes: Record<string, string>
    children: Node[]
  }
  const root: Open = { tag: '', name: undefined, attributes: {}, children: [] }
  const open: Open[] = [root]
  let swallowing = 0
  let levels = 0
  let nodes = 0
  let lossy = false
  const current = () => open[open.length - 1] ?? root

  const parser = new Parser(
    {
      onopentag(tag, given) {
        nodes += 1
        if (swallowing > 0 || swallowed.has(tag)) {
          swallowing += 1
          return
        }
        if (tag === 'img') {
          // Pictures inside text are links to a media store that the other side cannot reach: their text stands for them.
          lossy = true
          current().children.push(given.alt || given.title || '')
        }
        const name = synonyms[tag] ?? (kept.has(tag) ? (tag as ElementName) : undefined)
        const fits = name !== undefined && levels < maximumHeight
        if (name !== undefined && !fits) lossy = true
        if (fits) levels += 1
        open.push({
          tag,
          name: fits ? name : undefined,
          attributes: fits ? allowedAttributes(name, given) : {},
          children: [],
        })
      },
      ontext(text) {
        nodes += 1
        if (swallowing === 0) current().children.push(text)
      },
      onclosetag(tag) {
        if (swallowing > 0) {
          swallowing -= 1
          return
        }
        const closed = open.length > 1 ? open.pop() : undefined
        if (closed === undefined || closed.tag !== tag) return
        const parent = current()
        if (closed.name === undefined) {
          for (const child of closed.children) parent.children.push(child)
          return
        }
        levels -= 1
        const { name } = closed
        const bare = (name === 'a' || name === 'span') && Object.keys(closed.attributes).length === 0
        const children = empty.has(name) ? [] : joined(closed.children)
        if (bare) {
          for (const node of children) parent.children.push(node)
          return
        }
        const next = children.findIndex((node) => typeof node !== 'string' && ends.get(node.name)?.has(name))
        const inside = next < 0 ? children : children.slice(0, next)
        for (const node of wrap(name, inside, closed.attributes)) parent.children.push(node)
        for (const node of next < 0 ? [] : children.slice(next)) parent.children.push(node)
      },
    },
    { decodeEntities: true, lowerCaseTags: true, lowerCaseAttributeNames: true, recognizeSelfClosing: false },
  )
  // In pieces, so that the bound on nodes is met before all of a hostile source has become tree.
  for (let start = 0; start < source.length && nodes <= maximumNodes; start += 4_096) {
    parser.write(source.slice(start, start + 4_096))
  }
  parser.end()
  if (nodes > maximumNodes) return undefined
  return { fragment: joined(root.children), lossy }
}
