import { entryJsonSchema } from '../event-schema.ts'
import { problems } from '../problems.ts'
import { metaOf } from './filter.ts'
import { operations } from './operations.ts'

/** The contract of the query API, OpenAPI 3.1. */
export function openApiDocument(): Record<string, unknown> {
  const paths: Record<string, unknown> = {}
  for (const [operationId, operation] of Object.entries(operations)) {
    const { path, scope, summary, answer, media, parameters } = operation
    const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => ({
      ...{ name, in: 'path', required: true },
      schema: { type: 'integer', minimum: 0 },
    }))
    const inQuery = Object.entries(parameters.shape).map(([name, type]) => {
      const { description, wire, usual } = metaOf(type)
      const schema = usual === undefined ? wire : { ...wire, default: usual }
      return { name, in: 'query', required: false, description, schema }
    })
    const content = Object.fromEntries(media.map((type) => [type, { schema: schemaOf(operationId, type) }]))
    paths[path] = {
      get: {
        ...{ operationId, summary },
        security: scope === undefined ? [] : [{ auditor: [scope] }],
        parameters: [...inPath, ...inQuery],
        responses: { 200: { description: answer, content }, default: { $ref: '#/components/responses/Problem' } },
      },
    }
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'The compliance log, for auditors',
      version: '1',
      description:
        'Asks a transparency log. Each entry comes with the log’s name and its index, so that it can be proven: below /audit/ are the log’s checkpoint and tiles (C2SP tlog-tiles), and nothing here has to be believed.',
    },
    paths,
    components: {
      securitySchemes: {
        auditor: { type: 'http', scheme: 'bearer', description: 'A credential from the operator (silta auditor add).' },
      },
      responses: {
        Problem: {
          description: 'Refused (RFC 9457).',
          content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } },
        },
      },
      schemas: {
        Problem: {
          type: 'object',
          required: ['type', 'code', 'status', 'title'],
          properties: {
            type: { type: 'string' },
            code: { type: 'string', enum: Object.keys(problems) },
            status: { type: 'integer' },
            title: { type: 'string' },
            detail: { type: 'string' },
          },
        },
        PlacedEntry: {
          type: 'object',
          required: ['log', 'index', 'entry'],
          properties: {
            log: { type: 'string', description: 'The log’s origin.' },
            index: { type: 'integer', minimum: 0 },
            entry: { $ref: '#/components/schemas/Entry' },
          },
        },
        Page: {
          type: 'object',
          required: ['entries', 'indexed'],
          properties: {
            entries: { type: 'array', items: { $ref: '#/components/schemas/PlacedEntry' } },
            next: { type: 'string', description: 'Where to go on; absent at the end.' },
            indexed: { type: 'integer', description: 'Entries below this index were looked at.' },
          },
        },
        Entry: withoutDialect(entryJsonSchema()),
      },
    },
  }
}

function schemaOf(operation: string, type: string): Record<string, unknown> {
  if (type !== 'application/json') return type.endsWith('json') && operation === 'schema' ? {} : { type: 'string' }
  if (operation === 'entries') return { $ref: '#/components/schemas/Page' }
  if (operation === 'entry') return { $ref: '#/components/schemas/PlacedEntry' }
  return { type: 'object' }
}

function withoutDialect({ $schema: _, ...schema }: Record<string, unknown>): Record<string, unknown> {
  return schema
}
