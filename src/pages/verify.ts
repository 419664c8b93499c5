import { type Crypto, equalBytes, fromBase64Url, toBase64Url } from '../crypto/index.ts'
import type { BuiltPages } from './built.ts'
import { pageKinds } from './headers.ts'
import { manifestPath, type PagesManifest, pagesManifest, signaturePath, signedBytes } from './manifest.ts'

export interface PagesVerdict {
  /** What does not hold, a sentence each; empty: all of it does. */
  readonly problems: readonly string[]
  /** How many files were looked at. */
  readonly files: number
  /** Of the manifest's bytes, base64url: what two people compare who want to know whether they are served the same. */
  readonly digest: string
}

/** Larger answers are not read: pages are small. */
const mostBytes = 4 * 1024 * 1024
/** Some megabytes, over a slow line: longer means that nobody answers. */
const usualAnswerMs = 30_000
/** Pages and assets that a manifest may name: a few dozen. More are not asked for. */
const mostFiles = 500

/**
 * Fetches a provider's pages as a stranger would, and compares them with the manifest that the provider's key signed, and
 * that with a build of one's own when there is one.
 *
 * @param base https://host
 * @param key the provider's public key, 32 bytes
 */
export async function verifyPages(
  crypto: Crypto,
  {
    base,
    key,
    built,
    answerMs = usualAnswerMs,
  }: { base: string; key: Uint8Array; built?: BuiltPages | undefined; answerMs?: number },
): Promise<PagesVerdict> {
  const problems: string[] = []
  const get = async (path: string) => {
    // Its end counts for what is read of the answer too.
    const response = await fetch(new URL(path, base), { redirect: 'error', signal: AbortSignal.timeout(answerMs) })
    const bytes = await readBounded(response)
    if (!response.ok) problems.push(`${shown(path)} is not served (${response.status})`)
    else if (!bytes) problems.push(`${shown(path)} is longer than ${mostBytes} bytes`)
    return { response, bytes: bytes ?? new Uint8Array() }
  }
  const { bytes: manifest } = await get(manifestPath)
  const signature = decode(new TextDecoder().decode((await get(signaturePath)).bytes).trim())
  const digest = toBase64Url(crypto.sha256(manifest))
  if (problems.length > 0) return { problems, files: 0, digest }
  if (!signature || !crypto.verify(key, signedBytes(manifest), signature))
    return { problems: ['the manifest is not signed by this key'], files: 0, digest }
  const { provider, pages, assets } = JSON.parse(new TextDecoder().decode(manifest)) as PagesManifest
  if (!pages['/g/']) problems.push('the manifest does not name the page for guests')
  const trial = Object.values(pageKinds).some((kind) => kind.trial && pages[kind.path])
  if (built && !equalBytes(pagesManifest(built, { provider, trial }), manifest))
    problems.push('the manifest is not that of the build it is compared with')
  if (Object.keys(pages).length + Object.keys(assets).length > mostFiles)
    return { problems: ['the manifest names more files than any build has'], files: 0, digest }
  const compare = (path: string, bytes: Uint8Array, { sha256 }: { sha256: string }) => {
    if (toBase64Url(crypto.sha256(bytes)) !== sha256) problems.push(`${shown(path)} is not what the manifest says`)
  }
  for (const [path, page] of Object.entries(pages)) {
    // Nobody's link: an id that was never given out gets the page that all get.
    const asked = path.endsWith('/') ? `${path}${toBase64Url(crypto.randomBytes(16))}` : path
    const { response, bytes } = await get(asked)
    compare(path, bytes, page)
    if (response.headers.get('content-security-policy') !== page.policy)
      problems.push(`${shown(path)} comes with another Content-Security-Policy than the manifest says`)
    for (const asset of page.assets) if (!assets[asset]) problems.push(`${shown(asset)} is not in the manifest`)
  }
  for (const [path, facts] of Object.entries(assets)) compare(path, (await get(path)).bytes, facts)
  return { problems, files: Object.keys(pages).length + Object.keys(assets).length, digest }
}

/** Undefined when there is more than that. */
async function readBounded(response: Response): Promise<Uint8Array | undefined> {
  const parts: Uint8Array[] = []
  let bytes = 0
  for await (const part of response.body ?? []) {
    bytes += part.length
    // Leaving the loop ends the answer.
    if (bytes > mostBytes) return undefined
    parts.push(part)
  }
  return new Uint8Array(Buffer.concat(parts))
}

/** A path from the network, fit for a terminal. */
const shown = (path: string): string => path.replaceAll(/[^\w./-]/g, '?').slice(0, 100)

function decode(text: string): Uint8Array | undefined {
  try {
    return fromBase64Url(text)
  } catch {
    return undefined
  }
}
