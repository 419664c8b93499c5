// npm run conformance -- FORMAT PATH…
//
// Runs files of published test vectors, or any others in the same formats, through this implementation; a folder stands
// for all of its format in it. Exits with 0 only when something was run and all of it passed.
import type { ConformanceFormat } from './conformance/format.ts'
import { runConformance } from './conformance/report.ts'

/** Loaded when asked for: MLS brings its cryptography along. */
const formats: Record<string, () => Promise<ConformanceFormat>> = {
  content: async () => (await import('./conformance/content.ts')).content,
  mls: async () => (await import('./conformance/mls.ts')).mls,
}

const print = (line: string) => process.stdout.write(`${line}\n`)

const [name = '', ...paths] = process.argv.slice(2)
const load = Object.hasOwn(formats, name) ? formats[name] : undefined
if (!load || paths.length === 0) {
  process.stderr.write(`usage: npm run conformance -- ${Object.keys(formats).join('|')} PATH…\n`)
  process.exitCode = 2
} else if (!(await runConformance(await load(), paths, print))) {
  process.exitCode = 1
}
