import { type FlowStyle, writeFlow } from './flow.ts'
import type { Fragment } from './fragment.ts'

const style: FlowStyle = {
  text: (text) => text,
  inline(element, inner) {
    const href = element.attributes.href
    if (href !== undefined && !href.startsWith('mimi:') && !/^https:\/\/matrix\.to\//.test(href)) {
      return inner === href || `mailto:${inner}` === href || inner === ''
        ? href.replace(/^mailto:/, '')
        : `${inner} (${href})`
    }
    return element.attributes['data-mx-spoiler'] === undefined ? inner : `||${inner}||`
  },
  lineBreak: '\n',
  paragraph: (text) => text,
  heading: (_level, text) => text,
  codeBlock: (text) => text,
  rule: '---',
  cell: (text) => text,
  underHeader: () => undefined,
  row: (cells) => cells.join(' | '),
}

/** A fragment as a person would type it without any formatting: what notifications and plain clients show. */
export const writePlain = (nodes: Fragment): string => writeFlow(nodes, style)
