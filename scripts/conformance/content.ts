// Cases of MIMI content: a .cbor file each. It must decode within the rules of the draft and encode to the same bytes;
// where an .edn lies beside it that states a message id in a comment, the id must come out too.
import { existsSync, readFileSync, statSync } from 'node:fs'
import {
  contentLimits,
  decodeContent,
  decodeDerivedValues,
  decodeStatusReport,
  encodeContent,
  encodeDerivedValues,
  encodeStatusReport,
  messageId,
} from '../../src/content/index.ts'
import { equalBytes, toHex } from '../../src/crypto/index.ts'
import { nodeCrypto } from '../../src/crypto/node.ts'
import type { ConformanceFormat } from './format.ts'

const maxNotesBytes = 1024 * 1024

export const content: ConformanceFormat = {
  accepts: (path) => /\.cbor$/i.test(path) || (/\.edn$/i.test(path) && !existsSync(cborBeside(path))),
  run(path) {
    const file = /\.edn$/i.test(path) ? cborBeside(path) : path
    if (!existsSync(file)) throw new Error('no .cbor beside the .edn')
    if (statSync(file).size > contentLimits.bytes) throw new Error(`too-large: more than ${contentLimits.bytes} bytes`)
    const bytes = Uint8Array.from(readFileSync(file))
    const notes = ednBeside(file)
    const expected = notes === undefined ? undefined : statedId(notes)
    const note = runCase(bytes, expected)
    return { passed: 1, failed: 0, reasons: new Map(note === undefined ? [] : [[note, 1]]) }
  },
}

/** Throws for a case that fails; returns a remark for one that passes. */
function runCase(bytes: Uint8Array, expected: string | undefined): string | undefined {
  if (expected === undefined) {
    const other = otherDocument(bytes)
    if (other) {
      requireSame(other.again(bytes), bytes)
      return other.name
    }
  }
  const message = decodeContent(bytes)
  requireSame(encodeContent(message), bytes)
  if (expected === undefined) return 'no message id stated'
  const { sender, room, salt } = message
  if (sender === undefined || room === undefined) throw new Error('without sender and room there is no message id')
  const id = toHex(messageId(nodeCrypto, { sender, room, encoded: bytes, salt }))
  if (id !== expected) throw new Error(`message id is ${id}, expected ${expected}`)
  return undefined
}

/** What else lies among the examples, told apart by its first bytes: derived values and status reports. */
function otherDocument(bytes: Uint8Array) {
  const [outer = 0, first = 0, second = 0] = bytes
  if (outer === 0x87 && first === 0x58 && second === 0x20) {
    const again = (given: Uint8Array) => encodeDerivedValues(decodeDerivedValues(given))
    return { name: 'derived values', again }
  }
  if (outer >> 5 === 4 && first === 0x82) {
    return { name: 'status report', again: (given: Uint8Array) => encodeStatusReport(decodeStatusReport(given)) }
  }
  return undefined
}

function requireSame(again: Uint8Array, bytes: Uint8Array): void {
  if (!equalBytes(again, bytes)) throw new Error(`encodes to ${again.length} other bytes than the ${bytes.length} read`)
}

function cborBeside(path: string): string {
  return path.replace(/\.edn$/i, '.cbor')
}

function ednBeside(file: string): string | undefined {
  const path = file.replace(/\.cbor$/i, '.edn')
  if (path === file || !existsSync(path)) return undefined
  if (statSync(path).size > maxNotesBytes) throw new Error('the .edn is too large')
  return readFileSync(path, 'utf8')
}

/** The id in a comment such as `# message ID = h'01…'`, which may go on over several comment lines. */
function statedId(notes: string): string | undefined {
  const [, quoted] = /message\s?id\s*[=:]\s*h'([^']*)'/i.exec(notes) ?? []
  if (quoted === undefined) return undefined
  const id = quoted.replace(/[\s#/]/g, '').toLowerCase()
  if (!/^[0-9a-f]{64}$/.test(id)) throw new Error('the message id in the .edn is not 32 bytes of hexadecimal')
  return id
}
