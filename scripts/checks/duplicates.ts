/** A file to look through; `minimum` is the shortest run of equal tokens that counts as a duplicate of it. */
export interface SourceText {
  file: string
  source: string
  minimum: number
}

interface Token {
  text: string
  line: number
}

const imports = /^(?:import|export)\s[^'"]*?['"][^'"\n]+['"]/gm
const comments = /\/\*[\s\S]*?\*\/|(?<![:'"`\w])\/\/[^\n]*/g
const tokens =
  /[\p{L}_$][\p{L}\p{N}_$]*|\p{N}[\w.]*|'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"|`(?:[^`\\]|\\.)*`|=>|\?\.|\S/gu

/** Splits source text into tokens; imports and comments do not count. */
export function tokenize(source: string): Token[] {
  const blank = (text: string) => text.replace(/[^\n]/g, ' ')
  const bare = source.replace(comments, blank).replace(imports, blank)
  const found: Token[] = []
  let line = 1
  let last = 0
  for (const match of bare.matchAll(tokens)) {
    for (let i = last; i < match.index; i++) if (bare.charCodeAt(i) === 10) line++
    last = match.index
    found.push({ text: match[0], line })
  }
  return found
}

/**
 * Finds pieces of code that stand in two places, longest run first seen. Two runs are equal when every token is: renamed
 * copies are not found. Runs of a file with itself count when they do not overlap.
 */
export function findDuplicates(texts: readonly SourceText[]): string[] {
  const findings: string[] = []
  const minimum = Math.min(...texts.map((text) => text.minimum))
  const files = texts.map((text) => ({ ...text, tokens: tokenize(text.source) }))
  const seen = new Map<number, [file: number, start: number][]>()
  for (const [index, { file, tokens: mine, minimum: needed }] of files.entries()) {
    const hashes = windowHashes(mine, minimum)
    let reportedUntil = 0
    for (const [start, hash] of hashes.entries()) {
      const places = seen.get(hash) ?? []
      if (start >= reportedUntil) {
        for (const [other, otherStart] of places) {
          const theirs = files[other]!
          const sameFile = other === index
          const length = sameRun(mine, start, theirs.tokens, otherStart, sameFile ? start - otherStart : Infinity)
          if (length < Math.max(needed, theirs.minimum)) continue
          findings.push(
            `${length} equal tokens: ${theirs.file}:${span(theirs.tokens, otherStart, length)} and ${file}:${span(mine, start, length)}`,
          )
          reportedUntil = start + length
          break
        }
      }
      places.push([index, start])
      seen.set(hash, places)
    }
  }
  return findings
}

/** Rolling hash of each run of `size` tokens. */
function windowHashes(list: readonly Token[], size: number): number[] {
  const factor = 0x01000193
  let leaving = 1
  for (let i = 0; i < size; i++) leaving = Math.imul(leaving, factor)
  const values = list.map((token) => hashText(token.text))
  const hashes: number[] = []
  let hash = 0
  for (const [i, value] of values.entries()) {
    hash = (Math.imul(hash, factor) + value) | 0
    if (i >= size) hash = (hash - Math.imul(values[i - size]!, leaving)) | 0
    if (i >= size - 1) hashes.push(hash)
  }
  return hashes
}

function hashText(text: string): number {
  let hash = 0x811c9dc5
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  return hash | 0
}

function sameRun(a: readonly Token[], i: number, b: readonly Token[], j: number, limit: number): number {
  let length = 0
  while (length < limit && a[i + length] && a[i + length]?.text === b[j + length]?.text) length++
  return length
}

function span(list: readonly Token[], start: number, length: number): string {
  return `${list[start]?.line}–${list[start + length - 1]?.line}`
}
