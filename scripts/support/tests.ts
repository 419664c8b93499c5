import { globSync } from 'node:fs'
import { join, relative } from 'node:path'
import { run as runNodeTests } from 'node:test'
import { root } from './command.ts'

export interface Totals {
  passed: number
  failures: { file: string; name: string; text: string }[]
  skips: { file: string; name: string; reason: string }[]
  files: { file: string; seconds: number }[]
}

/** A test file that takes longer is ended, with what it started, and counts as failed. */
const FILE_TIMEOUT_MS = 10 * 60_000

/** Test files under the given folders whose path contains one of the patterns (all, when there are none). */
export function testFiles(folders: readonly string[], patterns: readonly string[] = []): string[] {
  const all = folders.flatMap((folder) => globSync(`${folder}/**/*.test.ts`, { cwd: root }))
  return all.filter((file) => patterns.length === 0 || patterns.some((part) => file.includes(part))).sort()
}

/**
 * Runs test files, each in its own process, and prints one line per file; what a file printed is shown when it failed.
 * `concurrency` is the number of files at a time.
 */
export async function runTests(
  files: readonly string[],
  { concurrency, print, signal }: { concurrency: number; print: (line: string) => void; signal?: AbortSignal },
): Promise<Totals> {
  const totals: Totals = { passed: 0, failures: [], skips: [], files: [] }
  if (files.length === 0 || signal?.aborted) return totals
  // Each test file, and each service that it starts, is a process that loads the same modules: they are compiled once.
  process.env.NODE_COMPILE_CACHE ??= join(root, '.cache', 'compiled')
  const printed = new Map<string, string>()
  const counts = new Map<string, number>()
  const finished = new Map<string, number>()
  const stream = runNodeTests({
    files: files.map((file) => join(root, file)),
    cwd: root,
    concurrency,
    timeout: FILE_TIMEOUT_MS,
    execArgv: ['--disable-warning=ExperimentalWarning'],
    ...(signal ? { signal } : {}),
  })
  const nameOf = (file: string | undefined) => (file ? relative(root, file) : 'unknown file')
  const collect = (data: { file?: string | undefined; message: string }) => {
    const file = nameOf(data.file)
    printed.set(file, (printed.get(file) ?? '') + data.message)
  }
  const finish = (file: string, milliseconds: number) => {
    if (finished.has(file)) return
    const seconds = milliseconds / 1000
    finished.set(file, seconds)
    totals.files.push({ file, seconds })
    const failed = totals.failures.filter((failure) => failure.file === file)
    const skipped = totals.skips.filter((skip) => skip.file === file).length
    const parts = [`${counts.get(file) ?? 0} passed`]
    if (failed.length > 0) parts.push(`${failed.length} failed`)
    if (skipped > 0) parts.push(`${skipped} skipped`)
    print(`${failed.length > 0 ? 'FAILED' : 'ok    '}  ${file}: ${parts.join(', ')} (${seconds.toFixed(1)} s)`)
    if (failed.length > 0) showFailure(failed, printed.get(file), print)
    printed.delete(file)
  }
  const fail = (file: string, name: string, text: string) => totals.failures.push({ file, name, text })

  stream.on('test:stdout', collect)
  stream.on('test:stderr', collect)
  stream.on('test:diagnostic', (data) => data.file && collect({ file: data.file, message: `${data.message}\n` }))
  stream.on('test:pass', (data) => {
    const file = nameOf(data.file)
    const skipped = data.skip ?? data.todo
    if (data.name === data.file) {
      fail(file, 'the file', 'it holds no test')
      finish(file, data.details.duration_ms)
    } else if (skipped !== undefined && skipped !== false) {
      totals.skips.push({ file, name: data.name, reason: reasonOf(skipped) })
    } else if (data.details.type !== 'suite') {
      totals.passed += 1
      counts.set(file, (counts.get(file) ?? 0) + 1)
    }
  })
  stream.on('test:fail', (data) => {
    const file = nameOf(data.file)
    const error = data.details.error as (Error & { failureType?: string }) | undefined
    if (data.name === data.file) {
      // The process ended badly: the file does not load, a test left something behind, or its time was up.
      if (!finished.has(file)) fail(file, 'the file', describe(error))
      finish(file, data.details.duration_ms)
    } else if (data.todo !== undefined && data.todo !== false) {
      totals.skips.push({ file, name: data.name, reason: reasonOf(data.todo) })
    } else if (error?.failureType !== 'subtestsFailed') {
      fail(file, data.name, describe(error))
    }
  })
  stream.on('test:summary', (data) => {
    if (!data.file) return
    const file = nameOf(data.file)
    const failed = totals.failures.some((failure) => failure.file === file)
    // Without a failed test and yet not a success: the reason follows with the failure of the file itself.
    if (data.success || failed) finish(file, data.duration_ms)
  })
  stream.resume()
  await new Promise<void>((done, broke) => {
    stream.on('end', done)
    stream.on('error', broke)
  })
  return totals
}

const reasonOf = (skip: string | boolean): string => (typeof skip === 'string' ? skip : 'no reason given')

/** Lines that a failed file printed which are shown: the last ones tell most. */
const OUTPUT_LINES_SHOWN = 60

function showFailure(
  failures: readonly { name: string; text: string }[],
  output: string | undefined,
  print: (line: string) => void,
): void {
  for (const { name, text } of failures) {
    print(`        ✗ ${name}`)
    for (const line of text.trimEnd().split('\n')) print(`          ${line}`)
  }
  const lines = output?.trimEnd().split('\n') ?? []
  if (lines.length === 0) return
  print(`        its output${lines.length > OUTPUT_LINES_SHOWN ? `, the last ${OUTPUT_LINES_SHOWN} lines` : ''}:`)
  for (const line of lines.slice(-OUTPUT_LINES_SHOWN)) print(`        | ${line}`)
}

function describe(error: Error | undefined): string {
  const cause = error?.cause
  const text = cause instanceof Error ? (cause.stack ?? cause.message) : String(cause ?? error?.message ?? 'no message')
  // Frames inside Node say nothing about the project.
  return text.replace(/^ +at (?:.*\()?node:.*\n?/gm, '')
}
