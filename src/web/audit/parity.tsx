import { useEffect, useState } from 'preact/hooks'
import type { ClockedRequest, ParityFigures, ParitySpan } from '../../audit/reading/index.ts'
import { Chart, type Line } from './chart.tsx'
import type { Session } from './session.ts'
import { date, dayOrHour, milliseconds, number, providerName, share } from './words.ts'

const refusedOf = ({ refused }: ParityFigures) => Object.values(refused).reduce((sum, count) => sum + count, 0)

/** What can be compared over time; undefined where there is nothing to say. */
const measures = {
  p90: { title: 'Latency, 9 of 10', of: ({ latency }: ParityFigures) => latency?.p90, form: milliseconds },
  p50: { title: 'Latency, half', of: ({ latency }: ParityFigures) => latency?.p50, form: milliseconds },
  refused: {
    title: 'Refused, share',
    of: (each: ParityFigures) => {
      const asked = each.accepted + refusedOf(each)
      return asked === 0 ? undefined : refusedOf(each) / asked
    },
    form: share,
  },
  delivered: { title: 'Delivered', of: ({ delivered }: ParityFigures) => delivered, form: number },
} as const
type Measure = keyof typeof measures

const dayMs = 86_400_000
/** How far back is looked, days. */
const reach: Record<ParitySpan, number> = { day: 30, hour: 2 }

export function Parity({ session }: { session: Session }) {
  const { figures, span, busy, problem } = session
  const [measure, setMeasure] = useState<Measure>('p90')
  const by = span.value
  useEffect(() => {
    void session.readParity(new Date(Date.now() - reach[by] * dayMs).toISOString().slice(0, 10))
  }, [by])
  const { title, of, form } = measures[measure]
  const all = figures.value
  return (
    <>
      {session.requests.value && <Requests requests={session.requests.value} />}
      <h2>How users are served</h2>
      <p class="hint lead">
        How the users of each provider were served, side by side: the messenger’s own, and those of every network.
        Counted by the service each hour, added up here from {all ? 'entries that were proven' : 'its entries'}.
      </p>
      <div class="filter">
        <label class="field">
          <span>Figure</span>
          <select value={measure} onChange={(event) => setMeasure(event.currentTarget.value as Measure)}>
            {Object.entries(measures).map(([name, each]) => (
              <option key={name} value={name}>
                {each.title}
              </option>
            ))}
          </select>
        </label>
        <label class="field">
          <span>By</span>
          <select
            value={by}
            onChange={(event) => {
              span.value = event.currentTarget.value as ParitySpan
            }}
          >
            <option value="day">day, the last month</option>
            <option value="hour">hour, the last two days</option>
          </select>
        </label>
      </div>
      {!all && busy.value && (
        <>
          <p role="status" class="hint">
            Reading and proving figures: {number(session.proven.value)} so far.
          </p>
          <div class="bone chart-bone" aria-hidden="true" />
        </>
      )}
      {all && all.length === 0 && !problem.value && (
        <p class="empty">No figures yet. The service writes them once an hour, and when it stops.</p>
      )}
      {all && all.length > 0 && (
        <>
          <Chart title={`${title}, by ${by}`} lines={linesOf(all, of)} at={(x) => dayOrHour(x, by)} value={form} />
          <Table figures={all} by={by} />
        </>
      )}
    </>
  )
}

/** Own users first: the others are compared with them. */
const ownFirst = (a: string, b: string) => Number(b === 'own') - Number(a === 'own') || (a < b ? -1 : 1)

/** The legal clock: three months for each request. */
function Requests({ requests }: { requests: readonly ClockedRequest[] }) {
  return (
    <>
      <h2>Requests of other providers</h2>
      {requests.length === 0 ? (
        <p class="hint lead">None so far. Each has to be met within three months (DMA Article 7(5)).</p>
      ) : (
        // biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls is reached by keyboard
        <section class="scroll" aria-label="Requests and their clock" tabIndex={0}>
          <table>
            <thead>
              <tr>
                <th scope="col">Provider</th>
                <th scope="col">Received</th>
                <th scope="col">Due</th>
                <th scope="col">What came of it</th>
                <th scope="col">Days</th>
              </tr>
            </thead>
            <tbody>
              {requests.toReversed().map((each) => (
                <tr key={each.request}>
                  <th scope="row">
                    <bdi>{each.provider}</bdi>
                  </th>
                  <td>{date(each.received)}</td>
                  <td>{date(each.due)}</td>
                  <td>
                    {each.outcome ?? 'open'}
                    {each.reason && ` (${each.reason})`}
                  </td>
                  <td class={each.late ? 'fault' : undefined}>
                    {number(each.days)}
                    {each.late && ', too late'}
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </section>
      )}
    </>
  )
}

function linesOf(figures: readonly ParityFigures[], of: (each: ParityFigures) => number | undefined): Line[] {
  const lines = new Map<string, { x: number; y: number }[]>()
  for (const each of figures) {
    const y = of(each)
    if (y === undefined) continue
    const points = lines.get(each.provider) ?? []
    lines.set(each.provider, points)
    points.push({ x: each.at, y })
  }
  return [...lines]
    .sort(([a], [b]) => ownFirst(a, b))
    .map(([provider, points]) => ({ name: providerName(provider), points }))
}

function Table({ figures, by }: { figures: readonly ParityFigures[]; by: ParitySpan }) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls is reached by keyboard
    <section class="scroll" aria-label="All figures" tabIndex={0}>
      <table>
        <thead>
          <tr>
            <th scope="col">{by === 'day' ? 'Day' : 'Hour'} (UTC)</th>
            <th scope="col">Users of</th>
            <th scope="col">Taken</th>
            <th scope="col">Delivered</th>
            <th scope="col">Refused</th>
            <th scope="col">Half within</th>
            <th scope="col">9 of 10 within</th>
            <th scope="col">99 of 100 within</th>
          </tr>
        </thead>
        <tbody>
          {figures
            .toSorted((a, b) => b.at - a.at || ownFirst(a.provider, b.provider))
            .map((each) => (
              <tr key={`${each.at} ${each.provider}`}>
                <th scope="row">{dayOrHour(each.at, by)}</th>
                <td>
                  <bdi>{providerName(each.provider)}</bdi>
                </td>
                <td>{number(each.accepted)}</td>
                <td>{number(each.delivered)}</td>
                <td>{refusedText(each)}</td>
                {(['p50', 'p90', 'p99'] as const).map((name) => (
                  <td key={name}>{each.latency ? milliseconds(each.latency[name]) : '–'}</td>
                ))}
              </tr>
            ))}
        </tbody>
      </table>
    </section>
  )
}

function refusedText(figures: ParityFigures): string {
  const codes = Object.entries(figures.refused).map(([code, count]) => `${code} ${number(count)}`)
  return codes.length === 0 ? '0' : `${number(refusedOf(figures))} (${codes.join(', ')})`
}
