/** Something wrong in the configuration. Never holds a value: it may be a secret. */
export interface ConfigProblem {
  /** `listen.port`; empty when it concerns the whole file. */
  readonly path: string
  /** A sentence that begins after the path: "must be a whole number from 0 to 65535, but it is text". */
  readonly problem: string
  /** What to write or do. */
  readonly advice?: string | undefined
}

/** The configuration cannot be used. `message` lists every problem at once, for a person to read. */
export class ConfigError extends Error {
  readonly code = 'config'
  readonly problems: readonly ConfigProblem[]

  constructor(source: string, problems: readonly ConfigProblem[]) {
    const lines = problems.map(({ path, problem, advice }) => {
      const first = path ? `${path} ${problem}` : problem
      return advice ? `  ${first}\n    ${advice}` : `  ${first}`
    })
    super(`${source} cannot be used:\n${lines.join('\n')}`)
    this.name = 'ConfigError'
    this.problems = problems
  }
}
