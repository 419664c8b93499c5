import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'

/** Values that one label may take. Beyond it they are counted together: a label that grows with its users fills memory. */
const mostValues = 100
/** Short names, status codes of HTTP and WebSocket, and 0 for a request without an answer. */
const labelValue = /^[a-z][a-z0-9_.-]{0,39}$|^0$|^[1-5]\d{2,3}$/i

/**
 * Longest wait for the value of a gauge, ms: whoever scrapes gives up after ten seconds, and then has nothing at all. Longer
 * than the health check waits for a dependency, whose answer is a value too.
 */
const gaugeMs = 3_000

/** From a message that stays in the process (1 ms) to one that waited for a room key (30 s). */
const secondsBuckets = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30]

export type Labels = Readonly<Record<string, string>>

export interface Instrument {
  readonly help: string
  /** Labels have few values each, and none that names a person, a device or a room. */
  readonly labels?: readonly string[]
  /**
   * Of a counter: values that its labels will have, each with each. They are counted from 0 on, not from 1: Prometheus
   * cannot see the first count of a line that was not there before, and a sum without a line is empty.
   */
  readonly known?: Readonly<Record<string, readonly string[]>>
}

export interface Counters<Name extends string> {
  count(name: Name, labels?: Labels, by?: number): void
}

export interface Timers<Name extends string> {
  /** @param seconds how long it took */
  observe(name: Name, seconds: number, labels?: Labels): void
}

/** One value of one metric: `silta_edge_queue_depth`, `{stage: 'to-matrix'}`, 7. */
export interface MetricValue {
  readonly name: string
  readonly labels: Labels
  readonly value: number
}

/** The metrics of one process, named `silta_{module}_{name}`. */
export interface Metrics {
  counters<Name extends string>(module: string, table: Readonly<Record<Name, Instrument>>): Counters<Name>
  timers<Name extends string>(module: string, table: Readonly<Record<Name, Instrument>>): Timers<Name>
  /** A value that is asked for when somebody looks. One that cannot be read, or not in three seconds, is left out. */
  gauge(module: string, name: string, help: string, read: () => number | Promise<number>): void
  /** Values of one kind, told apart by a label; read together when somebody looks. */
  gauges<Value extends string>(
    module: string,
    name: string,
    instrument: { readonly help: string; readonly label: string },
    read: () => Promise<Readonly<Record<Value, number>>>,
  ): void
  readonly contentType: string
  /** Text in Prometheus' exposition format. */
  render(): Promise<string>
  /** The same values for a program; of histograms sum and count. */
  values(): Promise<MetricValue[]>
}

export function openMetrics(): Metrics {
  const registers = [new Registry()]
  const [registry] = registers as [Registry]
  collectDefaultMetrics({ register: registry, prefix: 'silta_process_' })
  const fullName = (module: string, name: string, unit: string) => `silta_${module}_${name}${unit}`

  return {
    counters(module, table) {
      const made = instruments(table, (name, { help, labels }) => {
        const labelNames = [...(labels ?? [])]
        return new Counter({ name: fullName(module, name, '_total'), help, labelNames, registers })
      })
      for (const [name, { instrument, labels }] of made)
        for (const known of combined(table[name].known ?? {})) instrument.inc(labels(known), 0)
      return {
        count(name, labels, by = 1) {
          const one = made.get(name)
          one?.instrument.inc(one.labels(labels), by)
        },
      }
    },
    timers(module, table) {
      const made = instruments(table, (name, { help, labels }) => {
        const labelNames = [...(labels ?? [])]
        return new Histogram({
          name: fullName(module, name, '_seconds'),
          help,
          labelNames,
          buckets: secondsBuckets,
          registers,
        })
      })
      return {
        observe(name, seconds, labels) {
          const one = made.get(name)
          one?.instrument.observe(one.labels(labels), seconds)
        },
      }
    },
    gauge(module, name, help, read) {
      const value = inTime(read)
      const gauge = new Gauge({
        name: fullName(module, name, ''),
        help,
        registers,
        async collect() {
          try {
            gauge.set(await value())
          } catch {
            // Not reset(): that sets a gauge without labels to 0.
            gauge.remove()
          }
        },
      })
    },
    gauges(module, name, { help, label }, read) {
      const all = inTime(read)
      const gauge = new Gauge({
        name: fullName(module, name, ''),
        help,
        labelNames: [label],
        registers,
        async collect() {
          gauge.reset()
          const values = await all().catch(() => ({}))
          for (const [value, number] of Object.entries<number>(values)) gauge.set({ [label]: value }, number)
        },
      })
    },
    contentType: registry.contentType,
    render: () => registry.metrics(),
    async values() {
      const metrics = await registry.getMetricsAsJSON()
      return metrics.flatMap(({ name, values }) =>
        values
          .map((one) => ({
            name: ('metricName' in one && String(one.metricName)) || name,
            labels: plain(one),
            value: one.value,
          }))
          .filter(({ name }) => !name.endsWith('_bucket')),
      )
    },
  }
}

/** Each value of each label with each of the others; none where no label has known values. */
function combined(known: Readonly<Record<string, readonly string[]>>): Labels[] {
  const labels = Object.entries(known)
  if (labels.length === 0) return []
  return labels.reduce<Labels[]>(
    (all, [label, values]) => all.flatMap((one) => values.map((value) => ({ ...one, [label]: value }))),
    [{}],
  )
}

/** Rejects when the value does not come in time. What does not answer is not asked once more meanwhile. */
function inTime<Value>(read: () => Value | Promise<Value>): () => Promise<Value> {
  let running: Promise<Value> | undefined
  return async () => {
    running ??= (async () => read())().finally(() => {
      running = undefined
    })
    const late = Promise.withResolvers<never>()
    const timer = setTimeout(() => late.reject(new Error('the value of a gauge does not come')), gaugeMs)
    try {
      return await Promise.race([running, late.promise])
    } finally {
      clearTimeout(timer)
    }
  }
}

function instruments<Name extends string, Made>(
  table: Readonly<Record<Name, Instrument>>,
  make: (name: Name, instrument: Instrument) => Made,
): Map<Name, { instrument: Made; labels: (given: Labels | undefined) => Labels }> {
  const entries = Object.entries(table) as [Name, Instrument][]
  return new Map(
    entries.map(([name, instrument]) => [
      name,
      { instrument: make(name, instrument), labels: boundedLabels(instrument.labels ?? []) },
    ]),
  )
}

const plain = ({ labels }: { labels: Partial<Record<string, string | number>> }): Labels =>
  Object.fromEntries(Object.entries(labels).map(([name, value]) => [name, String(value)]))

/** Exactly the declared labels, with values that are short names, and not too many of them. */
function boundedLabels(names: readonly string[]): (given: Labels | undefined) => Labels {
  const seen = new Map(names.map((name) => [name, new Set<string>()]))
  return (given = {}) =>
    Object.fromEntries(
      names.map((name) => {
        const value = given[name] ?? 'none'
        const values = seen.get(name)!
        if (!values.has(value) && (values.size >= mostValues || !labelValue.test(value))) return [name, 'other']
        values.add(value)
        return [name, value]
      }),
    )
}
