import { type Context, Hono } from 'hono'
import type { Crypto } from '../../crypto/index.ts'
import type { Database } from '../../store/index.ts'
import type { Credentials } from '../credentials.ts'
import { entryJsonSchema } from '../event-schema.ts'
import { keyFor, LogError, type NoteVerifier, parseVerifier, type ReadFile } from '../log/index.ts'
import { problem } from '../problems.ts'
import {
  answeredType,
  clockOf,
  type EntryFilter,
  type EntryJson,
  type ExportFormat,
  head,
  lineOf,
  mediaTypes,
  parityOf,
  parityType,
  proofOf,
  readEntry,
  requestedType,
} from '../reading/index.ts'
import { allows } from '../scopes.ts'
import { type Shard, shardsOf } from '../shards.ts'
import { decodeCursor, encodeCursor } from './cursor.ts'
import { formOf } from './filter.ts'
import { type FoundEntry, find, findOne } from './find.ts'
import { openApiDocument } from './openapi.ts'
import { mostAddedUp, mostAtOnce, mostExports, type OperationName, operations, pageLimit } from './operations.ts'

export interface QueryRoutesOptions {
  readonly database: Database
  readonly crypto: Crypto
  /** The log's key; its name is the log's origin. */
  readonly verifier: NoteVerifier
  /** Reads the published log, for proofs. */
  readonly read: ReadFile
  readonly credentials: Credentials
}

type Handler = (c: Context, given: never, done: () => void) => Promise<Response> | Response

/** Lets so many in at once. @returns what is called at the end; undefined when it is full */
function openSlots(most: number): () => (() => void) | undefined {
  let taken = 0
  return () => {
    if (taken >= most) return undefined
    taken++
    let held = true
    return () => {
      if (held) taken--
      held = false
    }
  }
}

