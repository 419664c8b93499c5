import { Hono } from 'hono'
import { z } from 'zod'

export interface OperatorRoutesOptions {
  /** @returns false when the log does not know the account */
  erase(account: string): Promise<boolean>
}

const subject = z.strictObject({ account: z.string().max(512) })

/** What the operator's commands ask of the running service, over its own socket. */
export function operatorRoutes({ erase }: OperatorRoutesOptions): Hono {
  const routes = new Hono().basePath('/audit')
  routes.post('/erase', async (c) => {
    const asked = subject.safeParse(await c.req.json().catch(() => undefined))
    if (!asked.success) return c.json({ title: 'an account is needed' }, 400)
    return (await erase(asked.data.account)) ? c.json({}) : c.json({ title: 'not known' }, 404)
  })
  return routes
}
