import { readFileSync } from 'node:fs'
import type { Plugin } from 'esbuild'

/** In our own code an error has a code, and after it a sentence for whoever develops. */
const ownSentence = /(new \w*(?:Error|Refusal)\(\s*(?:'[\w-]+'|\w+)),\s*(?:'(?:[^'\\]|\\.)*'|`[^`]*`)/g
/** In packages it has a sentence alone, as a literal or put together of values. */
const foreignSentence = /\bnew (\w*Error)\((?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|`[^`]*`|[^()'"`])*\)/g
/** The one sentence by which src/mls/errors.ts knows an error, since the package has no code for it. */
const recognised = 'Desired generation too far in the future'
/** So have our own where the code is the class's: those of the language. */
const plainSentence = /\bnew ((?:Range|Type|Syntax)?Error)\('(?:[^'\\]|\\.)*'\)/g

/**
 * Leaves out sentences that only developers read: some thirty kilobytes. Classes and codes of errors stay, which is all
 * that the page goes by; in a server's process, and in the other pages, the sentences are there.
 */
export const briefErrors: Plugin = {
  name: 'brief errors',
  setup(build) {
    build.onLoad({ filter: /\/src\/(?:client|mls|identity|content|cbor|crypto|protocol)\/[^?]*\.ts$/ }, ({ path }) => ({
      contents: withoutSentences(readFileSync(path, 'utf8')),
      loader: 'ts',
    }))
    build.onLoad({ filter: /\/node_modules\/(?:ts-mls|@noble\/\w+)\/.*\.js$/ }, ({ path }) => ({
      contents: withoutForeignSentences(readFileSync(path, 'utf8')),
      loader: 'js',
    }))
  },
}

/** `new MlsError('unsupported', 'why')` keeps its code, and what else it is given in its place. */
export function withoutSentences(source: string): string {
  return source.replace(ownSentence, "$1, ''").replace(plainSentence, "new $1('')")
}

/** `new Error("what() is wrong: " + value)` keeps its class. */
export function withoutForeignSentences(source: string): string {
  return source.replace(foreignSentence, (whole, name) => (whole.includes(recognised) ? whole : `new ${name}()`))
}
