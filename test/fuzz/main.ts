// npm run fuzz: what no decoder may do with any input: throw what is not its own error, or take its time.
import { parseArgs } from 'node:util'
import { fuzz, keep, seeded } from './engine.ts'
import { fuzzTargets } from './targets.ts'

const targets = await fuzzTargets()
const help = `npm run fuzz -- [options] [target ...]

Gives decoders inputs made from examples and from test/fuzz/corpus. What one may not do with any input: throw what is not
its own typed error, or take seconds. An input that fails is kept in the corpus, which npm test goes through too.

  --seconds N   for each target (10)
  --seed N      the same inputs again
  --help        this text

Targets: ${targets.map(({ name }) => name).join(' ')}`

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { seconds: { type: 'string', default: '10' }, seed: { type: 'string' }, help: { type: 'boolean' } },
})
if (values.help) {
  console.log(help)
  process.exit(0)
}
const seed = Number(values.seed ?? Math.floor(Math.random() * 2 ** 31))
console.log(`seed ${seed}`)
let failed = false
for (const target of targets) {
  if (positionals.length > 0 && !positionals.some((word) => target.name.includes(word))) continue
  const limits = { inputs: Number.POSITIVE_INFINITY, milliseconds: Number(values.seconds) * 1000 }
  const { inputs, ways, failures } = await fuzz(target, { ...limits, random: seeded(seed) })
  console.log(`${failures.length > 0 ? 'FAILED' : 'ok    '}  ${target.name}: ${inputs} inputs, ${ways} ways to answer`)
  for (const { input, why } of failures) {
    failed = true
    console.log(`        ${keep(target.name, input)}\n        ${why.split('\n').slice(0, 6).join('\n        ')}`)
  }
}
process.exit(failed ? 1 : 0)
