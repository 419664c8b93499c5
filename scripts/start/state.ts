import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { dataFolder } from './data.ts'

/** What one start hands to the next, and to `npm run chat`. */
export interface State {
  /** Where the service is: http://host:port */
  service: string
  ports: { service: number; homeserver?: number }
  /** The messenger user of the demonstration, by the name of its folder in data/chat. */
  messengerUser?: string
  /** The Matrix user of the demonstration. */
  matrixUser?: { name: string; password: string; recoveryKey?: string }
  /** The demonstration was shown to its end. */
  demonstrated?: boolean
}

const file = () => dataFolder('start.json')

export function readState(): State | undefined {
  try {
    return JSON.parse(readFileSync(file(), 'utf8')) as State
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw new Error(`${file()} cannot be read. It holds ports and the trial accounts; delete it to begin anew.`, {
      cause: error,
    })
  }
}

/** Holds a password: for its owner's eyes. Replaced as a whole, so that a start that is cut short leaves no half file. */
export function writeState(state: State): void {
  mkdirSync(dirname(file()), { recursive: true, mode: 0o700 })
  const beside = `${file()}.new`
  writeFileSync(beside, `${JSON.stringify(state, null, 2)}\n`, { mode: 0o600, flush: true })
  renameSync(beside, file())
}
