import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { fuzz, seeded } from './fuzz/engine.ts'
import { fuzzTargets } from './fuzz/targets.ts'

/** A share of `npm run fuzz`: the whole corpus, and so many inputs more for each target. */
const inputs = 400
const seed = Math.floor(Math.random() * 2 ** 31)

describe(`decoders, given anything (seed ${seed})`, async () => {
  for (const target of await fuzzTargets())
    it(`${target.name}: answers, or refuses with its own error`, async () => {
      const milliseconds = Number.POSITIVE_INFINITY
      const { failures } = await fuzz(target, { inputs, milliseconds, random: seeded(seed) })
      assert.deepEqual(
        failures.map(({ input, why }) => `${Buffer.from(input).toString('base64')}: ${why}`),
        [],
      )
    })
})
