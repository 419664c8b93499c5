import { type Config, readSecrets } from '../config/index.ts'
import { fromBase64Url, toBase64Url } from '../crypto/index.ts'
import { nodeCrypto } from '../crypto/node.ts'
import { readPages, verifyPages } from '../pages/index.ts'
import { exit, type Terminal, Unusable } from './terminal.ts'

/** `silta pages key`: what a manifest of this provider's pages is verified with. */
export function printPagesKey(config: Config, terminal: Terminal): number {
  const { providerKey } = readSecrets(config, nodeCrypto)
  terminal.out(`${toBase64Url(nodeCrypto.publicKeyOf(providerKey))}\n`)
  return exit.well
}

export interface PagesArguments {
  readonly url?: string | undefined
  readonly key?: string | undefined
  /** Folder of pages built from the sources. */
  readonly build?: string | undefined
}

/** `silta pages verify`: what does not hold, a line each. @returns the exit code */
export async function verifyServedPages(given: PagesArguments, terminal: Terminal): Promise<number> {
  const { url, key, build } = given
  if (url === undefined || key === undefined || !/^https?:\/\//.test(url) || !URL.canParse(url))
    throw new Unusable('silta pages verify needs a URL and --key KEY')
  const built = build === undefined ? undefined : readPages(build)?.built
  if (build !== undefined && !built) throw new Unusable(`${build} holds no built pages`)
  try {
    const { problems, files, digest } = await verifyPages(nodeCrypto, { base: url, key: readKey(key), built })
    for (const problem of problems) terminal.out(`${problem}\n`)
    if (problems.length > 0) return exit.failed
    terminal.out(`The pages are what the provider has signed: ${files} files, manifest ${digest}.\n`)
    return exit.well
  } catch (error) {
    const timedOut = error instanceof DOMException && error.name === 'TimeoutError'
    if (!(timedOut || error instanceof TypeError || error instanceof SyntaxError)) throw error
    terminal.out(`The pages cannot be read: ${error.message}\n`)
    return exit.failed
  }
}

function readKey(text: string): Uint8Array {
  try {
    const key = fromBase64Url(text)
    if (key.length === 32) return key
  } catch {
    // Said below.
  }
  throw new Unusable('--key must be 32 bytes in base64url: silta pages key prints it')
}
