import assert from 'node:assert/strict'
import { createHash, createHmac } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { fromUtf8, utf8 } from '../crypto/index.ts'
import { nodeCrypto as crypto } from '../crypto/node.ts'
import { freshDatabase } from '../store/testing.ts'
import { tilePath, verifyLog } from './log/index.ts'
import { openPublishedFiles, type PublishedFiles } from './published.ts'
import { openS3Files, type S3Bucket } from './s3.ts'
import { testSigner } from './testing/log.ts'
import { anEvent, testAudit, testSequencer } from './testing/world.ts'

const home = mkdtempSync(join(tmpdir(), 'silta-published-'))
const secretAccessKey = 'a secret of the test'
const standIn = await openStandIn()
after(() => {
  standIn.close()
  rmSync(home, { recursive: true, force: true })
})
let stores = 0
const bucket = (more: Partial<S3Bucket> = {}): S3Bucket => {
  const own = { bucket: `log${++stores}`, region: 'eu-test-1', accessKeyId: 'TEST', secretAccessKey }
  return { endpoint: standIn.url, ...own, ...more }
}

/** An object store in this process: it checks each signature anew, and knows conditional writes. */
async function openStandIn() {
  const objects = new Map<string, Buffer>()
  /** How often each path is still to be answered with 409, and whether the other write has put the same meanwhile. */
  const conflicts = new Map<string, { left: number; with?: Buffer }>()
  const etagOf = (bytes: Buffer) => `"${createHash('sha256').update(bytes).digest('hex')}"`
  const server = createServer(async (request, response) => {
    const parts: Buffer[] = []
    for await (const part of request as AsyncIterable<Buffer>) parts.push(part)
    const body = Buffer.concat(parts)
    const answer = (status: number, bytes?: Buffer) => {
      response.writeHead(status, bytes ? { etag: etagOf(bytes) } : {})
      response.end(request.method === 'GET' ? bytes : undefined)
    }
    if (!isSigned(request, body)) return answer(403)
    const there = objects.get(request.url!)
    if (request.method === 'GET') return there ? answer(200, there) : answer(404)
    const conflict = conflicts.get(request.url!)
    if (conflict && conflict.left-- > 0) {
      if (conflict.with) objects.set(request.url!, conflict.with)
      return answer(409)
    }
    const [none, match] = [request.headers['if-none-match'], request.headers['if-match']]
    if ((none === '*' && there) || (match !== undefined && (!there || etagOf(there) !== match))) return answer(412)
    objects.set(request.url!, body)
    return answer(200, body)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const close = () => {
    server.closeAllConnections()
    server.close()
  }
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, conflicts, close }
}

/** Signature Version 4 as a server reads it: from the header alone, and the secret. */
function isSigned({ method, url, headers }: IncomingMessage, body: Buffer): boolean {
  const form =
    /^AWS4-HMAC-SHA256 Credential=TEST\/(\d{8})\/([\w-]+)\/s3\/aws4_request, SignedHeaders=([\w;-]+), Signature=(\w{64})$/
  const [, day = '', region = '', names = '', given] = form.exec(headers.authorization ?? '') ?? []
  const hash = (bytes: Buffer | string) => createHash('sha256').update(bytes).digest('hex')
  const mac = (key: Buffer | string, text: string) => createHmac('sha256', key).update(text).digest()
  if (headers['x-amz-content-sha256'] !== hash(body)) return false
  const lines = names.split(';').map((name) => `${name}:${headers[name]}\n`)
  const canonical = `${method}\n${url}\n\n${lines.join('')}\n${names}\n${hash(body)}`
  const text = `AWS4-HMAC-SHA256\n${headers['x-amz-date']}\n${day}/${region}/s3/aws4_request\n${hash(canonical)}`
  const key = mac(mac(mac(mac(`AWS4${secretAccessKey}`, day), region), 's3'), 'aws4_request')
  return mac(key, text).toString('hex') === given
}

const kinds: Record<string, () => PublishedFiles> = {
  'in a folder': () => openPublishedFiles(join(home, `log${++stores}`)),
  'in an object store': () => openS3Files(crypto, bucket()),
}

for (const [kind, open] of Object.entries(kinds))
  describe(`the published log ${kind}`, () => {
    const note = (size: number) => utf8(`test\n${size}\nroot\n`)
    const name = (index: number) => ({ level: 0, index, width: 256 }) as const

    test('keeps what was written, and takes the same once more', async () => {
      const files = open()
      const tiles = [0, 1, 1200].map((index) => ({ name: name(index), bytes: utf8(`tile ${index}`) }))
      assert.equal(await files.read(tilePath(name(0))), undefined)
      assert.equal(await files.put(tiles), true)
      assert.equal(await files.put(tiles), true)
      assert.equal(await files.put([{ name: name(1), bytes: utf8('another') }]), false)
      for (const { name, bytes } of tiles) assert.deepEqual(await files.read(tilePath(name)), bytes)
    })

    test('has no older checkpoint in the place of a newer one', async () => {
      const files = open()
      const late = await files.stage(note(3), 3)
      for (const size of [0, 5, 5]) assert.equal(await (await files.stage(note(size), size)).publish(), true)
      assert.equal(await late.publish(), false)
      assert.deepEqual(await files.read('checkpoint'), note(5))
      const cosigned = utf8(`${fromUtf8(note(5))}cosigned\n`)
      assert.equal(await (await files.stage(cosigned, 5)).publish(), true)
      assert.equal(await (await files.stage(note(5), 5)).publish(), false)
    })

    test('is made by the sequencer, and verifies', async () => {
      await using database = await freshDatabase()
      const audit = testAudit()
      const files = open()
      for (const batch of [300, 1, 20]) {
        await database.transaction(async (tx) => {
          for (let i = 0; i < batch; i++) await audit.append(tx, anEvent(`name${i % 5}`))
        })
        const { sequencer, faults } = testSequencer(database, '', { files })
        await sequencer.close()
        assert.deepEqual(faults, [])
      }
      assert.equal((await verifyLog(crypto, { read: files.read, verifier: testSigner.verifier })).size, 321)
    })
  })

test('an object store that refuses, or is not there, is a fault with a code', async () => {
  for (const more of [{ secretAccessKey: 'another' }, { endpoint: 'http://127.0.0.1:1' }])
    await assert.rejects(openS3Files(crypto, bucket(more)).read('checkpoint'), {
      name: 'S3Error',
      code: 'object-store',
    })
})

test('another write under way is waited for, and then compared by what it has put', async () => {
  const own = bucket()
  const files = openS3Files(crypto, own)
  const path = (index: number) => `/${own.bucket}/${tilePath({ level: 0, index, width: 256 })}`
  const tile = (index: number) => ({ name: { level: 0, index, width: 256 } as const, bytes: utf8(`tile ${index}`) })
  standIn.conflicts.set(path(0), { left: 2 })
  standIn.conflicts.set(path(1), { left: 1, with: Buffer.from('tile 1') })
  assert.equal(await files.put([tile(0), tile(1)]), true)
  assert.deepEqual(await files.read(tilePath(tile(0).name)), utf8('tile 0'))
  standIn.conflicts.set(path(2), { left: 1, with: Buffer.from('another') })
  assert.equal(await files.put([tile(2)]), false)
  // One that does not pass is a fault of the store, no difference of the log.
  standIn.conflicts.set(path(3), { left: 1000 })
  await assert.rejects(files.put([tile(3)]), { name: 'S3Error', status: 409 })
  standIn.conflicts.set(`/${own.bucket}/checkpoint`, { left: 2 })
  assert.equal(await (await files.stage(utf8('test\n5\nroot\n'), 5)).publish(), true)
})
