import { Hono } from 'hono'
import type { LocalIssuer } from './tokens.ts'

/** A request is a name; more than this is none. */
const longestBody = 1024
const accountName = /^[a-z0-9][a-z0-9._-]{0,31}$/

/**
 * The trial issuer over HTTP: `POST /trial/token {"name": "alice"}` answers `{"token": …}`, an access token for the account
 * of that name. It asks for no proof, so whoever reaches it can be anybody; it is never mounted in production.
 */
export function trialIssuerRoutes(issuer: LocalIssuer): Hono {
  const routes = new Hono()
  routes.post('/trial/token', async (c) => {
    const length = Number(c.req.header('content-length') ?? Number.NaN)
    if (!(length <= longestBody)) return c.json({ error: 'a JSON body of at most 1024 bytes is needed' }, 413)
    const body: unknown = await c.req.json().catch(() => undefined)
    const { name, kind = 'person' } = (body ?? {}) as { name?: unknown; kind?: unknown }
    if (typeof name !== 'string' || !accountName.test(name))
      return c.json({ error: 'name must be 1 to 32 lower-case letters, digits or ._-' }, 400)
    if (kind !== 'person' && kind !== 'business') return c.json({ error: 'kind must be person or business' }, 400)
    c.header('cache-control', 'no-store')
    return c.json({ token: await issuer.issue({ sub: name, kind }) })
  })
  return routes
}
