import type { Fragment } from './fragment.ts'

/**
 * Links with the targets that `target` gives them; where it gives none the link goes and its text stays. `taken`: whether
 * that happened.
 */
export function withLinks(
  nodes: Fragment,
  target: (href: string) => string | undefined,
): { fragment: Fragment; taken: boolean } {
  let taken = false
  const visit = (list: Fragment): Fragment =>
    list.flatMap((node) => {
      if (typeof node === 'string') return [node]
      const children = visit(node.children)
      const { href } = node.attributes
      if (href === undefined) return [{ ...node, children }]
      const to = target(href)
      if (to !== undefined) return [{ ...node, children, attributes: { ...node.attributes, href: to } }]
      taken = true
      return children
    })
  return { fragment: visit(nodes), taken }
}

/** The Matrix id that a link of a mention points to (Matrix specification, appendix "matrix.to navigation"). */
export function mentionedIn(href: string): string | undefined {
  const [, encoded] = /^https?:\/\/matrix\.to\/#\/((?:@|%40)[^/?#]+)/i.exec(href) ?? []
  if (encoded === undefined) return undefined
  try {
    return decodeURIComponent(encoded)
  } catch {
    return encoded
  }
}

export const mentionLink = (mxid: string) => `https://matrix.to/#/${encodeURIComponent(mxid).replace(/^%40/, '@')}`
