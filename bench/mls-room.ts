import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { utf8 } from '../src/crypto/index.ts'
import { nodeCrypto } from '../src/crypto/node.ts'
import {
  createCommit,
  createGroup,
  decodeState,
  encodeRatchetsOf,
  encodeState,
  encryptMessage,
  type GroupState,
  generateKeyPackage,
  joinByWelcome,
  joinExternally,
  type MlsProvider,
  processMessage,
} from '../src/mls/index.ts'
import { median } from './statistics.ts'

const everyone = () => {}
/** Bytes of an identity: a device certificate and an endorsement take about so many. */
const identityBytes = 500
/** Leaves added by one commit. */
const addedAtOnce = 50

const device = () => ({
  identity: new Uint8Array(identityBytes),
  keyPair: nodeCrypto.generateKeyPair(),
  notBefore: 0,
  notAfter: 4_000_000_000,
})

/** A room of that many leaves, as its maker and the last one to come see it. */
export async function grownRoom(mls: MlsProvider, members: number) {
  let one = await createGroup(mls, { groupId: utf8(`room of ${members}`), ...device(), extensions: [] })
  const add = async (count: number) => {
    const packages = await Promise.all(Array.from({ length: count }, () => generateKeyPackage(mls, device())))
    const made = await createCommit(mls, one, { add: packages.map(({ publicPart }) => publicPart) })
    one = made.state
    return { packages, made }
  }
  for (let left = members - 2; left > 0; left -= addedAtOnce) await add(Math.min(addedAtOnce, left))
  const { packages, made } = await add(1)
  const welcome = made.welcome!
  const join = () => joinByWelcome(mls, { welcome, keyPackages: packages, authenticate: everyone })
  return { one, other: (await join()).state, groupInfo: made.groupInfo, welcome, join }
}

/** What things cost in a room of this size. Times in ms, sizes in bytes; `written`: state that one member stores anew. */
export interface RoomCost {
  readonly members: number
  readonly message: {
    readonly sendMs: number
    readonly receiveMs: number
    readonly bytes: number
    readonly written: number
  }
  readonly commit: {
    readonly makeMs: number
    readonly processMs: number
    readonly bytes: number
    readonly written: number
  }
  readonly join: {
    readonly welcomeMs: number
    readonly externalMs: number
    readonly bytes: number
    readonly written: number
  }
  /** One decoded state in memory. */
  readonly memory: number
}

export async function roomCost(mls: MlsProvider, members: number, times: number): Promise<RoomCost> {
  const room = await grownRoom(mls, members)
  let { one, other } = room
  const options = { authenticate: everyone }
  const spent = { send: [] as number[], receive: [] as number[], make: [] as number[], process: [] as number[] }
  const timed = async <T>(into: number[], work: () => Promise<T>): Promise<T> => {
    const begun = performance.now()
    const result = await work()
    into.push(performance.now() - begun)
    return result
  }
  let message = new Uint8Array()
  let commit = new Uint8Array()
  const plaintext = new Uint8Array(200)
  for (let time = 0; time < times; time++) {
    const sent = await timed(spent.send, async () => {
      const made = await encryptMessage(mls, one, plaintext)
      encodeRatchetsOf(made.state)
      return made
    })
    one = sent.state
    message = sent.message as typeof message
    other = (
      await timed(spent.receive, async () => {
        const got = await processMessage(mls, other, sent.message, options)
        encodeRatchetsOf(got.state)
        return got
      })
    ).state
  }
  const [messageWritten] = [encodeRatchetsOf(one).length]
  for (let time = 0; time < Math.max(3, times / 10); time++) {
    const made = await timed(spent.make, async () => {
      const result = await createCommit(mls, one)
      encodeState(result.state)
      return result
    })
    one = made.state
    commit = made.commit as typeof commit
    other = (
      await timed(spent.process, async () => {
        const got = await processMessage(mls, other, made.commit, options)
        encodeState(got.state)
        return got
      })
    ).state
  }
  const welcomeTimes: number[] = []
  const externalTimes: number[] = []
  for (let time = 0; time < 3; time++) {
    await timed(welcomeTimes, async () => encodeState((await room.join()).state))
    await timed(externalTimes, async () =>
      encodeState(
        (await joinExternally(mls, { ...device(), groupInfo: room.groupInfo, authenticate: everyone })).state,
      ),
    )
  }
  const encoded = encodeState(one)
  const written = encoded.group.length + encoded.ratchets.length
  const { bytes, kept } = memoryOf(encoded, Math.max(10, Math.round(5000 / members)))
  if (kept === 0) throw new Error('nothing was measured')
  return {
    members,
    message: {
      sendMs: median(spent.send),
      receiveMs: median(spent.receive),
      bytes: message.length,
      written: messageWritten,
    },
    commit: { makeMs: median(spent.make), processMs: median(spent.process), bytes: commit.length, written },
    join: {
      welcomeMs: median(welcomeTimes),
      externalMs: median(externalTimes),
      bytes: room.welcome.length,
      written,
    },
    memory: bytes,
  }
}

/** @param copies states decoded side by side, so that what one takes stands out of the noise */
function memoryOf(
  encoded: { group: Uint8Array; ratchets: Uint8Array },
  copies: number,
): { bytes: number; kept: number } {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  const held = () => {
    collect()
    const { heapUsed, arrayBuffers } = process.memoryUsage()
    return heapUsed + arrayBuffers
  }
  const before = held()
  const states: GroupState[] = Array.from({ length: copies }, () => decodeState(encoded))
  const bytes = (held() - before) / copies
  return { bytes, kept: states.length }
}
