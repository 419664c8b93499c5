import type { Context } from 'hono'
import type { Credentials, Scope } from './credentials.ts'
import { problem } from './problems.ts'

/** Refuses a request without a credential for this scope; undefined when it may go on, as what needs none may. */
export function allows(c: Context, credentials: Credentials, scope: Scope | undefined): Response | undefined {
  if (scope === undefined) return undefined
  const [, credential = ''] = /^Bearer +(\S+)$/i.exec(c.req.header('authorization') ?? '') ?? []
  const holder = credentials.holderOf(credential)
  if (!holder) return problem(c, 'unauthorized')
  if (holder.changed) return problem(c, 'credential-changed')
  return holder.scopes.includes(scope) ? undefined : problem(c, 'out-of-scope')
}
