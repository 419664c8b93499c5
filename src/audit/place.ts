import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { LogError, mostEntryBytes, type ReadFile, tileWidth } from './log/index.ts'

/** Largest file of a log: a bundle of 256 entries, each with its length in front. */
const mostBytes = tileWidth * (mostEntryBytes + 2)
/** One file of some kilobytes, at most 16 MB: longer means that nobody answers. */
const timeoutMs = 30_000

/** What passes is asked again after so long; a log of a million entries is eight thousand files. */
const againMs = [500, 2_000, 5_000]

/**
 * Reads a log in a folder, or at an http(s) URL, which is its prefix. `token` is the auditor's credential; it is sent to
 * that URL only, never after a redirect. What it gives throws LogError `unreadable` where it cannot tell whether there is
 * such a file.
 */
export function readLogAt(place: string, token?: string): ReadFile {
  if (!/^https?:\/\//.test(place))
    return (path) =>
      readFromFolder(place, path).catch((error: NodeJS.ErrnoException) => {
        throw new LogError('unreadable', `${path} cannot be read (${error.code ?? error.name})`)
      })
  const prefix = place.endsWith('/') ? place : `${place}/`
  const ask = (path: string) => fetchFile(new URL(path, prefix), path, token)
  return async (path) => {
    for (const pause of againMs) {
      const answer = await ask(path)
      if (!answer.passes) return settled(answer)
      await sleep(pause)
    }
    return settled(await ask(path))
  }
}

type Fetched = { readonly bytes: Uint8Array | undefined; readonly passes?: false } | Failed
interface Failed {
  readonly passes: boolean
  readonly error: LogError
}

function settled(answer: Fetched): Uint8Array | undefined {
  if ('error' in answer) throw answer.error
  return answer.bytes
}

async function fetchFile(url: URL, path: string, token: string | undefined): Promise<Fetched> {
  const failed = (passes: boolean, why: string) => ({ passes, error: new LogError('unreadable', `${path} ${why}`) })
  try {
    const response = await fetch(url, {
      headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
      redirect: 'error',
      signal: AbortSignal.timeout(timeoutMs),
    })
    if (response.status === 200) return { bytes: await readBounded(response, path) }
    if (response.status === 403 && (await codeOf(response, path)) === 'credential-changed')
      return failed(false, 'was refused: the credential is not as it was admitted (credential-changed)')
    if (!response.bodyUsed) await response.body?.cancel()
    if (response.status === 404) return { bytes: undefined }
    const passes = response.status === 429 || response.status >= 500
    return failed(passes, `was answered with status ${response.status}${hints[response.status] ?? ''}`)
  } catch (error) {
    if (error instanceof LogError) throw error
    const cause = (error as Error).cause as (NodeJS.ErrnoException & Partial<AggregateError>) | undefined
    const code = cause?.code ?? (cause?.errors?.[0] as NodeJS.ErrnoException | undefined)?.code
    // Where nobody listens, nobody will in five seconds; a connection that broke off is another matter. What is no fault of
    // the network (a redirect, a port that fetch does not take) has no code, and stays as it is.
    const passes = cause === undefined || (code !== undefined && code !== 'ECONNREFUSED')
    return failed(passes, `cannot be fetched (${code ?? cause?.message ?? (error as Error).name})`)
  }
}

/** The code of a problem document; undefined of anything else. */
async function codeOf(response: Response, path: string): Promise<string | undefined> {
  const text = new TextDecoder().decode(await readBounded(response, path))
  try {
    return String((JSON.parse(text) as { code?: unknown }).code)
  } catch {
    return undefined
  }
}

const hints: Readonly<Record<number, string>> = {
  401: ': the credential is missing, unknown or over',
  403: ': the credential is not for the log itself (scope log)',
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
