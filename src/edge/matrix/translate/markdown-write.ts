import { type FlowStyle, writeFlow } from './flow.ts'
import type { Fragment } from './fragment.ts'

const escapeText = (text: string) => text.replace(/[\\`*_[\]<~]/g, '\\$&').replace(/&(?=[#a-zA-Z])/g, '\\&')

/** Marks bind only to a word's edge: spaces inside them are moved outside. */
function marked(inner: string, mark: string): string {
  const [, before = '', body = '', after = ''] = /^(\s*)([\s\S]*?)(\s*)$/.exec(inner) ?? []
  return body === '' ? inner : `${before}${mark}${body}${mark}${after}`
}

/** A code span's fence is longer than any run of backticks inside it (GFM section 6.3). */
function codeSpan(text: string): string {
  if (text === '') return ''
  const longest = Math.max(0, ...(text.match(/`+/g) ?? []).map((run) => run.length))
  const fence = '`'.repeat(longest + 1)
  const pad = /^`|`$|^ .* $/.test(text) ? ' ' : ''
  return `${fence}${pad}${text.replace(/\n/g, ' ')}${pad}${fence}`
}

const style: FlowStyle = {
  text: escapeText,
  inline(element, inner) {
    const href = element.attributes.href
    if (href !== undefined) return `[${inner}](<${href}>)`
    if (element.name === 'strong') return marked(inner, '**')
    if (element.name === 'em') return marked(inner, '*')
    if (element.name === 'del') return marked(inner, '~~')
    if (element.name === 'code') return codeSpan(inner)
    return element.attributes['data-mx-spoiler'] === undefined ? inner : `||${inner}||`
  },
  lineBreak: '  \n',
  // At the start of a line these would begin a heading, a quote, a list, a rule or a table (GFM sections 4 and 5).
  paragraph: (text) =>
    text
      .replace(/^( *)([#>+=-])/gm, '$1\\$2')
      .replace(/^( *)(?=[|:][\s:|-]*$)/gm, '$1\\')
      .replace(/^( *)(\d{1,9})([.)])(?=\s|$)/gm, '$1$2\\$3'),
  heading: (level, text) => `${'#'.repeat(level)} ${text}`,
  codeBlock(text, language) {
    const longest = Math.max(2, ...(text.match(/`+/g) ?? []).map((run) => run.length))
    const fence = '`'.repeat(longest + 1)
    return `${fence}${language ?? ''}\n${text}\n${fence}`
  },
  rule: '---',
  cell: (text) => text.replace(/\|/g, '\\|'),
  underHeader: (columns) => `|${' --- |'.repeat(columns)}`,
  row: (cells) => `| ${cells.join(' | ')} |`,
}

/** A fragment as GitHub Flavored Markdown without raw HTML (GFM-MIMI, draft-ietf-mimi-content-08 section 7.1.1). */
export const writeMarkdown = (nodes: Fragment): string => writeFlow(nodes, style)
