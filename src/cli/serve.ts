import type { LoadedConfig } from '../config/index.ts'
import { startService } from '../main.ts'

/**
 * Runs the service until SIGTERM or SIGINT, and a second one of them does not wait. Gives the exit code: 0 after an orderly
 * end, 1 when something did not end in time.
 */
export async function serve({ config }: LoadedConfig): Promise<number> {
  const service = await startService(config)
  return new Promise((resolve) => {
    let stopping = false
    const stop = (signal: string) => {
      if (stopping) process.exit(1)
      stopping = true
      void service.stop(signal).then((well) => resolve(well ? 0 : 1))
    }
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => stop(signal))
  })
}
