import { setTimeout as sleep } from 'node:timers/promises'
import { type Crypto, equalBytes, toHex, utf8 } from '../crypto/index.ts'
import { tilePath } from './log/index.ts'
import { outdone, type PublishedFiles } from './published.ts'

/** A bucket of an S3-compatible store, addressed by path. */
export interface S3Bucket {
  /** As https://s3.eu-central-1.amazonaws.com */
  readonly endpoint: string
  readonly region: string
  readonly bucket: string
  readonly accessKeyId: string
  readonly secretAccessKey: string
}

/** A tile or bundle is at most 16 MB, and mostly some kilobytes. */
const answerMs = 30_000
/** A write that met another one under way is repeated after so long: some hundred milliseconds in all, then it is a fault. */
const conflictPausesMs = [50, 100, 200, 400]

/** The store did not do what it was asked. `status` 0: it was not reached. */
class S3Error extends Error {
  override readonly name = 'S3Error'
  readonly code = 'object-store'
  readonly status: number

  constructor(status: number, options?: ErrorOptions) {
    super(`the object store has answered ${status === 0 ? 'nothing' : `with status ${status}`}`, options)
    this.status = status
  }
}

interface S3Request {
  readonly method: 'GET' | 'PUT'
  readonly key: string
  readonly body?: Uint8Array
  readonly headers?: Readonly<Record<string, string>>
}

/**
 * The log's files in a bucket. What was written stays written: a tile is put only where there is none, the checkpoint only
 * in the place of the one that was looked at (conditional writes, RFC 9110 §13.1). Partial tiles stay where they are: a
 * rule of the bucket may delete them, and C2SP tlog-tiles allows both. `prefix` stands before the names of all of them.
 */
export function openS3Files(crypto: Crypto, bucket: S3Bucket, prefix = ''): PublishedFiles {
  const send = (request: S3Request) => sendSigned(crypto, bucket, { ...request, key: `${prefix}${request.key}` })
  const get = async (key: string): Promise<{ bytes: Uint8Array; etag: string } | undefined> => {
    const response = await send({ method: 'GET', key })
    if (response.status === 404) {
      await response.body?.cancel()
      return undefined
    }
    if (response.status !== 200) throw await failed(response)
    return { bytes: new Uint8Array(await response.arrayBuffer()), etag: response.headers.get('etag') ?? '' }
  }
  /**
   * 409 says that another write of the key was under way, and nothing of how that ended: the condition is tried again.
   *
   * @returns false when the condition does not hold
   */
  const put = async (key: string, body: Uint8Array, condition: Record<string, string>): Promise<boolean> => {
    for (let attempt = 0; ; attempt++) {
      const response = await send({ method: 'PUT', key, body, headers: condition })
      if (response.ok || response.status === 412) {
        await response.body?.cancel()
        return response.ok
      }
      const pause = response.status === 409 ? conflictPausesMs[attempt] : undefined
      if (pause === undefined) throw await failed(response)
      await response.body?.cancel()
      await sleep(pause)
    }
  }
  return {
    read: async (path) => (await get(path))?.bytes,
    async put(files) {
      const same = await Promise.all(
        files.map(async ({ name, bytes }) => {
          const key = tilePath(name)
          if (await put(key, bytes, { 'if-none-match': '*' })) return true
          const there = await get(key)
          // There was something a moment ago: that is the store's trouble, and says nothing about the log.
          if (!there) throw new S3Error(404)
          return equalBytes(there.bytes, bytes)
        }),
      )
      return !same.includes(false)
    },
    async stage(checkpoint, size) {
      return {
        async publish() {
          const there = await get('checkpoint')
          if (outdone(there?.bytes, { checkpoint, size })) return false
          // Whoever has published since then is not overwritten, however long this process was stopped here.
          return put('checkpoint', checkpoint, there ? { 'if-match': there.etag } : { 'if-none-match': '*' })
        },
      }
    },
    async dropPartial() {},
  }
}

async function failed(response: Response): Promise<S3Error> {
  await response.body?.cancel()
  return new S3Error(response.status)
}

async function sendSigned(crypto: Crypto, bucket: S3Bucket, request: S3Request): Promise<Response> {
  const url = new URL(`${bucket.endpoint.replace(/\/+$/, '')}/${bucket.bucket}/${request.key}`)
  const { method, body } = request
  const headers = { ...request.headers, ...signature(crypto, bucket, { url, method, body, at: new Date() }) }
  return fetch(url, {
    method,
    headers,
    redirect: 'error',
    signal: AbortSignal.timeout(answerMs),
    ...(body ? { body: Buffer.from(body) } : {}),
  }).catch((cause) => {
    throw new S3Error(0, { cause })
  })
}

interface ToSign {
  readonly url: URL
  readonly method: string
  readonly body: Uint8Array | undefined
  readonly at: Date
}

/** The headers that sign a request: AWS Signature Version 4, over host, date and the hash of the body. */
function signature(
  crypto: Crypto,
  { region, accessKeyId, secretAccessKey }: S3Bucket,
  { url, method, body, at }: ToSign,
): Record<string, string> {
  const time = at.toISOString().replace(/[-:]|\.\d{3}/g, '')
  const scope = [time.slice(0, 8), region, 's3', 'aws4_request']
  const bodyHash = toHex(crypto.sha256(body ?? new Uint8Array()))
  const signed = { host: url.host, 'x-amz-content-sha256': bodyHash, 'x-amz-date': time }
  const names = Object.keys(signed).join(';')
  const lines = Object.entries(signed).map(([name, value]) => `${name}:${value}\n`)
  // Our paths have no character that would be written in another way.
  const canonical = [method, url.pathname, '', lines.join(''), names, bodyHash].join('\n')
  const text = ['AWS4-HMAC-SHA256', time, scope.join('/'), toHex(crypto.sha256(utf8(canonical)))].join('\n')
  const key = scope.reduce((under, part) => crypto.hmacSha256(under, utf8(part)), utf8(`AWS4${secretAccessKey}`))
  const value = toHex(crypto.hmacSha256(key, utf8(text)))
  const credential = `Credential=${accessKeyId}/${scope.join('/')}`
  return {
    'x-amz-content-sha256': bodyHash,
    'x-amz-date': time,
    authorization: `AWS4-HMAC-SHA256 ${credential}, SignedHeaders=${names}, Signature=${value}`,
  }
}
