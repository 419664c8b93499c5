// The process of service.ts: the whole service, configured by the environment, which dies where it is told to.
import { flushCompileCache } from 'node:module'
import { endWithParent } from '../../scripts/support/end-with-parent.ts'
import { loadConfig } from '../../src/config/index.ts'
import { startService } from '../../src/main.ts'
import type { FromService, ToService } from './service.ts'

endWithParent()
process.on('disconnect', () => process.exit(0))
const tell = (message: FromService) => process.send!(message)

let deaths: { step: string; after: number } | undefined
process.on('message', (message: ToService) => {
  deaths = message.dieAt
  tell({ armed: true })
})

const service = await startService(loadConfig().config, {
  ...(process.env.SILTA_TEST_PAGES && { pages: process.env.SILTA_TEST_PAGES }),
  steps(step) {
    if (step !== deaths?.step || --deaths.after > 0) return
    process.kill(process.pid, 'SIGKILL')
    // Nothing more happens here, should the signal take a moment.
    return new Promise(() => {})
  },
})
process.on('SIGTERM', async () => process.exit((await service.stop('SIGTERM')) ? 0 : 1))
tell({ url: service.url })
// What was compiled is kept for the next one (where NODE_COMPILE_CACHE says so): most of these do not come to their end.
flushCompileCache()
