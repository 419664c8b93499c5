/**
 * Looks for values in bytes, in the writings in which they might have got there: as they are, as UTF-16, as base64 at any
 * of its three alignments (so also in the middle of something longer that was encoded), as hexadecimal.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { join, relative } from 'node:path'

export interface Canary {
  /** For messages. */
  readonly name: string
  /** At least eight bytes, or it would be found by chance. */
  readonly value: string | Uint8Array
}

export interface Found {
  readonly name: string
  readonly writing: string
  readonly where: string
}

interface Needle {
  readonly name: string
  readonly writing: string
  readonly bytes: Buffer
}

export type Search = (where: string, haystack: Uint8Array) => Found[]

export function searchFor(canaries: readonly Canary[]): Search {
  const needles = canaries.flatMap(writings)
  const byStart = Map.groupBy(needles, ({ bytes }) => bytes.readUInt16LE(0))
  const starts = new Uint8Array(65_536)
  for (const start of byStart.keys()) starts[start] = 1
  return (where, haystack) => {
    const bytes = Buffer.from(haystack.buffer, haystack.byteOffset, haystack.byteLength)
    const found = new Map<Needle, Found>()
    for (let at = 0; at + 1 < bytes.length; at++) {
      const start = bytes[at]! | (bytes[at + 1]! << 8)
      if (starts[start] === 0) continue
      for (const needle of byStart.get(start)!)
        if (!found.has(needle) && bytes.subarray(at, at + needle.bytes.length).equals(needle.bytes))
          found.set(needle, { name: needle.name, writing: needle.writing, where })
    }
    return [...found.values()]
  }
}

/** Every file below a folder, with its path in it. */
export function* filesIn(folder: string): Generator<[path: string, bytes: Buffer]> {
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name)
    if (entry.isFile()) yield [relative(folder, path), readFileSync(path)]
  }
}

function writings({ name, value }: Canary): Needle[] {
  const bytes = Buffer.from(value as Uint8Array)
  if (bytes.length < 8) throw new Error(`${name} is too short to be looked for`)
  const hex = bytes.toString('hex')
  const texts: [string, string][] = [
    ['hexadecimal', hex],
    ['HEXADECIMAL', hex.toUpperCase()],
  ]
  for (const before of [0, 1, 2]) {
    // Characters that hold nothing but bits of the value, whatever stands before and behind.
    const whole = Buffer.concat([Buffer.alloc(before), bytes]).toString('base64url')
    const text = whole.slice(Math.ceil((before * 8) / 6), Math.floor(((before + bytes.length) * 8) / 6))
    texts.push([`base64url ${before}`, text], [`base64 ${before}`, text.replaceAll('-', '+').replaceAll('_', '/')])
  }
  const all: [string, Buffer][] = [
    ['bytes', bytes],
    ...texts.map(([how, text]): [string, Buffer] => [how, Buffer.from(text)]),
  ]
  if (typeof value === 'string') all.push(['UTF-16', Buffer.from(value, 'utf16le')])
  const distinct = new Map(
    all.map(([writing, needle]) => [needle.toString('latin1'), { name, writing, bytes: needle }]),
  )
  return [...distinct.values()]
}
