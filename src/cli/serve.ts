import type { LoadedConfig } from '../config/index.ts'
import { ConfigError } from '../config/index.ts'
import { startService } from '../main.ts'
import { openLog } from '../ops/index.ts'

/** Errors whose message is a sentence of ours, made for whoever runs the service. */
const speaking = new Set(['StoreError', 'ListenError', 'SubjectKeysError'])

/**
 * Runs the service until SIGTERM or SIGINT, and a second one of them does not wait. Gives the exit code: 0 after an orderly
 * end, 1 when it could not start, had to end, or something did not end in time.
 *
 * @param say writes a line for people, to standard error
 */
export async function serve({ config }: LoadedConfig, say: (text: string) => void): Promise<number> {
  const log = openLog(config.log)
  try {
    const service = await startService(config, { log })
    let stopping = false
    const stop = (reason: string) => {
      if (stopping) process.exit(1)
      stopping = true
      void service.stop(reason)
    }
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => stop(signal))
    let faulty = false
    for (const event of ['uncaughtException', 'unhandledRejection'] as const)
      process.on(event, (error) => {
        // Nobody knows what state this left: end in order, and be started anew. Without this Node would print the message.
        log.fatal({ error }, 'a fault that nothing has caught')
        faulty = true
        if (!stopping) stop(event)
      })
    return (await service.ended) && !faulty ? 0 : 1
  } catch (error) {
    if (error instanceof ConfigError) throw error
    log.fatal({ error }, 'the service could not start')
    if (error instanceof Error && speaking.has(error.name)) say(`Silta could not start: ${error.message}.\n`)
    return 1
  }
}
