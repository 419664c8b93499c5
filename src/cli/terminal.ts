export interface Terminal {
  readonly env: NodeJS.ProcessEnv
  out(text: string): void
  err(text: string): void
}

/** Exit codes of every command. `unread`: what was to be judged could not be read, so that there is no verdict. */
export const exit = { well: 0, failed: 1, unusable: 2, unread: 3 } as const

/** What was written on the command line cannot be used; the message says why. */
export class Unusable extends Error {
  override readonly name = 'Unusable'
}
