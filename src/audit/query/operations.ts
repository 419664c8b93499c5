import { z } from 'zod'
import type { Scope } from '../credentials.ts'
import { eventTypes } from '../event-schema.ts'
import { exportFormats } from '../reading/index.ts'

/** Entries on one page: 100 unless told, 1,000 at most, which are half a megabyte. */
export const pageLimit = { usual: 100, most: 1000 }
/** Entries that figures are added up from: a year of hours of one provider and process, or a month of a dozen. */
export const mostAddedUp = 10_000
/** Questions that are answered at once, over all auditors: each may keep a connection of the database busy for a while. */
export const mostAtOnce = 4
/** Exports under way at once: each goes on for as long as somebody takes it. */
export const mostExports = 2

const whole = (description: string) =>
  z
    .string()
    .regex(/^(0|[1-9]\d{0,14})$/)
    .transform(Number)
    .meta({ description, wire: { type: 'integer', minimum: 0 } })

const time = (description: string) =>
  z
    .string()
    .regex(/^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d{1,3})?)?Z)?$/)
    .transform((text) => Date.parse(text))
    .refine((at) => Number.isFinite(at))
    .meta({ description, wire: { type: 'string', examples: ['2026-11-22', '2026-11-22T10:00:00Z'] } })

const word = (description: string) =>
  z
    .string()
    .regex(/^[a-z0-9][a-z0-9.-]{0,252}$/)
    .meta({ description, wire: { type: 'string' } })

const choice = <const Values extends readonly [string, ...string[]]>(values: Values, description: string) =>
  z.enum(values).meta({ description, wire: { type: 'string', enum: [...values] } })

const filter = {
  from: time('Not before this time, UTC.').optional(),
  to: time('Before this time, UTC.').optional(),
  type: choice(eventTypes, 'The kind of event.').optional(),
  provider: word('A network or another provider, as `matrix`; `own` for the messenger’s own users.').optional(),
  pseudonym: z
    .string()
    .regex(/^[A-Za-z0-9_-]{22}$/)
    .meta({
      description: 'Of an account, a device or a conversation; or the id of an erasure.',
      wire: { type: 'string' },
    })
    .optional(),
  outcome: word('What became of it: `done`, `refused`, or what the entry says.').optional(),
}

const log = z
  .string()
  .regex(/^[a-z0-9.-]{1,253}\/audit(\/\d{4})?$/)
  .meta({
    description: 'The name of the log, as an entry has it. May be left out as long as there is one alone.',
    wire: { type: 'string', examples: ['chat.example.org/audit', 'chat.example.org/audit/2027'] },
  })
  .optional()

/** What can be asked, as one table: requests are read by it, and the OpenAPI document is made of it. */
export const operations = {
  entries: {
    path: '/audit/v1/entries',
    scope: 'query' as Scope | undefined,
    summary: 'Entries that were looked for, a page at a time.',
    answer:
      'A page. `next` is where to go on, and absent at the end; a page may have fewer entries than were asked for.',
    media: ['application/json', 'application/x-ndjson', 'text/csv'],
    parameters: z.strictObject({
      ...filter,
      order: choice(['oldest', 'newest'], 'Which come first. Oldest unless told.').default('oldest'),
      limit: whole(`Entries on a page: ${pageLimit.usual} unless told, ${pageLimit.most} at most.`)
        .refine((limit) => limit >= 1 && limit <= pageLimit.most)
        .default(pageLimit.usual),
      cursor: z
        .string()
        .regex(/^[A-Za-z0-9_-]{1,64}$/)
        .meta({ description: '`next` of the page before, with the same filter and order.', wire: { type: 'string' } })
        .optional(),
      format: choice(
        ['json', ...exportFormats],
        'json, or lines as in an export; of lines, the header `Link` with `rel="next"` says where to go on.',
      ).default('json'),
    }),
  },
  entry: {
    path: '/audit/v1/entries/{index}',
    scope: 'query' as Scope | undefined,
    summary: 'One entry by its log and its index there.',
    answer: 'The entry.',
    media: ['application/json'],
    parameters: z.strictObject({ log }),
  },
  proof: {
    path: '/audit/v1/entries/{index}/proof',
    scope: 'query' as Scope | undefined,
    summary: 'The proof of one entry (C2SP tlog-proof), with the entry in its `extra` line.',
    answer: 'The proof.',
    media: ['text/plain'],
    parameters: z.strictObject({ log }),
  },
  export: {
    path: '/audit/v1/export',
    scope: 'query' as Scope | undefined,
    summary: 'All entries that were looked for, as lines, oldest first.',
    answer: 'A line for each entry, with the log’s name and its index. A stream that breaks off is not whole.',
    media: ['application/x-ndjson', 'text/csv'],
    parameters: z.strictObject({
      ...filter,
      format: choice(exportFormats, 'ndjson; ocsf: API Activity (6003) of OCSF 1.8.0; csv.').default('ndjson'),
    }),
  },
  parity: {
    path: '/audit/v1/parity',
    scope: 'query' as Scope | undefined,
    summary: 'How the users of each provider were served, side by side: added up from `parity.measured` entries.',
    answer: 'Figures by span and provider, the oldest first.',
    media: ['application/json'],
    parameters: z.strictObject({
      from: filter.from,
      to: filter.to,
      provider: filter.provider,
      by: choice(['hour', 'day'], 'The span, UTC. A day unless told.').default('day'),
    }),
  },
  requests: {
    path: '/audit/v1/requests',
    scope: 'query' as Scope | undefined,
    summary: 'Requests of other providers to be interoperable, and their clock of three months (DMA Article 7(5)).',
    answer: 'The requests, the oldest first, with the days each has taken or takes.',
    media: ['application/json'],
    parameters: z.strictObject({ provider: filter.provider }),
  },
  schema: {
    path: '/audit/v1/schema',
    scope: undefined,
    summary: 'The JSON Schema of entries.',
    answer: 'JSON Schema 2020-12.',
    media: ['application/schema+json'],
    parameters: z.strictObject({}),
  },
  openapi: {
    path: '/audit/v1/openapi.json',
    scope: undefined,
    summary: 'This document.',
    answer: 'OpenAPI 3.1.',
    media: ['application/json'],
    parameters: z.strictObject({}),
  },
} as const

export type OperationName = keyof typeof operations
