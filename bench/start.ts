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
/** After readiness: ghosts' inboxes are read behind it. */
const settleMs = 20_000

/** How soon a service is ready that has many conversations, each of another person with another Matrix user, all idle. */
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
  let made = 0
  const make = async () => {
    while (made < portals) {
      const number = ++made
      const user = await stub.user(`user${number}`)
      const person = await newPerson(service.url, `person-${number}`)
      await person.device.conversationWith({ network: 'matrix', value: user.user })
      while (user.joined.length === 0) await sleep(10)
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
