import { isCode } from './codes.ts'

/** Causes of causes that are described. */
const deepest = 4
const mostFrames = 12

export interface DescribedError {
  readonly name: string
  readonly code?: string
  readonly errcode?: string
  readonly sqlState?: string
  readonly constraint?: string
  readonly status?: number
  readonly retry?: boolean
  /** Where it happened: function, file, line. */
  readonly frames?: readonly string[]
  readonly cause?: DescribedError
}

/**
 * What may be known of an error: its kind and place, never its message. Messages of libraries repeat what they were
 * given: rows, tokens, Matrix ids, pieces of plaintext.
 */
export function describeError(error: unknown, depth = 0): DescribedError {
  if (!(error instanceof Error)) return { name: error === null ? 'null' : typeof error }
  const from = error as Error & Record<string, unknown>
  const codes: Record<string, string> = {}
  for (const field of ['code', 'errcode', 'sqlState', 'constraint']) {
    const value = typeof from[field] === 'number' ? `E${from[field]}` : from[field]
    if (isCode(value)) codes[field] = value
    else if (field === 'sqlState' && /^[0-9A-Z]{5}$/.test(String(value))) codes[field] = String(value)
  }
  const frames = framesOf(error)
  return {
    name: isCode(from.name) ? from.name : 'Error',
    ...codes,
    ...(typeof from.status === 'number' ? { status: from.status } : {}),
    ...(typeof from.retry === 'boolean' ? { retry: from.retry } : {}),
    ...(frames.length > 0 ? { frames } : {}),
    ...(from.cause !== undefined && depth < deepest ? { cause: describeError(from.cause, depth + 1) } : {}),
  }
}

const frame = /^ {4}at (?:async )?(?:([\w.$<>#[\] ]{1,120}) \()?((?:file:\/\/|node:|\/)[^\s()]{1,400}:\d+:\d+)\)?$/

/**
 * The frames of the stack. The stack begins with the message, which may have several lines and even lines that look like
 * frames; so the message is cut off by its length, and the stack is left out when it does not begin with it.
 */
function framesOf(error: Error): string[] {
  const { stack, message } = error
  if (typeof stack !== 'string') return []
  const start = stack.indexOf(message)
  const lineOfName = stack.indexOf('\n')
  if (start < 0 || (message !== '' && lineOfName >= 0 && start > lineOfName)) return []
  return stack
    .slice(start + message.length)
    .split('\n')
    .map((line) => frame.exec(line))
    .filter((match) => match !== null)
    .slice(0, mostFrames)
    .map(([, name, place]) => `${name ?? '-'} ${shorten(place!)}`)
}

/** From the last folder that says where: the machine's own paths are nobody's business. */
function shorten(place: string): string {
  return /(?:node_modules|src|dist|test|scripts)\/.*$/.exec(place)?.[0] ?? /[^/]*$/.exec(place)![0]
}