/** What an auditor can ask, below /audit/v1. */
export function queryRoutes({ database, crypto, verifier, read, credentials }: QueryRoutesOptions): Hono {
  const base = verifier.name
  const routes = new Hono()
  const slots = { questions: openSlots(mostAtOnce), exports: openSlots(mostExports) }

  /** Authenticates, reads the parameters by the contract, and answers. */
  const serve = <Name extends OperationName>(
    name: Name,
    answer: (
      c: Context,
      given: ReturnType<(typeof operations)[Name]['parameters']['parse']>,
      done: () => void,
    ) => Promise<Response> | Response,
  ) => {
    const { path, scope, parameters } = operations[name]
    routes.get(path.replaceAll(/\{(\w+)\}/g, ':$1'), async (c) => {
      const refused = allows(c, credentials, scope)
      if (refused) return refused
      const twice = Object.entries(c.req.queries()).find(([, values]) => values.length > 1)
      if (twice) return problem(c, 'bad-parameter', 'A parameter stands there twice.')
      const parsed = parameters.safeParse(c.req.query())
      if (!parsed.success) {
        const [issue] = parsed.error.issues
        if (issue?.code === 'unrecognized_keys')
          return problem(c, 'unknown-parameter', 'See /audit/v1/openapi.json for those there are.')
        const name = String(issue?.path[0] ?? '')
        return problem(c, 'bad-parameter', `${name} must be ${formOf((parameters.shape as object)[name as never])}.`)
      }
      // Of what is streamed nobody would take anything, and its slot would never be free again.
      if (c.req.raw.method === 'HEAD') return c.body(null, 200, { 'cache-control': 'no-store' })
      const streams = name === 'export'
      const done = slots[streams ? 'exports' : 'questions']()
      if (!done) return problem(c, 'busy')
      try {
        const response = await (answer as Handler)(c, parsed.data as never, done)
        // What is streamed has only begun.
        if (!streams) done()
        return response
      } catch (error) {
        done()
        // What is published and cannot be read is the sequencer's to report.
        if (!(error instanceof LogError)) throw error
        return problem(c, 'unavailable')
      }
    })
  }

  const lines = async (format: ExportFormat, entries: readonly FoundEntry[]) => {
    const shards = await shardsOf(database, base)
    const texts = entries.map(({ place, body }) => {
      const { origin, first } = shards.findLast((shard) => shard.first <= place) ?? { origin: base, first: 0 }
      return lineOf(format, { log: origin, index: place - first, body })
    })
    return texts.join('')
  }
  /** The log that was named, or the only one. */
  const named = async (name: string | undefined): Promise<Shard | undefined> => {
    const shards = await shardsOf(database, base)
    return name === undefined && shards.length === 1 ? shards[0] : shards.find(({ origin }) => origin === name)
  }

  serve('entries', async (c, { order, limit, cursor, format, ...filter }) => {
    const question = { filter: filter as EntryFilter, order }
    const at = cursor === undefined ? undefined : decodeCursor(crypto, question, cursor)
    if (cursor !== undefined && at === undefined) return problem(c, 'bad-cursor')
    const { entries, next, indexed } = await find(database, { ...question, at, limit })
    const follow = next === undefined ? undefined : encodeCursor(crypto, question, next)
    const headers: Record<string, string> = { 'cache-control': 'no-store' }
    if (format === 'json') {
      const placed = (await lines('ndjson', entries)).trimEnd().split('\n').filter(Boolean).join()
      const more = follow === undefined ? '' : `,"next":"${follow}"`
      return c.body(`{"entries":[${placed}],"indexed":${indexed}${more}}`, 200, {
        ...headers,
        'content-type': 'application/json',
      })
    }
    if (follow !== undefined) {
      const url = new URL(c.req.url)
      url.searchParams.set('cursor', follow)
      headers.link = `<${url.pathname}${url.search}>; rel="next"`
    }
    return c.body(head[format] + (await lines(format, entries)), 200, {
      ...headers,
      'content-type': mediaTypes[format],
    })
  })

  const indexOf = (c: Context) =>
    /^(0|[1-9]\d{0,14})$/.test(c.req.param('index') ?? '') ? Number(c.req.param('index')) : -1

  serve('entry', async (c, given) => {
    const log = await named(given.log)
    if (!log) return problem(c, given.log === undefined ? 'bad-parameter' : 'not-found', 'log')
    const index = indexOf(c)
    const body = await findOne(database, log, index)
    if (!body) return problem(c, 'not-found')
    return c.body((await lines('ndjson', [{ place: log.first + index, body }])).trimEnd(), 200, {
      'content-type': 'application/json',
    })
  })

  serve('proof', async (c, given) => {
    const log = await named(given.log)
    if (!log) return problem(c, given.log === undefined ? 'bad-parameter' : 'not-found', 'log')
    const index = indexOf(c)
    if (!(await findOne(database, log, index))) return problem(c, 'not-found')
    // Of a year before, the keys that signed it last.
    const noted = (log.keys ?? []).map((key) => parseVerifier(crypto, key))
    const logs = noted.length > 0 ? noted : [keyFor(crypto, verifier, log.origin)]
    const proof = await proofOf(crypto, {
      read: log.label === '' ? read : (path) => read(`${log.label}/${path}`),
      verifier: { logs, witnesses: [], witnessed: () => true },
      index,
    })
    return c.body(new Uint8Array(proof), 200, {
      'content-type': 'text/plain; charset=utf-8',
      'cache-control': 'no-cache',
    })
  })

  serve('export', (c, { format, ...filter }, done) => {
    let at: number | undefined
    let begun = false
    const encoder = new TextEncoder()
    // Read only as fast as it is taken: a page in memory, whatever the size.
    const stream = new ReadableStream<Uint8Array>(
      {
        async pull(controller) {
          try {
            const { entries, next } = await find(database, {
              filter: filter as EntryFilter,
              order: 'oldest',
              at,
              limit: pageLimit.most,
            })
            controller.enqueue(encoder.encode((begun ? '' : head[format]) + (await lines(format, entries))))
            begun = true
            at = next
            if (next !== undefined) return
            controller.close()
          } catch (error) {
            // The connection breaks off: whoever reads sees that it is not whole.
            controller.error(error)
          }
          done()
        },
        cancel: done,
      },
      { highWaterMark: 0 },
    )
    return c.body(stream, 200, {
      'content-type': mediaTypes[format],
      'content-disposition': `attachment; filename="audit.${format === 'csv' ? 'csv' : 'ndjson'}"`,
      'cache-control': 'no-store',
    })
  })

  /** All entries that fit, as far as they are added up at once. */
  const all = async (filter: EntryFilter): Promise<EntryJson[] | undefined> => {
    const found: EntryJson[] = []
    let at: number | undefined
    do {
      const page = await find(database, { filter, order: 'oldest', at, limit: pageLimit.most })
      found.push(...page.entries.map(({ body }) => readEntry(body)))
      at = page.next
    } while (at !== undefined && found.length <= mostAddedUp)
    return found.length <= mostAddedUp ? found : undefined
  }

  serve('parity', async (c, { by, ...filter }) => {
    const entries = await all({ ...filter, type: parityType })
    return entries ? c.json({ log: base, figures: parityOf(entries, by) }) : problem(c, 'too-much')
  })

  serve('requests', async (c, { provider }) => {
    const asked = await all({ provider, type: requestedType })
    const answered = await all({ provider, type: answeredType })
    if (!asked || !answered) return problem(c, 'too-much')
    return c.json({ log: base, requests: clockOf([...asked, ...answered], Date.now()) })
  })

  const json = (document: unknown, type = 'application/json') => {
    const text = JSON.stringify(document)
    return (c: Context) => c.body(text, 200, { 'content-type': type })
  }
  serve('schema', json(entryJsonSchema(), 'application/schema+json'))
  serve('openapi', json(openApiDocument()))
  return routes
}
