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

/** The words of the page: none until `speak` has fetched them. */
export const words = signal(wordsIn('en', {}))

export const say = (key: TextKey, values?: Values): string => words.value.say(key, values)

/** Before the texts are asked for once more, in ms: somebody is looking at an empty page. */
const retry = 2000

/**
 * Speaks the language of the browser, or English when its texts do not come. Without words nothing can be shown, so it
 * asks until there are some; meanwhile the page says what stands in its HTML.
 */
export async function speak(): Promise<void> {
  const { language, locale } = chooseLanguage(navigator.languages ?? [])
  while (!((await setLanguage(language, locale)) || (await setLanguage('en'))))
    await new Promise((resolve) => setTimeout(resolve, retry))
}

/** Whether it could: otherwise the words stay what they are. */
export async function setLanguage(language: Language, locale: string = language): Promise<boolean> {
  const texts = await fetchTexts(language)
  if (!texts) return false
  words.value = wordsIn(language, texts, locale)
  document.documentElement.lang = language
  document.documentElement.dir = directionOf(language)
  return true
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
