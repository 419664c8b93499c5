import { setTimeout as sleep } from 'node:timers/promises'
import { newPerson } from '../test/support/messenger-person.ts'
import { stubHomeserver } from '../test/support/stub/index.ts'
import type { BenchOptions } from './options.ts'
import { startMeasured } from './service.ts'

export interface Start {
  readonly portals: number
  /** From the beginning of the code to readiness, ms: of a service without and with all the portals, each start. */
  readonly emptyMs: readonly number[]
  readonly readyMs: readonly number[]
  /** Bytes after the last start of each, when the ghosts were synchronised and everything that can be freed was. */
  readonly emptyMemory: { readonly resident: number; readonly heap: number }
  readonly memory: { readonly resident: number; readonly heap: number }
}

const starts = 5
const madeAtOnce = 4
const matrixUsers = 50
/** After readiness: ghosts' inboxes are read behind it. */
const settleMs = 20_000

/** How soon a service is ready that has many conversations, each of another person, with fifty Matrix users, all idle. */
export async function measureStart(options: BenchOptions, progress: (line: string) => void): Promise<Start> {
  const portals = options.quick ? 40 : 1000
  await using stub = await stubHomeserver({ keep: false, keepEvents: 100 })
  await using service = await startMeasured(stub, undefined)
  const restarts = async () => {
    const ready: number[] = []
    for (let round = 0; round < (options.quick ? 2 : starts); round++) {
      await service.restart()
      ready.push(Math.round(service.readyMs))
    }
    await sleep(options.quick ? 1_000 : settleMs)
    const { memory, heap } = await service.memory()
    return { ready, memory: { resident: memory, heap } }
  }
  const empty = await restarts()
  // As many as the bridge makes anew in a minute; what counts are portals and ghosts.
  const users = await Promise.all(
    Array.from({ length: Math.min(portals, matrixUsers) }, (_, i) => stub.user(`user${i}`)),
  )
  const invited = users.map(() => 0)
  let made = 0
  const make = async () => {
    while (made < portals) {
      const number = ++made
      const which = number % users.length
      const user = users[which]!
      const rooms = ++invited[which]!
      const person = await newPerson(service.url, `person-${number}`)
      await person.device.conversationWith({ network: 'matrix', value: user.user })
      while (user.joined.length < rooms) await sleep(10)
      await user.idle()
      await person.close()
      if (number % 100 === 0) progress(`start: ${number} conversations`)
    }
  }
  await Promise.all(Array.from({ length: madeAtOnce }, make))
  const full = await restarts()
  return {
    portals,
    ...{ emptyMs: empty.ready, readyMs: full.ready, emptyMemory: empty.memory, memory: full.memory },
  }
}
