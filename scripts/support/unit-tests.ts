import type { Step } from './steps.ts'
import { runTests, type Totals, testFiles } from './tests.ts'

/** Test files at a time: unit tests compute, and the smallest machine that this is built on has two cores. */
const FILES_AT_A_TIME = 2

/** The unit tests, which lie beside their sources, as a step; `totals` is filled when it has run. */
export function unitTestStep(
  print: (line: string) => void,
  signal?: AbortSignal,
): { step: Step; totals: () => Totals } {
  let totals: Totals = { passed: 0, failures: [], skips: [], files: [] }
  const step: Step = {
    name: 'unit tests',
    async check() {
      const files = testFiles(['src', 'scripts', 'bin'])
      totals = await runTests(files, { concurrency: FILES_AT_A_TIME, print, ...(signal ? { signal } : {}) })
      return { findings: totals.failures.map(({ file, name }) => `${file}: ${name}`) }
    },
  }
  return { step, totals: () => totals }
}
