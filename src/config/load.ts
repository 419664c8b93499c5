import { existsSync, readFileSync, statSync } from 'node:fs'
import { LineCounter, parseDocument } from 'yaml'
import { configFields, fromEnvironment } from './environment.ts'
import { ConfigError, type ConfigProblem } from './errors.ts'
import { describeProblems, nearest } from './problems.ts'
import { checkRules } from './rules.ts'
import { type ConfigFile, configSchema } from './schema.ts'

/** Where the file is looked for when nobody says where. */
const usualFile = 'silta.yaml'

export interface LoadedConfig {
  readonly config: ConfigFile
  /** The file it came from; undefined when it came from the environment alone. */
  readonly file: string | undefined
  /** What a person should know and may ignore. */
  readonly warnings: readonly string[]
}

/**
 * Reads the configuration: the file (`file`, else SILTA_CONFIG, else silta.yaml when it exists), then environment
 * variables over it (SILTA_LISTEN_PORT for listen.port, DATABASE_URL for database.url).
 *
 * @throws ConfigError with all problems at once
 */
export function loadConfig(
  options: { readonly file?: string | undefined; readonly env?: NodeJS.ProcessEnv } = {},
): LoadedConfig {
  const env = options.env ?? process.env
  const file = options.file ?? env.SILTA_CONFIG ?? (existsSync(usualFile) ? usualFile : undefined)
  const source = file ?? 'The configuration'
  const { tree, unknown } = fromEnvironment(env)
  const input = merge(file === undefined ? {} : readFile(file), tree)
  const parsed = configSchema.safeParse(input)
  if (!parsed.success) throw new ConfigError(source, describeProblems(parsed.error.issues, input))
  const problems = checkRules(parsed.data)
  if (problems.length > 0) throw new ConfigError(source, problems)
  const variables = configFields().map((field) => field.variable)
  const warnings = unknown.map((variable) => {
    const meant = nearest(variable, variables)
    return `The environment variable ${variable} means nothing here.${meant ? ` Did you mean ${meant}?` : ''}`
  })
  if (file !== undefined && holdsSecret(input) && (statSync(file).mode & 0o004) !== 0)
    warnings.push(`${file} holds secrets and can be read by every user of this machine: chmod 600 ${file}`)
  return { config: parsed.data, file, warnings }
}

function readFile(file: string): Record<string, unknown> {
  const refuse = (problems: ConfigProblem[]): never => {
    throw new ConfigError(file, problems)
  }
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'unknown'
    const problem = code === 'ENOENT' ? 'There is no such file.' : `It cannot be read (${code}).`
    return refuse([
      { path: '', problem, advice: 'Examples are in config/; give the path with --config or SILTA_CONFIG.' },
    ])
  }
  const lines = new LineCounter()
  // The library's own wording of an error quotes the line it is in, which may hold a secret.
  const document = parseDocument(text, { prettyErrors: false, lineCounter: lines })
  if (document.errors.length > 0)
    refuse(
      document.errors.map((error) => {
        const { line, col } = lines.linePos(error.pos[0])
        return {
          path: `line ${line}, column ${col}`,
          problem: `is not valid YAML (${error.code.toLowerCase().replaceAll('_', ' ')}).`,
        }
      }),
    )
  let value: unknown
  try {
    // A few lines of aliases of aliases stand for billions of values.
    value = document.toJS({ maxAliasCount: 20 })
  } catch {
    return refuse([{ path: '', problem: 'It has aliases (*name) that cannot be followed.' }])
  }
  if (value === null || value === undefined) return {}
  if (typeof value !== 'object' || Array.isArray(value))
    return refuse([{ path: '', problem: 'It must be a list of fields, like `provider:` and below it `  domain: …`.' }])
  return value as Record<string, unknown>
}

function merge(below: Record<string, unknown>, above: Record<string, unknown>): Record<string, unknown> {
  const merged = { ...below }
  for (const [name, value] of Object.entries(above)) {
    const under = merged[name]
    merged[name] = isTree(value) && isTree(under) ? merge(under, value) : value
  }
  return merged
}

function isTree(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function holdsSecret(input: Record<string, unknown>): boolean {
  const { matrix, database } = input as { matrix?: Record<string, unknown>; database?: Record<string, unknown> }
  return Boolean(matrix?.asToken ?? matrix?.hsToken) || /:[^/@]+@/.test(String(database?.url ?? ''))
}
