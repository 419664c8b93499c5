// npm run verify: everything that can be said about the project without starting it. All steps run, also after a failure.
//
//   npm run verify -- import types     only the steps whose name contains one of these words
import { checks } from './checks/index.ts'
import { endWithParent } from './support/end-with-parent.ts'
import { runSteps } from './support/steps.ts'
import { unitTestStep } from './support/unit-tests.ts'

endWithParent()
const print = (line: string) => console.log(line)
const words = process.argv.slice(2)
const steps = [...checks, unitTestStep(print).step].filter(
  ({ name }) => words.length === 0 || words.some((word) => name.includes(word)),
)
const results = await runSteps(steps, print)
const failed = results.filter((result) => !result.ok)
const seconds = results.reduce((sum, result) => sum + result.seconds, 0).toFixed(1)
print('')
print(
  failed.length === 0
    ? `All ${results.length} steps passed in ${seconds} s.`
    : `${failed.length} of ${results.length} steps failed in ${seconds} s: ${failed.map((step) => step.name).join(', ')}.`,
)
process.exitCode = failed.length === 0 ? 0 : 1
