import type { BenchOptions } from './options.ts'
import { openWorld } from './world.ts'

export interface Memory {
  readonly messages: number
  /** Bytes after each step of messages, when everything that can be freed was. */
  readonly steps: readonly { readonly messages: number; readonly resident: number; readonly heap: number }[]
}

const rooms = 20
const stepCount = 10

/** What the service holds after many messages, both ways, on the embedded database. */
export async function measureMemory(options: BenchOptions, progress: (line: string) => void): Promise<Memory> {
  const messages = options.quick ? 2_000 : 100_000
  await using world = await openWorld('pglite', rooms, progress)
  const steps: { messages: number; resident: number; heap: number }[] = []
  const look = async (done: number) => {
    const { memory, heap } = await world.service.memory()
    steps.push({ messages: done, resident: memory, heap })
    progress(
      `memory: ${done} messages, ${(memory / 1e6).toFixed(0)} MB resident, ${(heap / 1e6).toFixed(1)} MB of heap`,
    )
  }
  await world.flood('to-matrix', rooms, 500)
  await world.flood('to-messenger', rooms, 500)
  await look(0)
  const each = messages / stepCount / 2
  for (let step = 1; step <= stepCount; step++) {
    await world.flood('to-matrix', rooms, each)
    await world.flood('to-messenger', rooms, each)
    await look(step * each * 2)
  }
  return { messages, steps }
}
