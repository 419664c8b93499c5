import { clearLine, createInterface, cursorTo } from 'node:readline'

export interface Terminal {
  /** Prints a line without disturbing what is being typed. */
  print(line: string): void
  /**
   * Lines that are typed or piped in, one at a time: the next is read when this one has been dealt with. `typed` is told at
   * each key what stands there by then.
   */
  lines(prompt: () => string, typed: (line: string) => void): AsyncIterable<string>
}

/** The process's own terminal; with input or output piped, plain lines without a prompt. */
export function openTerminal(input = process.stdin, output = process.stdout): Terminal {
  const interactive = Boolean(input.isTTY && output.isTTY)
  let redraw: (() => void) | undefined
  return {
    print(line) {
      if (redraw) {
        clearLine(output, 0)
        cursorTo(output, 0)
      }
      output.write(`${withoutControls(line)}\n`)
      redraw?.()
    },
    async *lines(prompt, typed) {
      const reader = createInterface({ input, output: interactive ? output : undefined, terminal: interactive })
      reader.on('SIGINT', () => reader.close())
      if (interactive) {
        redraw = () => {
          reader.setPrompt(prompt())
          reader.prompt(true)
        }
        redraw()
        input.on('keypress', () => typed(reader.line))
      }
      try {
        for await (const line of reader) {
          yield line
          redraw?.()
        }
      } finally {
        redraw = undefined
        reader.close()
      }
    },
  }
}

/** A stranger's message must not move the cursor, change colours or forge a line of this program. */
function withoutControls(text: string): string {
  return text
    .replace(/\r\n?|\n/g, '\n      ')
    .replaceAll('\t', '    ')
    .replace(/[\p{Cc}\p{Bidi_Control}]/gu, (character) => (character === '\n' ? '\n' : '�'))
}
