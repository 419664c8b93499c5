import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { confusables, looksLike, looksLikeProvider } from './index.ts'

describe('a name', () => {
  const same: [string, string][] = [
    ['Anna', 'anna'],
    ['Anna', 'Аnnа'], // Cyrillic А and а
    ['Anna', 'Ａｎｎａ'], // full width
    ['Anna', 'A n.n-a'],
    ['Anna', 'Ànnä'],
    ['Anna', 'Ann\u200ba\u202e'],
    ['Anna', '𝒜𝓃𝓃𝒶'],
    ['Bill', 'Bi11'],
    ['Ian', 'lan'],
    ['Tom', 'T0rn'],
    ['Максим', 'Mаксим'],
  ]
  for (const [one, other] of same)
    test(`${JSON.stringify(other)} could be taken for ${one}`, () => assert.ok(looksLike(one, other)))

  const different: [string, string][] = [
    ['Anna', 'Hanna'],
    ['Anna', 'Anne'],
    ['Мария', 'Максим'],
    ['', ''],
    ['…', '!'],
  ]
  for (const [one, other] of different)
    test(`${JSON.stringify(other)} is not taken for ${JSON.stringify(one)}`, () => assert.ok(!looksLike(one, other)))

  const inOtherScripts: [string, string][] = [
    ['Лена', 'ᴧeна'],
    ['Đorđe', 'Ðorðe'],
    ['Łukasz', 'Ƚukasz'],
    ['Дмитрий', 'Дmитрий'],
    ['يوسف', 'ىوسف'],
    ['สมชาย', 'สฺมชาย'],
  ]
  for (const [one, other] of inOtherScripts)
    test(`${JSON.stringify(other)} could be taken for ${one} by the whole table`, () =>
      assert.ok(looksLike(one, other, confusables)))

  test('is judged by the whole table as by the small one where that says so, and letters of their own stay apart', () => {
    for (const [one, other] of same) assert.ok(looksLike(one, other, confusables), other)
    for (const [one, other] of different) assert.ok(!looksLike(one, other, confusables), other)
    assert.ok(!looksLike('Лена', 'ᴧeна'))
    assert.ok(looksLikeProvider('Şilta ŧeam', 'silta.example', confusables))
    for (const [one, other] of [
      ['Лена', 'Гена'],
      ['يوسف', 'يونس'],
      ['אנה', 'אנא'],
      ['山田', '山口'],
    ] as const)
      assert.ok(!looksLike(one, other, confusables), other)
  })

  test('that speaks for the provider is found, also as one word of several', () => {
    const domain = 'chat.example.org'
    for (const name of ['Example', 'Ехаmрlе support', 'example.org?', 'The 3xample'.replace('3', 'E'), domain])
      assert.ok(looksLikeProvider(name, domain), name)
    for (const name of ['Mia', 'Examples', 'Org', 'chatty']) assert.ok(!looksLikeProvider(name, domain), name)
    assert.ok(looksLikeProvider('Silta', 'silta.localhost:8480'))
  })
})
