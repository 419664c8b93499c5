import { readText, textMessage } from '../src/content/index.ts'
import { startMatrixClient } from '../test/support/matrix-client.ts'
import { newPerson } from '../test/support/messenger-person.ts'
import { testSynapse } from '../test/support/synapse.ts'
import type { BenchOptions } from './options.ts'
import { startMeasured } from './service.ts'
import { median } from './statistics.ts'

/** What a conversation over the bridge takes beside one of two Matrix clients, on the same Synapse, in milliseconds. */
export interface BesideNative {
  readonly rounds: number
  /** Messages of each kind in a round. */
  readonly messages: number
  /** Medians over the rounds of each round's median. */
  readonly nativeMs: number
  readonly toMatrix: Compared
  readonly toMessenger: Compared
}

interface Compared {
  readonly ms: number
  /** The rounds' ratios to native: their median, and the interval in which it lies. */
  readonly ratio: number
  readonly interval: readonly [low: number, high: number]
}

const patienceMs = 60_000
const warmUps = 3

/**
 * Measures from the call that sends until the message is read, decrypted: between two clients (matrix-js-sdk, each in a
 * process of its own), and between one of them and a device of the messenger, each way. One message at a time, the three in
 * turn, so that what else the machine does meets all alike.
 */
export async function measureBesideNative(
  options: Pick<BenchOptions, 'quick'>,
  progress: (line: string) => void,
): Promise<BesideNative> {
  const [rounds, messages] = options.quick ? [3, 3] : [10, 10]
  progress('synapse: started, with two clients and the service')
  await using synapse = await testSynapse()
  await using service = await startMeasured(synapse, undefined)
  await using alice = await startMatrixClient({ synapse, name: 'alice' })
  await using bob = await startMatrixClient({ synapse, name: 'bob' })
  await using carol = await newPerson(service.url, 'carol')

  const native = await alice.createRoom({ invite: [bob.user], direct: true })
  await alice.untilJoined(native, bob.user)
  const room = await carol.device.conversationWith({ network: 'matrix', value: alice.user })
  await carol.device.send(room, textMessage({ plain: 'hello' }))
  const bridged = (await alice.untilReceived('hello', { timeoutMs: patienceMs })).room
  const waiting = new Map<unknown, () => void>()
  carol.device.on('message', ({ content }) => waiting.get(readText(content)?.plain)?.())
  const atCarol = (text: string) => new Promise<void>((resolve) => void waiting.set(text, resolve))
  const atClient = (client: typeof alice, text: string) => client.untilReceived(text, { timeoutMs: patienceMs })

  let number = 0
  const timed = async (received: (text: string) => Promise<unknown>, send: (text: string) => Promise<unknown>) => {
    const text = `message ${++number}`
    const there = received(text)
    const begun = performance.now()
    await Promise.all([there, send(text)])
    return performance.now() - begun
  }
  const kinds = {
    native: () =>
      timed(
        (text) => atClient(bob, text),
        (text) => alice.send(native, text),
      ),
    toMatrix: () =>
      timed(
        (text) => atClient(alice, text),
        (text) => carol.device.send(room, textMessage({ plain: text })),
      ),
    toMessenger: () => timed(atCarol, (text) => alice.send(bridged, text)),
  }
  type Kind = keyof typeof kinds
  const turn = async (into: Record<Kind, number[]>) => {
    for (const kind of Object.keys(kinds) as Kind[]) into[kind].push(await kinds[kind]())
  }
  const empty = (): Record<Kind, number[]> => ({ native: [], toMatrix: [], toMessenger: [] })
  for (let time = 0; time < warmUps; time++) await turn(empty())
  const medians = empty()
  for (let round = 1; round <= rounds; round++) {
    const times = empty()
    for (let time = 0; time < messages; time++) await turn(times)
    for (const kind of Object.keys(kinds) as Kind[]) medians[kind].push(median(times[kind]))
    progress(`synapse: round ${round} of ${rounds}, native ${Math.round(medians.native.at(-1)!)} ms`)
  }
  const compared = (kind: Kind): Compared => {
    const ratios = medians[kind].map((ms, round) => ms / medians.native[round]!).sort((one, other) => one - other)
    return { ms: median(medians[kind]), ratio: median(ratios), interval: medianInterval(ratios) }
  }
  return {
    ...{ rounds, messages, nativeMs: median(medians.native) },
    toMatrix: compared('toMatrix'),
    toMessenger: compared('toMessenger'),
  }
}

/**
 * The values between which the median of what was sampled lies, by their ranks (binomial): at ten values the second and
 * the ninth, with 97.9 % confidence; below six the lowest and the highest, which is no such confidence.
 */
function medianInterval(sorted: readonly number[]): [number, number] {
  const count = sorted.length
  let below = 0.5 ** count
  let outside = 0
  let term = below
  // One more value is left out on each side while at most 2.5 % lie beyond it.
  while (below <= 0.025 && outside < count / 2) {
    outside++
    term *= (count - outside + 1) / outside
    below += term
  }
  const rank = Math.max(0, outside - 1)
  return [sorted[rank]!, sorted[count - 1 - rank]!]
}
