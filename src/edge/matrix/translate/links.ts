import type { Fragment } from './fragment.ts'

/** Takes the links whose target `goes` says away, and leaves their text. `taken`: whether there were any. */
export function withoutLinks(nodes: Fragment, goes: (href: string) => boolean): { fragment: Fragment; taken: boolean } {
  let taken = false
  const visit = (list: Fragment): Fragment =>
    list.flatMap((node) => {
      if (typeof node === 'string') return [node]
      const children = visit(node.children)
      const { href } = node.attributes
      if (href === undefined || !goes(href)) return [{ ...node, children }]
      taken = true
      return children
    })
  return { fragment: visit(nodes), taken }
}
