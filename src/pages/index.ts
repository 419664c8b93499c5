/**
 * The pages that browsers are given: the guest's at /g/{id}, the client for trying at /app, and what they load at /assets.
 *
 * It serves files that were built before and knows what they promise (headers, hashes, a signed manifest). It must never
 * look at which link somebody opens: every id gets the same bytes, and nothing is used up, kept or logged.
 */
export { type BuiltPages, PagesError, readPages } from './built.ts'
export { manifestPath, pagesManifest, signaturePath, signManifest } from './manifest.ts'
export { openPages, type PagesOptions } from './routes.ts'
export { type PagesVerdict, verifyPages } from './verify.ts'
