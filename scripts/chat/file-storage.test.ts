import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { durableStorageContract, storageContract } from '../../src/client/storage/contract.ts'
import { fileStorage } from './file-storage.ts'

const folder = mkdtempSync(join(tmpdir(), 'silta-file-storage-'))
after(() => rmSync(folder, { recursive: true }))
const open = (name: string) => fileStorage(join(folder, `${createHash('sha256').update(name).digest('hex')}.sqlite`))

describe('storage in a file', () => {
  for (const [name, run] of [...storageContract, ...durableStorageContract]) test(name, () => run({ open }, name))

  test('a second opening is refused until the first is closed', async () => {
    const first = await open('twice')
    await assert.rejects(open('twice'), { name: 'ClientError', code: 'storage-in-use' })
    await first.close()
    await (await open('twice')).close()
  })
})
