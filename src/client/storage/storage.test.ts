import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import 'fake-indexeddb/auto'
import { durableStorageContract, type StorageUnderTest, storageContract } from './contract.ts'
import { indexedDbStorage } from './indexed-db.ts'
import { memoryStorage } from './memory.ts'

const subjects: [string, StorageUnderTest, typeof storageContract][] = [
  ['memory', { open: async () => memoryStorage() }, storageContract],
  ['IndexedDB', { open: indexedDbStorage }, [...storageContract, ...durableStorageContract]],
]

for (const [kind, subject, contract] of subjects)
  describe(`storage in ${kind}`, () => {
    for (const [name, run] of contract) test(name, () => run(subject, name))
  })

test('a second opening of the same IndexedDB storage is refused until the first is closed', async () => {
  const first = await indexedDbStorage('twice')
  await assert.rejects(indexedDbStorage('twice'), { name: 'ClientError', code: 'storage-in-use' })
  await first.close()
  await (await indexedDbStorage('twice')).close()
})
