import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parityOf } from './parity.ts'

const measured = (provider: string, hour: number, steps: [number, number][], more: object = {}) => ({
  ...{ type: 'parity.measured', provider, accepted: 10, delivered: 20, refused: [{ code: 'rate-limited', count: 2 }] },
  since: new Date(Date.UTC(2026, 0, 1, hour)).toISOString(),
  until: new Date(Date.UTC(2026, 0, 1, hour + 1)).toISOString(),
  latency: { steps: steps.map(([ms, count]) => ({ ms, count })) },
  ...more,
})

test('hours and processes are added up to days, quantiles out of the added histograms', () => {
  const entries = [
    measured('own', 1, [
      [10, 90],
      [100, 10],
    ]),
    // Another process, in the same hour; and a slow hour of the same day.
    measured('own', 1, [[10, 100]]),
    measured('own', 9, [
      [100, 799],
      [900, 1],
    ]),
    measured('matrix', 3, [], { latency: undefined, refused: [] }),
    measured('own', 30, [[5, 1]]),
    { type: 'refusals.counted', provider: 'own', count: 5 },
    { type: 'parity.measured', provider: 'own', since: 'never' },
  ]
  const day = Date.UTC(2026, 0, 1)
  const figures = parityOf(entries, 'day')
  assert.deepEqual(figures.slice(0, 2), [
    { provider: 'matrix', at: day, accepted: 10, delivered: 20, refused: {}, latency: undefined },
    {
      ...{ provider: 'own', at: day, accepted: 30, delivered: 60, refused: { 'rate-limited': 6 } },
      latency: { measured: 1000, p50: 100, p90: 100, p99: 100 },
    },
  ])
  assert.deepEqual(
    parityOf(entries, 'hour').map(({ provider, at, latency }) => [provider, (at - day) / 3_600_000, latency?.p90]),
    [
      ['own', 1, 10],
      ['matrix', 3, undefined],
      ['own', 9, 100],
      ['own', 30, 5],
    ],
  )
})
