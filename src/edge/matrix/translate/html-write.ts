import type { Fragment } from './fragment.ts'

const escapes: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' }

/** Text as it stands between tags or in a quoted attribute. */
const escapeHtml = (text: string): string => text.replace(/[&<>"]/g, (character) => escapes[character] ?? '')

/** Writes a fragment as HTML. Everything in it comes from the allow-list or is escaped. */
export function writeHtml(nodes: Fragment): string {
  return nodes
    .map((node) => {
      if (typeof node === 'string') return escapeHtml(node)
      const attributes = Object.entries(node.attributes)
        .map(([name, value]) => (value === '' ? ` ${name}` : ` ${name}="${escapeHtml(value)}"`))
        .join('')
      if (node.name === 'br' || node.name === 'hr') return `<${node.name}>`
      return `<${node.name}${attributes}>${writeHtml(node.children)}</${node.name}>`
    })
    .join('')
}
