import { Hono } from 'hono'
import type { Metrics } from './metrics.ts'

/** Something this process needs, or does better with. */
export interface Dependency {
  readonly name: string
  /** Whether the process is of no use without it: then /readyz is 503 while it is down. */
  readonly needed: boolean
  /** Throws, or gives false, when it is down. Its error's `code` is shown, nothing else of it. */
  check(): Promise<unknown>
}

export interface DependencyState {
  readonly state: 'up' | 'down'
  readonly needed: boolean
  /** Why it is down, one word. */
  readonly code?: string
  /** When this state was first seen, ISO 8601. */
  readonly since: string
}

export interface HealthState {
  readonly status: 'starting' | 'ready' | 'degraded' | 'not-ready' | 'draining'
  readonly dependencies: Readonly<Record<string, DependencyState>>
}

export interface HealthSettings {
  /** Longest wait for one check. 2 s: those who ask give up after a few. */
  readonly checkTimeoutMs?: number
  /** How long an answer is reused: who asks often must not become a load. */
  readonly reuseMs?: number
  readonly clock?: () => number
}

export interface Health {
  /** GET /healthz: the process runs. GET /readyz: it can serve, with the state of each dependency. */
  readonly routes: Hono
  state(): Promise<HealthState>
  /** From now on it is ready, as far as its dependencies are. */
  started(): void
  /** From now on /readyz is 503, so that no new work is sent here. */
  draining(): void
}

const httpStatus = { starting: 503, ready: 200, degraded: 200, 'not-ready': 503, draining: 503 } as const

export function openHealth(dependencies: readonly Dependency[], settings: HealthSettings = {}): Health {
  const { checkTimeoutMs = 2_000, reuseMs = 1_000, clock = Date.now } = settings
  const known = new Map<string, DependencyState>()
  let phase: 'starting' | 'running' | 'draining' = 'starting'
  let last: { readonly at: number; readonly answer: Promise<void> } | undefined

  const look = async (dependency: Dependency): Promise<void> => {
    const code = await within(checkTimeoutMs, dependency)
    const before = known.get(dependency.name)
    const state = code === undefined ? 'up' : 'down'
    const since = before?.state === state ? before.since : new Date(clock()).toISOString()
    known.set(dependency.name, { state, needed: dependency.needed, ...(code === undefined ? {} : { code }), since })
  }
  const lookAtAll = async (): Promise<void> => {
    await Promise.all(dependencies.map(look))
  }

  const state = async (): Promise<HealthState> => {
    if (!last || clock() - last.at >= reuseMs) last = { at: clock(), answer: lookAtAll() }
    await last.answer
    const states = dependencies.map(({ name }) => known.get(name)!)
    return { status: statusOf(phase, states), dependencies: Object.fromEntries(known) }
  }

  const routes = new Hono()
  routes.get('/healthz', (c) => c.json({ status: 'ok' }))
  routes.get('/readyz', async (c) => {
    const answer = await state()
    c.header('cache-control', 'no-store')
    return c.json(answer, httpStatus[answer.status])
  })
  return {
    routes,
    state,
    started: () => {
      if (phase === 'starting') phase = 'running'
    },
    draining: () => {
      phase = 'draining'
    },
  }
}

/**
 * The same as gauges, so that one alert tells of a database that is down: it takes the values with it that are read in it.
 * They are asked for as /readyz is, with its longest wait and its reuse.
 */
export function healthGauges({ state }: Pick<Health, 'state'>, metrics: Metrics): void {
  metrics.gauge('health', 'ready', '1 while it can serve, as /readyz says', async () =>
    httpStatus[(await state()).status] === 200 ? 1 : 0,
  )
  metrics.gauges(
    'health',
    'dependency_up',
    { help: '1 while something that it needs, or does better with, is up; 0 while it is down', label: 'name' },
    async () => {
      const { dependencies } = await state()
      return Object.fromEntries(Object.entries(dependencies).map(([name, { state }]) => [name, state === 'up' ? 1 : 0]))
    },
  )
}

function statusOf(
  phase: 'starting' | 'running' | 'draining',
  states: readonly DependencyState[],
): HealthState['status'] {
  if (phase !== 'running') return phase
  const down = states.filter(({ state }) => state === 'down')
  if (down.some(({ needed }) => needed)) return 'not-ready'
  return down.length > 0 ? 'degraded' : 'ready'
}

/** The code of what is wrong; undefined when the dependency is up. */
async function within(timeoutMs: number, dependency: Dependency): Promise<string | undefined> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<string>((resolve) => {
    timer = setTimeout(() => resolve('timeout'), timeoutMs)
  })
  const asked = (async () => ((await dependency.check()) === false ? 'down' : undefined))().catch(codeOf)
  try {
    return await Promise.race([asked, late])
  } finally {
    clearTimeout(timer)
  }
}

/** fetch hides the reason in the cause. */
function codeOf(error: unknown): string {
  const { code, cause } = (error ?? {}) as { code?: unknown; cause?: { code?: unknown } | null }
  const known = [code, cause?.code].find((one) => typeof one === 'string' && /^[A-Za-z][A-Za-z0-9_-]{0,39}$/.test(one))
  return typeof known === 'string' ? known : 'failed'
}
