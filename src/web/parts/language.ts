import { signal } from '@preact/signals'
import { chooseLanguage, directionOf, type Language, type TextKey, type Values, wordsIn } from '../texts/index.ts'

/** The words of the page, in the language of the browser unless another one is chosen. */
export const words = signal(wordsIn(chooseLanguage(globalThis.navigator?.languages ?? [])))

export const say = (key: TextKey, values?: Values): string => words.value.say(key, values)

export function setLanguage(language: Language): void {
  words.value = wordsIn(language)
  document.documentElement.lang = language
  document.documentElement.dir = directionOf(language)
}
