import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { LogError, mostEntryBytes, type ReadFile, tileWidth } from './log/index.ts'

/** Largest file of a log: a bundle of 256 entries, each with its length in front. */
const mostBytes = tileWidth * (mostEntryBytes + 2)
/** One file of some kilobytes, at most 16 MB: longer means that nobody answers. */
const timeoutMs = 30_000

/**
 * Reads a log in a folder, or at an http(s) URL, which is its prefix. `token` is the auditor's credential; it is sent to
 * that URL only, never after a redirect.
 */
export function readLogAt(place: string, token?: string): ReadFile {
  if (!/^https?:\/\//.test(place)) return (path) => readFromFolder(place, path)
  const prefix = place.endsWith('/') ? place : `${place}/`
  return async (path) => {
    const response = await fetch(new URL(path, prefix), {
      headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
      redirect: 'error',
      signal: AbortSignal.timeout(timeoutMs),
    }).catch((error: Error) => {
      throw new LogError('missing', `${path} cannot be fetched (${error.name})`)
    })
    if (response.status === 200) return readBounded(response, path)
    await response.body?.cancel()
    if (response.status === 404) return undefined
    throw new LogError('missing', `${path} was answered with status ${response.status}`)
  }
}

/** A file below a folder; undefined when there is none. */
export async function readFromFolder(folder: string, path: string): Promise<Uint8Array | undefined> {
  try {
    return new Uint8Array(await readFile(join(folder, path)))
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) return undefined
    throw error
  }
}

async function readBounded(response: Response, path: string): Promise<Uint8Array> {
  const parts: Uint8Array[] = []
  let bytes = 0
  for await (const part of response.body ?? []) {
    bytes += part.length
    if (bytes > mostBytes) throw new LogError('malformed', `${path} is larger than any file of a log`)
    parts.push(part)
  }
  return new Uint8Array(Buffer.concat(parts))
}
