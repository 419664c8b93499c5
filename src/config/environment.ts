import { configJsonSchema } from './schema.ts'

/** One field that may be written, as the JSON Schema describes it. */
export interface Field {
  /** `listen.port` */
  readonly path: string
  /** `SILTA_LISTEN_PORT` */
  readonly variable: string
  readonly type: string
  readonly about: string | undefined
  readonly example: unknown
}

interface Node {
  type?: string
  properties?: Record<string, Node>
  description?: string
  examples?: unknown[]
}

/** Every field of the configuration, in the order of the schema. */
export function configFields(node: Node = configJsonSchema() as Node, path: readonly string[] = []): Field[] {
  if (node.properties)
    return Object.entries(node.properties).flatMap(([name, child]) => configFields(child, [...path, name]))
  return [
    {
      path: path.join('.'),
      variable: `SILTA_${path.map((name) => name.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()).join('_')}`,
      type: node.type ?? 'string',
      about: node.description,
      example: node.examples?.[0],
    },
  ]
}

/** Variables with this prefix that are not fields: where the file is, and what the project's own tools tell each other. */
const otherVariables = new Set(['SILTA_CONFIG', 'SILTA_PARENT'])
const ofTools = /^SILTA_(TEST|TRIAL|DEV)_/

/** What environment variables say, as a tree like the file's, and the variables that say nothing. */
export function fromEnvironment(env: NodeJS.ProcessEnv): { tree: Record<string, unknown>; unknown: string[] } {
  const fields = new Map(configFields().map((field) => [field.variable, field]))
  const tree: Record<string, unknown> = {}
  const unknown: string[] = []
  if (env.DATABASE_URL) put(tree, ['database', 'url'], env.DATABASE_URL)
  for (const [variable, value] of Object.entries(env)) {
    if (value === undefined || value === '' || !variable.startsWith('SILTA_')) continue
    const field = fields.get(variable)
    if (field) put(tree, field.path.split('.'), typed(value, field.type))
    else if (!otherVariables.has(variable) && !ofTools.test(variable)) unknown.push(variable)
  }
  return { tree, unknown }
}

/** A value that is not of its type stays text, so that the schema says what it should be. */
function typed(value: string, type: string): unknown {
  if (type === 'integer' && /^-?\d{1,15}$/.test(value)) return Number(value)
  if (type === 'boolean' && (value === 'true' || value === 'false')) return value === 'true'
  return value
}

function put(tree: Record<string, unknown>, [name, ...rest]: readonly string[], value: unknown): void {
  if (name === undefined) return
  if (rest.length === 0) tree[name] = value
  else {
    tree[name] ??= {}
    put(tree[name] as Record<string, unknown>, rest, value)
  }
}
