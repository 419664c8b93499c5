import { performance } from 'node:perf_hooks'

/** What a step found: nothing, or findings to read and how to mend them. */
interface Outcome {
  findings: string[]
  hint?: string
}

export interface Step {
  name: string
  check(): Promise<Outcome>
}

export interface StepResult {
  name: string
  ok: boolean
  seconds: number
}

/** Longest output of one failed step that is shown; the rest is counted. */
const LINES_SHOWN = 80

/** Runs every step, also after one that failed, and prints each with its time. */
export async function runSteps(steps: readonly Step[], print: (line: string) => void): Promise<StepResult[]> {
  const results: StepResult[] = []
  for (const step of steps) {
    const started = performance.now()
    const { findings, hint } = await step.check().catch(stepBroke)
    const seconds = (performance.now() - started) / 1000
    const ok = findings.length === 0
    results.push({ name: step.name, ok, seconds })
    print(`${ok ? 'ok    ' : 'FAILED'}  ${step.name} (${seconds.toFixed(1)} s)`)
    if (!ok) printFindings(findings, hint, print)
  }
  return results
}

function printFindings(findings: readonly string[], hint: string | undefined, print: (line: string) => void): void {
  const lines = findings.flatMap((finding) => finding.trimEnd().split('\n'))
  for (const line of lines.slice(0, LINES_SHOWN)) print(`        ${line}`)
  if (lines.length > LINES_SHOWN) print(`        … and ${lines.length - LINES_SHOWN} lines more`)
  if (hint) print(`        → ${hint}`)
}

function stepBroke(error: unknown): Outcome {
  return { findings: [`the check itself broke: ${error instanceof Error ? error.stack : String(error)}`] }
}

/** A step that runs a program: it passes when the program ends with 0, otherwise its output is the finding. */
export function programStep(
  name: string,
  execute: () => Promise<{ code: number; output: string }>,
  hint?: string,
): Step {
  return {
    name,
    async check() {
      const { code, output } = await execute()
      if (code === 0) return { findings: [] }
      return { findings: [output || `ended with ${code}`], ...(hint ? { hint } : {}) }
    },
  }
}
