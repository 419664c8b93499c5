import { parseArgs } from 'node:util'
import { Unusable } from './terminal.ts'

/** Reads what was written. @throws TypeError for an option that no command has */
export function readArguments(argv: readonly string[]) {
  return parseArgs({
    args: [...argv],
    allowPositionals: true,
    options: {
      config: { type: 'string', short: 'c' },
      output: { type: 'string', short: 'o' },
      help: { type: 'boolean', short: 'h' },
      log: { type: 'string' },
      build: { type: 'string' },
      key: { type: 'string' },
      earlier: { type: 'string' },
      policy: { type: 'string' },
      'token-file': { type: 'string' },
      ...auditOptions,
      days: { type: 'string' },
      scope: { type: 'string' },
      json: { type: 'boolean' },
    },
  })
}

type Arguments = ReturnType<typeof readArguments>
export type Values = Arguments['values']
type Option = keyof Values

/** What `silta audit` reads out of a log. */
const auditOptions = {
  first: { type: 'string' },
  last: { type: 'string' },
  from: { type: 'string' },
  to: { type: 'string' },
  type: { type: 'string' },
  provider: { type: 'string' },
  pseudonym: { type: 'string' },
  outcome: { type: 'string' },
  format: { type: 'string' },
  index: { type: 'string' },
  proof: { type: 'string' },
  on: { type: 'string' },
  reason: { type: 'string' },
} as const

const aLog = ['log', 'key', 'policy', 'token-file'] as const
const entriesOf = ['first', 'last', 'from', 'to', 'type', 'provider', 'pseudonym', 'outcome', 'format'] as const

/** What each command takes: words after its name, and options; all take --config and --help. */
const commands: ReadonlyMap<string, { readonly words: number; readonly options: readonly Option[] }> = new Map([
  ['help', { words: 1, options: [] }],
  ['version', { words: 0, options: [] }],
  ['serve', { words: 0, options: [] }],
  ['registration', { words: 0, options: ['output'] }],
  ['check', { words: 0, options: [] }],
  ['backup', { words: 1, options: [] }],
  ['restore', { words: 1, options: [] }],
  ['status', { words: 0, options: ['json'] }],
  ['audit key', { words: 0, options: [] }],
  ['audit verify', { words: 0, options: [...aLog, 'earlier', 'proof'] }],
  ['audit entries', { words: 0, options: [...aLog, ...entriesOf, 'output'] }],
  ['audit export', { words: 0, options: [...aLog, ...entriesOf, 'output'] }],
  ['audit proof', { words: 0, options: [...aLog, 'index', 'output'] }],
  ['audit erase', { words: 1, options: [] }],
  ['audit interop', { words: 3, options: ['on', 'reason'] }],
  ['audit map', { words: 2, options: ['token-file'] }],
  ['auditor add', { words: 0, options: ['days', 'scope'] }],
  ['auditor list', { words: 0, options: [] }],
  ['auditor revoke', { words: 1, options: [] }],
  ['pages key', { words: 0, options: [] }],
  ['pages verify', { words: 1, options: ['key', 'build'] }],
])

/**
 * What a command would pass over is refused: whoever has written it would take the answer for one to it.
 *
 * @throws Unusable
 */
export function refuseSurplus({ values, positionals }: Arguments): void {
  const [command = 'help', topic] = positionals
  const name = [`${command} ${topic}`, command].find((each) => commands.has(each))
  const takes = name === undefined ? undefined : commands.get(name)
  if (name === undefined || !takes) return
  const see = `See silta help ${command}`
  const surplus = positionals[name.split(' ').length + takes.words]
  if (surplus !== undefined) throw new Unusable(`silta ${name} does not take ${surplus}. ${see}`)
  for (const option of Object.keys(values) as Option[])
    if (!takes.options.includes(option) && option !== 'config' && option !== 'help')
      throw new Unusable(`silta ${name} does not take --${option}. ${see}`)
}
