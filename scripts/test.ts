// npm test: installs what the tests need where it can, then runs the checks and unit tests of `npm run verify` and the
// system tests in test/, and says what was skipped and why. With CI set, a skip is a failure.
//
//   npm test -- crossing store     only the test files whose path contains one of these words, without the checks
//   SILTA_SEED=random npm test     property tests with another seed, which a failed file's output shows
import { availableParallelism } from 'node:os'
import { checks } from './checks/index.ts'
import { endWithParent } from './support/end-with-parent.ts'
import { prepareMachine } from './support/machine.ts'
import { runSteps, type StepResult } from './support/steps.ts'
import { runTests, type Totals, testFiles } from './support/tests.ts'
import { unitTestStep } from './support/unit-tests.ts'

/** System test files at a time: each starts servers of its own, which wait for each other more than they compute. */
const SYSTEM_FILES_AT_A_TIME = Math.min(2, availableParallelism())

endWithParent()
const inCi = !['', '0', 'false', undefined].includes(process.env.CI)
const print = (line: string) => console.log(line)
const stop = new AbortController()
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
  process.on(signal, () => stop.abort(new Error(`stopped by ${signal}`)))

const started = Date.now()
await prepareMachine(print)
const patterns = process.argv.slice(2)
const { steps, totals } = patterns.length > 0 ? await runMatching(patterns) : await runEverything()
report(steps, totals)

/** Checks and unit tests first: they find most, soonest. Then the system tests. */
async function runEverything(): Promise<{ steps: StepResult[]; totals: Totals[] }> {
  const unit = unitTestStep(print, stop.signal)
  print('Checks and unit tests')
  const steps = await runSteps([...checks, unit.step], print)
  print('\nSystem tests')
  return {
    steps: steps.filter((step) => step.name !== unit.step.name),
    totals: [unit.totals(), await runSystemTests([])],
  }
}

async function runMatching(words: readonly string[]): Promise<{ steps: StepResult[]; totals: Totals[] }> {
  const files = testFiles(['src', 'scripts', 'bin'], words)
  const unit = await runTests(files, { concurrency: 2, print, signal: stop.signal })
  return { steps: [], totals: [unit, await runSystemTests(words)] }
}

function runSystemTests(words: readonly string[]): Promise<Totals> {
  return runTests(testFiles(['test'], words), { concurrency: SYSTEM_FILES_AT_A_TIME, print, signal: stop.signal })
}

function report(steps: readonly StepResult[], all: readonly Totals[]): void {
  const passed = sum(all.map((one) => one.passed)) + steps.filter((step) => step.ok).length
  const failedSteps = steps.filter((step) => !step.ok).map((step) => `check: ${step.name}`)
  const failures = [
    ...failedSteps,
    ...all.flatMap((one) => one.failures.map((failure) => `${failure.file}: ${failure.name}`)),
  ]
  const skips = all.flatMap((one) => one.skips)
  print('')
  for (const line of describeSkips(skips)) print(line)
  for (const failure of failures) print(`Failed: ${failure}`)
  if (stop.signal.aborted) print('Stopped before the end.')
  if (inCi && skips.length > 0) print('A skipped test is a failure here, because CI is set.')
  const slow = all.flatMap((one) => one.files).sort((a, b) => b.seconds - a.seconds)
  const slowest = slow.slice(0, 3).map((one) => `${one.file} ${Math.round(one.seconds)} s`)
  print(
    `${Math.round((Date.now() - started) / 1000)} s in all${slowest.length > 0 ? `; slowest: ${slowest.join(', ')}` : ''}`,
  )
  print(`${passed} passed, ${failures.length} failed, ${skips.length} skipped`)
  const good = failures.length === 0 && !stop.signal.aborted && !(inCi && skips.length > 0) && passed > 0
  process.exitCode = good ? 0 : 1
}

/** One line per reason, with the tests that it kept from running. */
function describeSkips(skips: Totals['skips']): string[] {
  const byReason = Map.groupBy(skips, (skip) => skip.reason)
  return [...byReason].flatMap(([reason, tests]) => [
    `Skipped: ${reason}`,
    ...tests.map((test) => `         ${test.file}: ${test.name}`),
  ])
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0)
}
