import { type Element, type Fragment, isBlock, type Node, textOf } from './fragment.ts'

/** How a line-based format writes what a fragment holds; layout (lists, quotes, blank lines) is the same for all. */
export interface FlowStyle {
  /** Running text, white space already collapsed. */
  text(text: string): string
  inline(element: Element, inner: string): string
  lineBreak: string
  /** A finished paragraph, which starts a line. */
  paragraph(text: string): string
  heading(level: number, text: string): string
  codeBlock(text: string, language: string | undefined): string
  rule: string
  cell(text: string): string
  /** A line under a table's first row, given the number of columns. */
  underHeader(columns: number): string | undefined
  row(cells: readonly string[]): string
}

/** Writes a fragment as lines: paragraphs apart by a blank line, list items and rows below each other. */
export function writeFlow(nodes: Fragment, style: FlowStyle): string {
  return flow(nodes, style).trim()
}

function inlineText(nodes: Fragment, style: FlowStyle): string {
  return nodes
    .map((node) => {
      if (typeof node === 'string') return style.text(node.replace(/[ \t\r\n]+/g, ' '))
      if (node.name === 'br') return style.lineBreak
      const code = node.name === 'code' ? textOf(node.children) : undefined
      return style.inline(node, code ?? inlineText(node.children, style))
    })
    .join('')
}

/** Runs of inline nodes become paragraphs of their own between the blocks. */
function flow(nodes: Fragment, style: FlowStyle): string {
  const parts: string[] = []
  let run: Node[] = []
  const endRun = () => {
    const text = inlineText(run, style)
      .split('\n')
      .map((line, index) => (index === 0 ? line.trimStart() : line.replace(/^ /, '')))
      .join('\n')
      .trim()
    run = []
    if (text !== '') parts.push(style.paragraph(text))
  }
  for (const node of nodes) {
    if (!isBlock(node)) {
      run.push(node)
      continue
    }
    endRun()
    const text = block(node, style)
    if (text !== '') parts.push(text)
  }
  endRun()
  return parts.join('\n\n')
}

function block(element: Element, style: FlowStyle): string {
  const { name, children } = element
  if (name === 'hr') return style.rule
  if (name === 'pre') {
    const code = children.find((child): child is Element => typeof child !== 'string' && child.name === 'code')
    return style.codeBlock(textOf(children).replace(/\n$/, ''), code?.attributes.class?.replace(/^language-/, ''))
  }
  if (name === 'blockquote') return prefixed(flow(children, style), '> ', '> ')
  if (name === 'ul' || name === 'ol') return list(element, style)
  if (name === 'li') return prefixed(flow(children, style), '- ', '  ')
  if (name === 'table') return table(element, style)
  if (/^h[1-6]$/.test(name)) {
    return style.heading(Number(name.slice(1)), inlineText(children, style).replace(/\s+/g, ' ').trim())
  }
  return flow(children, style)
}

const prefixed = (text: string, first: string, rest: string) =>
  text
    .split('\n')
    .map((line, index) => `${index === 0 ? first : line === '' ? rest.trimEnd() : rest}${line}`.trimEnd())
    .join('\n')

function list(element: Element, style: FlowStyle): string {
  let number = element.name === 'ol' ? Number(element.attributes.start ?? '1') : 0
  const items: string[] = []
  for (const child of element.children) {
    if (typeof child === 'string' && child.trim() === '') continue
    const content = typeof child !== 'string' && child.name === 'li' ? child.children : [child]
    const marker = element.name === 'ol' ? `${number++}. ` : '- '
    // A nested list follows its item's text on the next line, without the blank line of two paragraphs.
    const text = flow(content, style).replace(/\n\n(?=(?:- |\d+\. ))/g, '\n')
    items.push(prefixed(text, marker, ' '.repeat(marker.length)))
  }
  return items.join('\n')
}

function table(element: Element, style: FlowStyle): string {
  const rows: string[][] = []
  const visit = (nodes: Fragment) => {
    for (const node of nodes) {
      if (typeof node === 'string') continue
      if (node.name === 'tr') {
        const cells = node.children.filter((cell): cell is Element => typeof cell !== 'string')
        rows.push(cells.map((cell) => style.cell(flow(cell.children, style).replace(/\s*\n\s*/g, ' '))))
      } else visit(node.children)
    }
  }
  visit(element.children)
  const columns = Math.max(0, ...rows.map((row) => row.length))
  const lines = rows.map((row) => style.row([...row, ...Array<string>(columns - row.length).fill('')]))
  const under = lines.length === 0 ? undefined : style.underHeader(columns)
  if (under !== undefined) lines.splice(1, 0, under)
  return lines.join('\n')
}
