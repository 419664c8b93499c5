import { createHash } from 'node:crypto'
import { type Context, Hono } from 'hono'
import type { Credentials } from './credentials.ts'
import { encodeVerifier, type NoteVerifier, parseTilePath, type ReadFile } from './log/index.ts'
import { problem } from './problems.ts'
import { allows } from './scopes.ts'
import type { Shard } from './shards.ts'

/** What was published once stays the same: whoever may read it may keep it. Not shared: it is behind a credential. */
const forever = 'private, max-age=31536000, immutable'

export interface LogRoutesOptions {
  readonly read: ReadFile
  readonly credentials: Credentials
  /** The keys that sign now. */
  keys?(): Promise<readonly NoteVerifier[]>
  /** The logs of all years. */
  logs?(): Promise<readonly Shard[]>
}

/** A year, below which its log lies, and the rest of the path. */
const yearForm = /^(?:\d{4}\/)?(.*)$/

/**
 * The published log below `/audit`, as C2SP tlog-tiles asks for it, for those with a credential
 * (`Authorization: Bearer …`); below a year, that of the year. Only paths of tiles in their one way of writing are looked for on disk.
 */
export function logRoutes({ read, credentials, keys, logs }: LogRoutesOptions): Hono {
  const routes = new Hono().basePath('/audit')
  const serve = async (c: Context, path: string | undefined, headers: Record<string, string>) => {
    const refused = allows(c, credentials, 'log')
    if (refused) return refused
    const bytes = path === undefined ? undefined : await read(path)
    if (!bytes) return problem(c, 'not-found')
    const etag = `"${createHash('sha256').update(bytes).digest('base64url')}"`
    const known = (c.req.header('if-none-match') ?? '').split(/\s*,\s*/).includes(etag)
    return known ? c.body(null, 304, { ...headers, etag }) : c.body(Buffer.from(bytes), 200, { ...headers, etag })
  }
  for (const year of ['', '/:year{\\d{4}}']) {
    routes.get(`${year}/checkpoint`, (c) =>
      serve(c, c.req.path.slice('/audit/'.length), {
        ...{ 'content-type': 'text/plain; charset=utf-8', 'cache-control': 'no-cache' },
      }),
    )
    routes.get(`${year}/tile/*`, (c) => {
      const path = c.req.path.slice('/audit/'.length)
      const [, below = ''] = yearForm.exec(path) ?? []
      const headers = { 'content-type': 'application/octet-stream', 'cache-control': forever }
      return serve(c, parseTilePath(below) ? path : undefined, headers)
    })
  }
  routes.get('/keys', async (c) => {
    const refused = allows(c, credentials, 'log')
    if (refused) return refused
    const lines = ((await keys?.()) ?? []).map((verifier) => `${encodeVerifier(verifier)}\n`)
    return c.text(lines.join(''), 200, { 'cache-control': 'no-cache' })
  })
  routes.get('/logs', async (c) => {
    const refused = allows(c, credentials, 'log')
    if (refused) return refused
    const all = ((await logs?.()) ?? []).map(({ origin, label, signedSize, closed, keys }) => ({
      ...{ log: origin, path: label === '' ? '/audit/' : `/audit/${label}/` },
      ...{ size: signedSize ?? 0, closed, keys: keys ?? [] },
    }))
    return c.json({ logs: all, kept: 'for good' }, 200, { 'cache-control': 'no-cache' })
  })
  // Whatever else is asked for: what there is, only who may read it is told. /audit itself is the auditors' page.
  routes.get('/:rest{.+}', (c) => allows(c, credentials, 'log') ?? problem(c, 'not-found'))
  // A route for GET answers HEAD too; what comes here has another method.
  routes.all('/:rest{.+}', (c) => problem(c, 'wrong-method'))
  return routes
}
