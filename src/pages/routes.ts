import { type Context, Hono } from 'hono'
import type { Crypto } from '../crypto/index.ts'
import { readPages, type ServedFile } from './built.ts'
import { assetHeaders, commonHeaders, contentSecurityPolicy, pageHeaders, pageKinds } from './headers.ts'
import { manifestPath, pagesManifest, signaturePath, signManifest } from './manifest.ts'

export interface PagesOptions {
  readonly crypto: Crypto
  /** The provider's domain, and its Ed25519 seed, which signs the manifest. */
  readonly provider: string
  readonly providerKey: Uint8Array
  /** Whether pages for trying are served. */
  readonly trial: boolean
  /** Folder of the built pages; the usual one when not given. */
  readonly directory?: string | undefined
}

/**
 * Serves the built pages; undefined when none were built. GET and HEAD alone; whoever opens a link, a person or a machine
 * that makes a preview, changes nothing by it.
 *
 * @throws PagesError when the folder holds something else than what was built
 */
export function openPages({ crypto, provider, providerKey, trial, directory }: PagesOptions): Hono | undefined {
  const files = readPages(directory)
  if (!files) return undefined
  const { built, pages, assets } = files
  const routes = new Hono()
  const manifest = pagesManifest(built, { provider, trial })
  const signature = signManifest(crypto, providerKey, manifest)
  const fresh = { ...commonHeaders, 'cache-control': 'no-cache' }
  routes.get(manifestPath, (c) =>
    c.body(new Uint8Array(manifest), 200, { ...fresh, 'content-type': 'application/json' }),
  )
  routes.get(signaturePath, (c) => c.body(signature, 200, { ...fresh, 'content-type': 'text/plain; charset=utf-8' }))

  for (const [name, file] of pages) {
    const kind = pageKinds[name]
    if (!kind || (kind.trial && !trial)) continue
    const headers = pageHeaders(contentSecurityPolicy(built.pages[name]!.scripts), kind)
    // Which link it is, only the browser reads.
    const path = kind.path.endsWith('/') ? `${kind.path}:id` : kind.path
    routes.get(path, (c) => send(c, file, headers))
  }
  routes.get('/assets/:name', (c) => {
    const file = assets.get(c.req.path)
    return file ? send(c, file, assetHeaders) : c.notFound()
  })
  return routes
}

function send(c: Context, { type, ...file }: ServedFile, headers: Readonly<Record<string, string>>): Response {
  const accepted = (c.req.header('accept-encoding') ?? '').toLowerCase()
  // Without regard to preferences that say q=0: no browser does.
  const encoding = /\bbr\b/.test(accepted) ? 'br' : /\bgzip\b/.test(accepted) ? 'gzip' : undefined
  return c.body(file[encoding ?? 'plain'], 200, {
    ...headers,
    'content-type': type,
    vary: 'accept-encoding',
    ...(encoding && { 'content-encoding': encoding }),
  })
}
