import type * as english from './en.ts'
import type { TextKey, Texts } from './en.ts'

/** The texts of one export of en.ts in another language: none may be missing. */
export type Part<K extends keyof typeof english> = Record<keyof (typeof english)[K], string>
export type { TextKey, Texts } from './en.ts'

/** The languages that there are, each by its own name; each has its file here. */
export const languages = { en: 'English', de: 'Deutsch', nl: 'Nederlands', ro: 'Română', ar: 'العربية' } as const

export type Language = keyof typeof languages

const rightToLeft: ReadonlySet<string> = new Set(['ar'])

export const directionOf = (language: Language): 'rtl' | 'ltr' => (rightToLeft.has(language) ? 'rtl' : 'ltr')

const isLanguage = (text: string): text is Language => Object.hasOwn(languages, text)

/** The first of the wished-for languages that there is, and how its region writes dates; English otherwise. */
export function chooseLanguage(wished: readonly string[]): { language: Language; locale: string } {
  for (const locale of wished) {
    const base = locale.split('-', 1)[0]!.toLowerCase()
    if (isLanguage(base)) return { language: base, locale }
  }
  return { language: 'en', locale: 'en' }
}

export type Values = Readonly<Record<string, string | number>>

/** As it stands at the beginning of a sentence. */
export const sentence = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1)

/** A text with its values. Each stands apart from what surrounds it (FSI … PDI), whichever way it is written. */
function fill(text: string, values: Values = {}, lower?: string): string {
  return text.replace(/([.?] )?\{(\w+)\}/g, (_, end: string | undefined, name: string, at: number) => {
    const value = String(values[name] ?? '')
    // What stands for a name that is not known is a text of ours, and may begin a sentence.
    const shown = (at === 0 || end) && value === lower ? sentence(value) : value
    return `${end ?? ''}\u2068${shown}\u2069`
  })
}

/** Writes in one language. */
export interface Words {
  readonly language: Language
  say(key: TextKey, values?: Values): string
  /** A day, as it heads messages. */
  day(at: number, now: number): string
  time(at: number): string
  dateTime(at: number): string
  /** How long something lasts, in its largest unit. */
  duration(ms: number): string
  /** When something will be: "in 3 hours". */
  ahead(ms: number): string
}

const second = 1000
const units = [
  ['day', 24 * 3600 * second],
  ['hour', 3600 * second],
  ['minute', 60 * second],
] as const

/** The largest unit of which there are at least two (or one day), and how many. */
function largest(ms: number): [count: number, unit: 'day' | 'hour' | 'minute'] {
  for (const [unit, length] of units)
    if (ms >= 2 * length || (unit === 'day' && ms === length)) return [Math.round(ms / length), unit]
  return [Math.max(1, Math.round(ms / units[2][1])), 'minute']
}

export function wordsIn(language: Language, texts: Partial<Texts>, locale: string = language): Words {
  const textOf = (key: TextKey) => texts[key] ?? key
  const dayForm = new Intl.DateTimeFormat(locale, { weekday: 'long', day: 'numeric', month: 'long' })
  const yearForm = new Intl.DateTimeFormat(locale, { day: 'numeric', month: 'long', year: 'numeric' })
  const timeForm = new Intl.DateTimeFormat(locale, { hour: '2-digit', minute: '2-digit' })
  const fullForm = new Intl.DateTimeFormat(locale, { dateStyle: 'long', timeStyle: 'short' })
  const relative = new Intl.RelativeTimeFormat(locale, { numeric: 'always' })
  return {
    language,
    say: (key, values) => fill(textOf(key), values, texts.host),
    day(at, now) {
      const days = dayNumber(now) - dayNumber(at)
      if (days === 0) return textOf('chat.today')
      if (days === 1) return textOf('chat.yesterday')
      return days < 300 ? dayForm.format(at) : yearForm.format(at)
    },
    time: (at) => timeForm.format(at),
    dateTime: (at) => fullForm.format(at),
    duration(ms) {
      const [count, unit] = largest(ms)
      return new Intl.NumberFormat(locale, { style: 'unit', unit, unitDisplay: 'long' }).format(count)
    },
    ahead: (ms) => relative.format(...largest(ms)),
  }
}

/** Which day it is here. */
function dayNumber(at: number): number {
  const date = new Date(at)
  return Math.round(Date.UTC(date.getFullYear(), date.getMonth(), date.getDate()) / (24 * 3600 * second))
}
