// Finds the files, runs each by its format, prints one line per file and the sum.
import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { ConformanceFormat, FileResult } from './format.ts'

/** Longest list of reasons printed for one file: a file of a thousand cases may fail in all of them. */
const maxReasons = 20

/** Returns whether something passed and nothing failed. `print` is given whole lines. */
export async function runConformance(
  format: ConformanceFormat,
  paths: readonly string[],
  print: (line: string) => void,
): Promise<boolean> {
  const sum = { passed: 0, failed: 0 }
  const files = paths.flatMap((path) => filesUnder(path, format))
  for (const found of files) {
    const result = 'error' in found ? failure(found.error) : await runFile(format, found.file)
    sum.passed += result.passed
    sum.failed += result.failed
    report(found.file, result, print)
  }
  if (files.length === 0) print('nothing was found to run')
  print(`${files.length} ${files.length === 1 ? 'file' : 'files'}: ${counts(sum)}`)
  return sum.failed === 0 && sum.passed > 0
}

type Found = { file: string } | { file: string; error: string }

/** A file that is named is taken whatever it is called; of a folder, all that the format accepts, at any depth. */
function filesUnder(path: string, format: ConformanceFormat): Found[] {
  try {
    if (!statSync(path).isDirectory()) return [{ file: path }]
    const entries = readdirSync(path, { recursive: true, withFileTypes: true })
    const files = entries.filter((entry) => entry.isFile() || entry.isSymbolicLink())
    const accepted = files.map((entry) => join(entry.parentPath, entry.name)).filter(format.accepts)
    return accepted.sort().map((file) => ({ file }))
  } catch (error) {
    return [{ file: path, error: reason(error) }]
  }
}

async function runFile(format: ConformanceFormat, file: string): Promise<FileResult> {
  try {
    const result = await format.run(file)
    return result.passed + result.failed > 0 ? result : failure('no case in this file')
  } catch (error) {
    return failure(reason(error))
  }
}

function failure(why: string): FileResult {
  return { passed: 0, failed: 1, reasons: new Map([[why, 1]]) }
}

function report(file: string, result: FileResult, print: (line: string) => void): void {
  print(`${result.failed > 0 ? 'FAIL' : 'ok  '} ${file}: ${counts(result)}`)
  const reasons = [...result.reasons]
  for (const [why, count] of reasons.slice(0, maxReasons)) {
    print(`       ${count > 1 ? `${count} × ` : ''}${oneLine(why)}`)
  }
  if (reasons.length > maxReasons) print(`       … and ${reasons.length - maxReasons} more`)
}

function counts({ passed, failed }: Pick<FileResult, 'passed' | 'failed'>): string {
  return `${passed} passed, ${failed} failed`
}

function reason(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const { code } = error as { code?: unknown }
  return typeof code === 'string' && !error.message.startsWith(code) ? `${code}: ${error.message}` : error.message
}

function oneLine(text: string): string {
  // a reason may quote bytes of the file: nothing of it reaches the terminal as a control character
  return text.replace(/\p{Cc}+/gu, ' ').slice(0, 500)
}
