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

/**
 * Fetches a provider's pages as a stranger would, and compares them with the manifest that the provider's key signed, and
 * that with a build of one's own when there is one.
 *
 * @param base https://host
 * @param key the provider's public key, 32 bytes
 */
export async function verifyPages(
  crypto: Crypto,
  { base, key, built }: { base: string; key: Uint8Array; built?: BuiltPages | undefined },
): Promise<PagesVerdict> {
  const problems: string[] = []
  const get = async (path: string) => {
    const response = await fetch(new URL(path, base), { redirect: 'error' })
    const bytes = new Uint8Array(await response.arrayBuffer())
    if (!response.ok || bytes.length > mostBytes) problems.push(`${shown(path)} is not served (${response.status})`)
    return { response, bytes }
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

/** A path from the network, fit for a terminal. */
const shown = (path: string): string => path.replaceAll(/[^\w./-]/g, '?').slice(0, 100)

function decode(text: string): Uint8Array | undefined {
  try {
    return fromBase64Url(text)
  } catch {
    return undefined
  }
}
