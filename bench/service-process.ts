// The process of service.ts: the whole service, configured by the environment, with a meter for whoever started it with a
// channel.
import { Session } from 'node:inspector/promises'
import { endWithParent } from '../scripts/support/end-with-parent.ts'
import { loadConfig } from '../src/config/index.ts'
import { startService } from '../src/main.ts'
import type { FromMeter, ToMeter } from './service.ts'
import { stagesOf } from './stages.ts'

endWithParent()
process.on('disconnect', () => process.exit(0))
const tell = (message: FromMeter) => process.send?.(message)

/** What one person may ask in a second is a limit on people; here one person sends for a thousand. */
const noLimit = 1_000_000
const begun = performance.now()
const service = await startService(loadConfig().config, {
  ...(process.env.SILTA_TEST_PAGES && { pages: process.env.SILTA_TEST_PAGES }),
  gateway: {
    requestsPerSecond: noLimit,
    requestBurst: noLimit,
    openRequestsPerSecond: noLimit,
    openRequestBurst: noLimit,
    commitsPerMinute: noLimit,
    commitBurst: noLimit,
    lookUpsPerMinute: noLimit,
    strangerRequestsPerMinute: noLimit,
    guestRequestsPerMinute: noLimit,
  },
})
const session = new Session()
session.connect()
/** CPU when the profile was begun: of this thread, and of all. */
let before = { thread: 0, all: 0 }
const milliseconds = ({ user, system }: NodeJS.CpuUsage) => (user + system) / 1000
const cpu = () => ({ thread: milliseconds(process.threadCpuUsage()), all: milliseconds(process.cpuUsage()) })

async function answer(what: ToMeter): Promise<FromMeter> {
  switch (what) {
    case 'usage': {
      const { user, system } = process.cpuUsage()
      return { cpuMs: (user + system) / 1000, memory: process.memoryUsage.rss() }
    }
    case 'collect':
      globalThis.gc?.()
      await new Promise((resolve) => setTimeout(resolve, 100))
      globalThis.gc?.()
      return { cpuMs: 0, memory: process.memoryUsage.rss(), heap: process.memoryUsage().heapUsed }
    case 'profile':
      await session.post('Profiler.enable')
      await session.post('Profiler.setSamplingInterval', { interval: 500 })
      await session.post('Profiler.start')
      before = cpu()
      return { done: true }
    case 'profiled': {
      const now = cpu()
      const { profile } = await session.post('Profiler.stop')
      const thread = now.thread - before.thread
      return { stages: stagesOf(profile, { thread, others: now.all - before.all - thread }) }
    }
  }
}
process.on('message', async (what: ToMeter) => tell(await answer(what)))
process.on('SIGTERM', async () => process.exit((await service.stop('SIGTERM')) ? 0 : 1))
tell({ url: service.url, readyMs: performance.now() - begun })
