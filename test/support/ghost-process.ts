// A ghost bridge in a process of its own, to be killed: one ghost, PGlite in a folder, spoken to in lines of JSON.
import { appendFileSync } from 'node:fs'
import { endWithParent } from '../../scripts/support/end-with-parent.ts'
import type { GhostId } from '../../src/edge/matrix/index.ts'
import { openDatabase } from '../../src/store/index.ts'
import { type GhostBridge, type GhostBridgeOptions, openGhostBridge } from './ghost-bridge.ts'
import { serveJson } from './json-process.ts'

endWithParent()
let bridge: GhostBridge

interface Start {
  readonly folder: string
  readonly synapse: GhostBridgeOptions['synapse']
  /** Each message that was taken is a line here. */
  readonly receivedFile: string
  /** Dies at the n-th time that this step is reached. */
  readonly dieAt?: { readonly step: string; readonly count: number }
}

serveJson({
  async start({ folder, synapse, receivedFile, dieAt }: Start) {
    let count = 0
    bridge = await openGhostBridge({
      synapse,
      database: await openDatabase({ directory: folder }),
      onReceived: ({ content }) => appendFileSync(receivedFile, `${content.body}\n`),
      steps(name) {
        if (name === dieAt?.step && ++count === dieAt.count) process.kill(process.pid, 'SIGKILL')
      },
    })
  },
  newGhost: () => bridge.newGhost(),
  /** Sends messages as fast as it can; gives the number when there is an end. */
  async burst(ghost: GhostId, room: string, members: string[], prefix: string, count: number) {
    for (let index = 0; index < count; index++) await bridge.say(ghost, room, `${prefix}${index}`, members)
    return count
  },
  close: () => bridge.close(),
})
