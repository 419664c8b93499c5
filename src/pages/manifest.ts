import { type Crypto, concatBytes, toBase64Url, utf8 } from '../crypto/index.ts'
import type { BuiltPages } from './built.ts'
import { contentSecurityPolicy, pageKinds } from './headers.ts'

export const manifestPath = '/g/manifest.json'
export const signaturePath = '/g/manifest.sig'

/** In front of what is signed, so that it can be taken for nothing else that the provider's key signs. */
const label = 'silta pages v1'

/** What the signed manifest says: everything that the pages of a provider consist of. */
export interface PagesManifest {
  format: 1
  provider: string
  version: string
  pages: Record<string, { sha256: string; bytes: number; policy: string; assets: string[] }>
  assets: Record<string, { sha256: string; bytes: number }>
}

/**
 * The manifest of what is served, as bytes. `trial`: whether pages for trying are among it. The same pages of the same
 * provider give the same bytes.
 */
export function pagesManifest(
  built: BuiltPages,
  { provider, trial }: { provider: string; trial: boolean },
): Uint8Array {
  const pages: PagesManifest['pages'] = {}
  const assets: PagesManifest['assets'] = {}
  for (const [name, page] of Object.entries(built.pages)) {
    const kind = pageKinds[name]
    if (!kind || (kind.trial && !trial)) continue
    const { sha256, bytes, scripts } = page
    pages[kind.path] = { sha256, bytes, policy: contentSecurityPolicy(scripts), assets: page.assets }
    for (const path of page.assets) assets[path] = built.assets[path]!
  }
  const manifest: PagesManifest = { format: 1, provider, version: built.version, pages, assets }
  return utf8(`${JSON.stringify(manifest, null, 2)}\n`)
}

/** What the provider's key signs of it. */
export const signedBytes = (manifest: Uint8Array): Uint8Array => concatBytes(utf8(label), Uint8Array.of(0), manifest)

/** The signature in base64url, one line. */
export function signManifest(crypto: Crypto, providerKey: Uint8Array, manifest: Uint8Array): string {
  return `${toBase64Url(crypto.sign(providerKey, signedBytes(manifest)))}\n`
}
