import { Hono } from 'hono'
import type { Health, HealthState } from './health.ts'
import type { Metrics, MetricValue } from './metrics.ts'

/** What `silta status` is told of the running service. */
export interface StatusAnswer {
  readonly health: HealthState
  readonly values: readonly MetricValue[]
}

/** GET /status, for the operator's own socket: health and all metrics at once. */
export function statusRoutes({ health, metrics }: { health: Health; metrics: Metrics }): Hono {
  return new Hono().get('/status', async (c) => {
    const answer: StatusAnswer = { health: await health.state(), values: await metrics.values() }
    return c.json(answer)
  })
}
