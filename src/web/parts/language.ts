import { signal } from '@preact/signals'
import {
  chooseLanguage,
  directionOf,
  type Language,
  type TextKey,
  type Texts,
  type Values,
  wordsIn,
} from '../texts/index.ts'

/** The words of the page. English until another language has been fetched. */
export const words = signal(wordsIn('en', {}))

export const say = (key: TextKey, values?: Values): string => words.value.say(key, values)

let english: Partial<Texts> = {}

/** Begins with the texts that are in the page's own script, then in the language of the browser. */
export async function speak(own: Partial<Texts>): Promise<void> {
  english = own
  const { language, locale } = chooseLanguage(navigator.languages ?? [])
  await setLanguage(language, locale)
}

export async function setLanguage(language: Language, locale: string = language): Promise<void> {
  const texts = language === 'en' ? english : await fetchTexts(language)
  if (!texts) {
    words.value = wordsIn('en', english)
    return
  }
  words.value = wordsIn(language, { ...english, ...texts }, locale)
  document.documentElement.lang = language
  document.documentElement.dir = directionOf(language)
}

/** The page names a file for each language, with what it must be. Undefined: it did not come. */
async function fetchTexts(language: Language): Promise<Partial<Texts> | undefined> {
  const link = document.querySelector<HTMLLinkElement>(`link[rel="alternate"][hreflang="${language}"]`)
  if (!link) return undefined
  try {
    const response = await fetch(link.href, {
      credentials: 'omit',
      ...(link.integrity && { integrity: link.integrity }),
    })
    return response.ok ? ((await response.json()) as Partial<Texts>) : undefined
  } catch {
    return undefined
  }
}
