// npm run conformance -- mls PATH…: runs files in the formats of the MLS working group's test vectors
// (github.com/mlswg/mls-implementations, test-vectors.md), in folders all of them. Formats are known by their content.
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { formatOf, UnsupportedSuite } from './mls-formats.ts'

export interface FileResult {
  file: string
  passed: number
  failed: number
  skipped: number
  /** Reason → how many cases. */
  reasons: Map<string, number>
}

/** Runs all files and prints one line for each and the sum. Gives the exit code: 0 when something passed and nothing failed. */
export async function run(paths: readonly string[], print: (line: string) => void = console.log): Promise<number> {
  const files = paths.flatMap(filesIn)
  const sum = { passed: 0, failed: 0, skipped: 0 }
  for (const file of files) {
    const result = await runFile(file)
    sum.passed += result.passed
    sum.failed += result.failed
    sum.skipped += result.skipped
    print(`${file}: ${describe(result)}`)
    for (const [reason, count] of result.reasons) print(`    ${count} × ${reason}`)
  }
  print(`${files.length} files: ${describe(sum)}`)
  return sum.failed === 0 && sum.passed > 0 ? 0 : 1
}

function filesIn(path: string): string[] {
  if (!statSync(path).isDirectory()) return [path]
  return readdirSync(path)
    .filter((name) => name.endsWith('.json') || statSync(join(path, name)).isDirectory())
    .sort()
    .flatMap((name) => filesIn(join(path, name)))
}

export async function runFile(file: string): Promise<FileResult> {
  const result: FileResult = { file, passed: 0, failed: 0, skipped: 0, reasons: new Map() }
  const count = (outcome: 'failed' | 'skipped', reason: string) => {
    result[outcome]++
    const line = `${outcome}: ${reason}`
    result.reasons.set(line, (result.reasons.get(line) ?? 0) + 1)
  }
  let cases: unknown
  try {
    cases = JSON.parse(readFileSync(file, 'utf8'))
  } catch (error) {
    count('failed', `not JSON: ${textOf(error)}`)
    return result
  }
  const list = Array.isArray(cases) ? cases : [cases]
  if (list.length === 0) count('failed', 'no cases')
  for (const each of list) {
    try {
      await formatOf(each)(each)
      result.passed++
    } catch (error) {
      count(error instanceof UnsupportedSuite ? 'skipped' : 'failed', textOf(error))
    }
  }
  return result
}

function describe({ passed, failed, skipped }: { passed: number; failed: number; skipped: number }): string {
  return `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`
}

function textOf(error: unknown): string {
  const parts: string[] = []
  for (let each = error; each instanceof Error && parts.length < 4; each = each.cause) parts.push(each.message)
  return parts.join(' ← ')
}
