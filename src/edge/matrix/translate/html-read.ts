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
        const bare = (closed.name === 'a' || closed.name === 'span') && Object.keys(closed.attributes).length === 0
        const children = empty.has(closed.name) ? [] : joined(closed.children)
        for (const node of bare ? children : wrap(closed.name, children, closed.attributes)) parent.children.push(node)
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
