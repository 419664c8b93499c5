/** What one check found, in words for the person who runs the machine. */
export interface Finding {
  /** What was looked at: "appservice token". */
  readonly about: string
  /** `wrong`: it will not work; `warning`: it works, but not well; `skipped`: could not be looked at. */
  readonly state: 'ok' | 'warning' | 'wrong' | 'skipped'
  readonly said: string
  /** What to do, one step each. */
  readonly advice?: readonly string[]
}

export const ok = (about: string, said: string): Finding => ({ about, state: 'ok', said })
export const wrong = (about: string, said: string, ...advice: string[]): Finding => ({
  about,
  state: 'wrong',
  said,
  advice,
})
export const warning = (about: string, said: string, ...advice: string[]): Finding => ({
  about,
  state: 'warning',
  said,
  advice,
})
export const skipped = (about: string, said: string, ...advice: string[]): Finding => ({
  about,
  state: 'skipped',
  said,
  advice,
})

const marks = { ok: 'ok     ', warning: 'warning', wrong: 'WRONG  ', skipped: 'skipped' } as const

/** `WRONG    appservice token: …`, and the advice below it. */
export function printFinding({ about, state, said, advice = [] }: Finding): string {
  return [`${marks[state]}  ${about}: ${said}`, ...advice.map((step) => `           → ${step}`)].join('\n')
}
