// npm run conformance -- mls PATH…: runs files in the formats of the MLS working group's test vectors
// (github.com/mlswg/mls-implementations, test-vectors.md), in folders all of them. Formats are known by their content.
import { readFileSync } from 'node:fs'
import { formatOf } from '../../src/mls/conformance.ts'
import type { ConformanceFormat, FileResult } from './format.ts'

export const mls: ConformanceFormat = { accepts: (path) => path.endsWith('.json'), run: runFile }

async function runFile(file: string): Promise<FileResult> {
  const result: FileResult = { passed: 0, failed: 0, reasons: new Map() }
  const fail = (reason: string) => {
    result.failed++
    result.reasons.set(reason, (result.reasons.get(reason) ?? 0) + 1)
  }
  let cases: unknown
  try {
    cases = JSON.parse(readFileSync(file, 'utf8'))
  } catch (error) {
    fail(`not JSON: ${textOf(error)}`)
    return result
  }
  const list = Array.isArray(cases) ? cases : [cases]
  if (list.length === 0) fail('no cases')
  for (const each of list) {
    try {
      await formatOf(each)(each)
      result.passed++
    } catch (error) {
      fail(textOf(error))
    }
  }
  return result
}

function textOf(error: unknown): string {
  const parts: string[] = []
  for (let each = error; each instanceof Error && parts.length < 4; each = each.cause) parts.push(each.message)
  return parts.join(' ← ')
}
