import { z } from 'zod'

/**
 * The kinds of fields a configuration has. Each says in words what it wants, in the same sentence whatever is wrong:
 * `listen.port must be a whole number from 0 to 65535`.
 */
interface Description {
  /** What it is for, where the default comes from. Shown in the JSON Schema, in editors and in the docs. */
  readonly about: string
  /** What somebody could write there. */
  readonly example?: string | number | boolean
}

const describe = <Schema extends z.ZodType>(schema: Schema, { about, example }: Description): Schema =>
  schema.meta({ description: about, ...(example === undefined ? {} : { examples: [example] }) })

export function whole(min: number, max: number, standard: number, description: Description) {
  const error = `must be a whole number from ${min} to ${max}`
  const schema = z.int({ error }).min(min, { error }).max(max, { error }).default(standard)
  return describe(schema, { example: standard, ...description })
}

export function flag(description: Description) {
  return describe(z.boolean({ error: 'must be true or false' }).optional(), description)
}

export function oneOf<const Values extends readonly [string, ...string[]]>(
  values: Values,
  standard: Values[number],
  description: Description,
) {
  return describe(z.enum(values, { error: `must be one of ${values.join(', ')}` }).default(standard as never), {
    example: standard,
    ...description,
  })
}

export function text(must: string, pattern: RegExp, description: Description) {
  const error = `must be ${must}`
  return describe(z.string({ error }).regex(pattern, { error }), description)
}

/** A base URL: scheme, host, maybe a path; no name or password, no query. */
export function httpUrl(description: Description) {
  const error = 'must be a URL like http://host:port or https://host, without a name, password or query'
  return describe(
    z.string({ error }).refine((value) => isBaseUrl(value), { error }),
    description,
  )
}

function isBaseUrl(value: string): boolean {
  if (!URL.canParse(value)) return false
  const url = new URL(value)
  return /^https?:$/.test(url.protocol) && !url.username && !url.password && !url.search && !url.hash
}

/** A path of a file or folder; a relative one starts at the working directory. */
export function path(description: Description) {
  return text('a path', /^[^\0]+$/, description)
}
