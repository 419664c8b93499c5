import { z } from 'zod'
import { eventTypes } from '../event-schema.ts'
import { type EntryFilter, outcomes, readMoment } from '../reading/index.ts'

/** A parameter on the wire, as OpenAPI has it. */
export interface Wire {
  readonly type: string
  readonly enum?: readonly string[]
  readonly minimum?: number
  readonly maximum?: number
  readonly pattern?: string
  readonly examples?: readonly string[]
}

/** Description and form on the wire of a parameter, wherever optional and default stand around it. */
export function metaOf(type: unknown): { description?: string; wire?: Wire; usual?: unknown } {
  const { meta, def } = type as {
    meta(): { description?: string; wire?: Wire } | undefined
    def: { innerType?: unknown; in?: unknown; defaultValue?: unknown }
  }
  const own = meta.call(type)
  const usual = def.defaultValue
  if (own?.wire) return { ...own, ...(usual === undefined ? {} : { usual }) }
  const inner = def.innerType ?? def.in
  return inner === undefined ? {} : { ...metaOf(inner), ...(usual === undefined ? {} : { usual }) }
}

/** What a parameter must be, in words; nothing of what was given. */
export function formOf(type: unknown): string {
  const { wire } = metaOf(type)
  if (wire?.enum) return `one of ${wire.enum.join(', ')}`
  if (wire?.type === 'integer')
    return `a whole number from ${wire.minimum}${wire.maximum === undefined ? ' on' : ` to ${wire.maximum}`}`
  if (wire?.examples) return `as ${wire.examples.join(' or ')}${wire.pattern ? '' : ', and in the calendar'}`
  return wire?.pattern === undefined ? 'something else' : `of the form ${wire.pattern}`
}

export const whole = (description: string, { from, to }: { from: number; to: number }) =>
  z
    .string()
    .regex(/^(0|[1-9]\d{0,14})$/)
    .transform(Number)
    .refine((number) => number >= from && number <= to)
    .meta({ description, wire: { type: 'integer', minimum: from, maximum: to } })

export const choice = <const Values extends readonly [string, ...string[]]>(values: Values, description: string) =>
  z.enum(values).meta({ description, wire: { type: 'string', enum: [...values] } })

/** A text of a form. */
export const text = (form: RegExp, description: string, ...examples: string[]) =>
  z
    .string()
    .regex(form)
    .meta({
      description,
      wire: { type: 'string', pattern: form.source, ...(examples.length > 0 ? { examples } : {}) },
    })

const time = (description: string) =>
  z
    .string()
    .transform((text, context) => {
      const at = readMoment(text)
      if (at === undefined) context.addIssue({ code: 'custom' })
      return at ?? z.NEVER
    })
    .meta({ description, wire: { type: 'string', examples: ['2026-11-22', '2026-11-22T10:00:00Z'] } })

/** What entries are looked for by, on the command line and over HTTP. */
export const filterParameters = {
  from: time('Not before this time, UTC.').optional(),
  to: time('Before this time, UTC.').optional(),
  type: choice(eventTypes, 'The kind of event.').optional(),
  provider: text(
    /^[a-z0-9][a-z0-9.-]{0,252}$/,
    'A network or another provider, as `matrix`; `own` for the messenger’s own users.',
  ).optional(),
  pseudonym: text(
    /^[A-Za-z0-9_-]{22}$/,
    'Of an account, a device or a conversation; or the id of an erasure.',
  ).optional(),
  outcome: choice(outcomes, 'What became of it: `done`, `refused`, or what the entry says.').optional(),
}

export type FilterName = keyof typeof filterParameters

/** Reads what entries are to be looked for by. @returns the filter, or what is wrong: which one, and what it must be */
export function readFilter(
  given: Readonly<Partial<Record<FilterName, string | undefined>>>,
): EntryFilter | { readonly wrong: FilterName; readonly form: string } {
  const read: Record<string, unknown> = {}
  for (const name of Object.keys(filterParameters) as FilterName[]) {
    const parsed = filterParameters[name].safeParse(given[name])
    if (!parsed.success) return { wrong: name, form: formOf(filterParameters[name]) }
    read[name] = parsed.data
  }
  return read
}
