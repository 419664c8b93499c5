import { parseArgs } from 'node:util'

export interface BenchOptions {
  readonly json: boolean
  readonly quick: boolean
  readonly help: boolean
  /** Only measurements with one of these words in their name; all without any. */
  readonly names: readonly string[]
  /** Interleaved rounds, of which the medians are shown. */
  readonly rounds: number
  /** Messages of one throughput measurement. */
  readonly messages: number
  /** Folder with the harness of the reference peer. */
  readonly peer: string | undefined
}

export const help = `npm run bench -- [options] [name ...]

Measures Silta against a homeserver in memory, encrypted on both sides. Names choose measurements:
  throughput latency cpu profile      conversations, on each database (pglite, postgres)
  to-matrix to-messenger 1-room 20-rooms pglite postgres
  floor                               the cryptography and the commits that a message cannot do without
  mls                                 messages, commits and joins in rooms of 2, 50, 250 and 1,000 members
  synapse                             what two Matrix clients see on a real Synapse, and what the bridge adds (only when named)
  connections                         2,000 connected devices that say nothing, each of an account of its own (only when named)
  guests                              5,000 idle guests, and how soon a first message is in (only when named)
  audit                               what the compliance log costs, and answers of a million and ten million entries;
                                      20 minutes and 8 GB on disk (only when named)
  start                               how soon a service with 1,000 idle conversations is ready (only when named)
  memory                              100,000 messages, memory before and after (only when named)
  peer                                nothing but what --peer asks for

  --quick          short runs, one round: to see that it works, not to compare
  --rounds N       interleaved rounds; medians are shown (3)
  --messages N     messages of one throughput measurement (1000)
  --peer DIR       also beside the reference peer: both under the harness in DIR, interleaved (needs what its README names)
  --json           results as JSON on standard output; everything else goes to standard error (npm's own lines: npm run -s)
  --help           this text`

export function readOptions(words: readonly string[]): BenchOptions {
  const { values, positionals } = parseArgs({
    args: [...words],
    allowPositionals: true,
    options: {
      json: { type: 'boolean', default: false },
      quick: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
      rounds: { type: 'string' },
      messages: { type: 'string' },
      peer: { type: 'string' },
    },
  })
  const { json, quick, help } = values
  if (positionals.includes('peer') && values.peer === undefined) throw new Error('peer needs --peer DIR')
  const unknown = positionals.find((name) => !kinds.some((kind) => kind.includes(name)))
  if (unknown !== undefined) throw new Error(`nothing is called ${unknown}; --help names what there is`)
  return {
    ...{ json, quick, help },
    names: positionals,
    rounds: count(values.rounds, quick ? 1 : 3),
    messages: count(values.messages, quick ? 200 : 1000),
    peer: values.peer,
  }
}

function count(text: string | undefined, usual: number): number {
  if (text === undefined) return usual
  const value = Number(text)
  if (!Number.isInteger(value) || value < 1) throw new Error(`${text} is not a whole number above 0`)
  return value
}

/** Words of one line are choices of one kind: of each kind that is named, one has to fit. */
const kinds: readonly (readonly string[])[] = [
  [
    ...['throughput', 'cpu', 'latency', 'profile', 'floor', 'mls', 'memory', 'start', 'synapse'],
    ...['connections', 'guests', 'audit', 'peer'],
  ],
  ['pglite', 'postgres'],
  ['to-matrix', 'to-messenger'],
  ['1-room', '20-rooms'],
]

/** Whether a measurement that these words describe is wanted. */
export function wanted({ names }: Pick<BenchOptions, 'names'>, ...of: string[]): boolean {
  return kinds.every((kind) => {
    const chosen = names.filter((name) => kind.includes(name))
    const described = of.filter((word) => kind.includes(word))
    return (
      chosen.length === 0 ||
      (described.length === 0 ? kind !== kinds[0] : described.some((word) => chosen.includes(word)))
    )
  })
}
