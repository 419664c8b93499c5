import type { z } from 'zod'
import { configFields } from './environment.ts'
import type { ConfigProblem } from './errors.ts'

/** Puts what the schema refused into words: where, what is wrong, what to write. */
export function describeProblems(issues: readonly z.core.$ZodIssue[], input: unknown): ConfigProblem[] {
  return issues.flatMap((issue) => {
    const path = issue.path.map(String)
    if (issue.code === 'unrecognized_keys') return issue.keys.map((key) => unknownField([...path, key]))
    return [wrongField(path, issue.message, at(input, path))]
  })
}

function wrongField(path: string[], must: string, value: unknown): ConfigProblem {
  const dotted = path.join('.')
  const field = configFields().find((candidate) => candidate.path === dotted)
  const name = path.at(-1) ?? ''
  if (!field) {
    const missing = value === undefined || value === null
    const inside = configFields().filter((candidate) => candidate.path.startsWith(`${dotted}.`) && candidate.example)
    const [first] = inside
    const advice =
      first && `For example:\n      ${name}:\n        ${first.path.slice(dotted.length + 1)}: ${String(first.example)}`
    return { path: dotted || 'the configuration', problem: missing ? 'is missing.' : `${must}.`, advice }
  }
  const problem = value === undefined ? 'is missing.' : `${must}, but it is ${kindOf(value, field.type)}.`
  const example = field.example === undefined ? '' : `\`${name}: ${String(field.example)}\` in the file, or `
  const sample = field.example === undefined ? '…' : String(field.example)
  return { path: dotted, problem, advice: `Write ${example}${field.variable}=${sample} in the environment.` }
}

function unknownField(path: string[]): ConfigProblem {
  const dotted = path.join('.')
  const meant = nearest(
    dotted,
    configFields().map((field) => field.path),
  )
  return { path: dotted, problem: 'is not a field of the configuration.', advice: meant && `Did you mean ${meant}?` }
}

/** Says what kind of thing was written, never the thing. */
function kindOf(value: unknown, wanted: string): string {
  if (value === null) return 'empty'
  if (Array.isArray(value)) return 'a list'
  if (typeof value === 'object') return 'a group of fields'
  if (typeof value === 'string') return wanted === 'string' ? 'something else' : 'text'
  if (typeof value === 'number') return wanted === 'integer' ? 'another number' : 'a number'
  return `a ${typeof value}`
}

function at(input: unknown, path: readonly string[]): unknown {
  let value = input
  for (const name of path) {
    if (typeof value !== 'object' || value === null) return undefined
    value = (value as Record<string, unknown>)[name]
  }
  return value
}

/** The candidate that differs by the fewest letters, when that is near enough to be meant. */
export function nearest(word: string, candidates: readonly string[]): string | undefined {
  const ranked = candidates.map((candidate) => ({
    candidate,
    distance: distance(word.toLowerCase(), candidate.toLowerCase()),
  }))
  ranked.sort((a, b) => a.distance - b.distance)
  const [best] = ranked
  return best && best.distance <= Math.max(2, word.length / 3) ? best.candidate : undefined
}

/** Levenshtein distance. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++)
      next.push(Math.min(next[j - 1]! + 1, row[j]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)))
    row = next
  }
  return row.at(-1)!
}
