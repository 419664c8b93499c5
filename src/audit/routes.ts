import { type Context, Hono } from 'hono'
import { parseTilePath, type ReadFile } from './log/index.ts'

/** What was published once stays the same: whoever may read it may keep it. Not shared: it is behind a credential. */
const forever = 'private, max-age=31536000, immutable'

export interface LogRoutesOptions {
  readonly read: ReadFile
  /** Whether this is an auditor's credential. */
  accepts(credential: string): boolean
}

/**
 * The published log below `/audit`, as C2SP tlog-tiles asks for it, for those with a credential
 * (`Authorization: Bearer …`). Only paths of tiles in their one way of writing are looked for on disk.
 */
export function logRoutes({ read, accepts }: LogRoutesOptions): Hono {
  const routes = new Hono().basePath('/audit')
  routes.use(async (c, next) => {
    const [, credential = ''] = /^Bearer +(\S+)$/i.exec(c.req.header('authorization') ?? '') ?? []
    if (accepts(credential)) return next()
    c.header('www-authenticate', 'Bearer realm="audit"')
    return problem(c, 401, 'an auditor’s credential is needed')
  })
  const serve = async (c: Context, path: string, headers: Record<string, string>) => {
    const bytes = await read(path)
    return bytes ? c.body(Buffer.from(bytes), 200, headers) : problem(c, 404, 'not in this log')
  }
  routes.get('/checkpoint', (c) =>
    serve(c, 'checkpoint', { 'content-type': 'text/plain; charset=utf-8', 'cache-control': 'no-cache' }),
  )
  routes.get('/tile/*', (c) => {
    const path = c.req.path.slice('/audit/'.length)
    if (!parseTilePath(path)) return problem(c, 404, 'not in this log')
    return serve(c, path, { 'content-type': 'application/octet-stream', 'cache-control': forever })
  })
  return routes
}

/** RFC 9457. */
function problem(c: Context, status: 401 | 404, title: string): Response {
  return c.body(JSON.stringify({ status, title }), status, { 'content-type': 'application/problem+json' })
}
