import { z } from 'zod'
import type { Scope } from '../credentials.ts'
import { exportFormats } from '../reading/index.ts'
import { choice, filterParameters, text, whole } from './filter.ts'

/** Entries on one page: 100 unless told, 1,000 at most, which are half a megabyte. */
export const pageLimit = { usual: 100, most: 1000 }
/** Entries that figures are added up from: a year of hours of one provider and process, or a month of a dozen. */
export const mostAddedUp = 10_000
/** Questions that are answered at once, over all auditors: each may keep a connection of the database busy for a while. */
export const mostAtOnce = 4
/** Exports under way at once: each goes on for as long as somebody takes it. */
export const mostExports = 2

const log = text(
  /^[a-z0-9.-]{1,253}\/audit(\/\d{4})?$/,
  'The name of the log, as an entry has it. May be left out as long as there is one alone.',
  ...['chat.example.org/audit', 'chat.example.org/audit/2027'],
).optional()

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
      ...filterParameters,
      order: choice(['oldest', 'newest'], 'Which come first. Oldest unless told.').default('oldest'),
      limit: whole(`Entries on a page: ${pageLimit.usual} unless told, ${pageLimit.most} at most.`, {
        ...{ from: 1, to: pageLimit.most },
      }).default(pageLimit.usual),
      cursor: text(/^[A-Za-z0-9_-]{1,64}$/, '`next` of the page before, with the same filter and order.').optional(),
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
      ...filterParameters,
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
      from: filterParameters.from,
      to: filterParameters.to,
      provider: filterParameters.provider,
      by: choice(['hour', 'day'], 'The span, UTC. A day unless told.').default('day'),
    }),
  },
  requests: {
    path: '/audit/v1/requests',
    scope: 'query' as Scope | undefined,
    summary: 'Requests of other providers to be interoperable, and their clock of three months (DMA Article 7(5)).',
    answer: 'The requests, the oldest first, with the days each has taken or takes.',
    media: ['application/json'],
    parameters: z.strictObject({ provider: filterParameters.provider }),
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
