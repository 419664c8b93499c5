import { Hono } from 'hono'
import { z } from 'zod'
import { type Interop, interopOutcomes } from './interop.ts'
import type { Mapping } from './subjects/mapping.ts'

export interface OperatorRoutesOptions {
  readonly mapping: Mapping
  readonly interop: Interop
  /** Ids of auditors that stand in their file otherwise than they were admitted. */
  changedAuditors(): readonly string[]
  erase(account: string): Promise<Erased>
}

/**
 * What came of asking for an erasure.
 *
 * - erased: nobody can tell any more
 * - begun: it is in the log and in the database, and the file of keys could not be rewritten yet
 * - not-known: the log does not know the account, or no longer
 */
export type Erased = 'erased' | 'begun' | 'not-known'

const subject = z.strictObject({ account: z.string().max(512) })
const mapped = z.strictObject({ account: z.string().max(512), credential: z.string().max(128) })
const received = z.strictObject({ provider: z.string().max(253), received: z.number().optional() })
const answered = z.strictObject({
  request: z.string().max(64),
  outcome: z.enum(interopOutcomes),
  reason: z.string().max(64).optional(),
})

/** What the operator's commands ask of the running service, over its own socket. */
export function operatorRoutes({ erase, mapping, interop, changedAuditors }: OperatorRoutesOptions): Hono {
  const routes = new Hono().basePath('/audit')
  routes.post('/erase', async (c) => {
    const asked = subject.safeParse(await c.req.json().catch(() => undefined))
    if (!asked.success) return c.json({ title: 'an account is needed' }, 400)
    const erased = await erase(asked.data.account)
    if (erased === 'not-known') return c.json({ title: 'not known' }, 404)
    return erased === 'begun' ? c.json({ title: 'begun, and not done yet' }, 202) : c.json({})
  })
  for (const step of ['request', 'approve'] as const)
    routes.post(`/map/${step}`, async (c) => {
      const asked = mapped.safeParse(await c.req.json().catch(() => undefined))
      if (!asked.success) return c.json({ code: 'malformed' }, 400)
      const answer = await mapping[step](asked.data.account, asked.data.credential)
      return typeof answer === 'string' ? c.json({ code: answer }, 403) : c.json(answer ?? {})
    })
  routes.post('/interop/received', async (c) => {
    const asked = received.safeParse(await c.req.json().catch(() => undefined))
    if (!asked.success) return c.json({ code: 'malformed' }, 400)
    const answer = await interop.received(asked.data.provider, asked.data.received ?? Date.now())
    return typeof answer === 'string' ? c.json({ code: answer }, 400) : c.json(answer)
  })
  routes.post('/interop/answered', async (c) => {
    const asked = answered.safeParse(await c.req.json().catch(() => undefined))
    if (!asked.success) return c.json({ code: 'malformed' }, 400)
    const { request, outcome, reason } = asked.data
    const answer = await interop.answered(request, outcome, reason)
    return answer === 'answered' ? c.json({}) : c.json({ code: answer }, 400)
  })
  routes.post('/interop/list', async (c) => c.json({ requests: await interop.list() }))
  routes.post('/auditors', (c) => c.json({ changed: changedAuditors() }))
  return routes
}
