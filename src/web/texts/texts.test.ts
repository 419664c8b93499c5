import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import * as ar from './ar.ts'
import * as de from './de.ts'
import * as en from './en.ts'
import { chooseLanguage, directionOf, languages, wordsIn } from './index.ts'
import * as nl from './nl.ts'
import * as ro from './ro.ts'

const files: Record<string, Record<string, Record<string, string>>> = {
  en: { ...en },
  de: { ...de },
  nl: { ...nl },
  ro: { ...ro },
  ar: { ...ar },
}
const rooms = ['parts', 'guest', 'app'] as const
const placeholders = (text: string) => [...text.matchAll(/\{\w+\}/g)].map(([each]) => each)

describe('the texts', () => {
  test('are complete in every language, with the same values in them', () => {
    assert.deepEqual(Object.keys(files).sort(), Object.keys(languages).sort())
    for (const [language, file] of Object.entries(files))
      for (const room of rooms) {
        const [theirs, ours] = [files.en![room], file[room]]
        assert.deepEqual(Object.keys(ours!).sort(), Object.keys(theirs!).sort(), `${language} ${room}`)
        for (const [key, text] of Object.entries(ours!)) {
          assert.ok(text.trim(), `${language} ${key}`)
          const wanted = new Set(placeholders(theirs![key]!))
          assert.deepEqual(new Set(placeholders(text)), wanted, `${language} ${key}`)
          assert.doesNotMatch(text, /!|MLS|epoch|KeyPackage/i, `${language} ${key}`)
        }
      }
  })

  test('values stand apart from the text around them, and a word of ours may begin a sentence', () => {
    const { say } = wordsIn('en', { ...en.parts, ...en.guest })
    assert.equal(say('waiting.title', { name: 'אנה' }), '\u2068אנה\u2069 was asked to let you in')
    assert.match(say('waiting.title', { name: en.guest.host }), /^\u2068The person/)
    assert.match(say('name.terms', { name: en.guest.host }), /in person\. \u2068The person/)
    assert.match(say('offer.readers', { name: en.guest.host }), /you and \u2068the person/)
  })

  test('days, spans and what is ahead are in the language', () => {
    const words = wordsIn('de', { ...de.parts })
    const now = new Date(2026, 3, 10, 9).getTime()
    assert.equal(words.day(now - 1000, now), 'Heute')
    assert.equal(words.day(new Date(2026, 3, 9, 23, 59).getTime(), now), 'Gestern')
    assert.equal(words.day(new Date(2026, 3, 7).getTime(), now), 'Dienstag, 7. April')
    const hour = 3600_000
    assert.equal(words.duration(10 * 24 * hour), '10 Tage')
    assert.equal(words.duration(24 * hour), '1 Tag')
    assert.equal(words.duration(36 * hour), '36 Stunden')
    assert.equal(words.ahead(3 * hour), 'in 3 Stunden')
    assert.equal(words.ahead(90_000), 'in 2 Minuten')
  })

  test('the first language that there is, is taken', () => {
    assert.deepEqual(chooseLanguage(['fi', 'de-AT', 'en']), { language: 'de', locale: 'de-AT' })
    assert.equal(chooseLanguage(['fi']).language, 'en')
    assert.equal(chooseLanguage(['toString']).language, 'en')
    assert.equal(directionOf('ar'), 'rtl')
  })
})
