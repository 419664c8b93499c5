import type { Storage } from '../types.ts'

/** What every storage must hold. Runs anywhere, a browser's page included, so it brings its own way to complain. */
export interface StorageUnderTest {
  /** Opens the storage of that name, with what was committed to it before. */
  open(name: string): Promise<Storage>
}

type Case = [name: string, run: (subject: StorageUnderTest, name: string) => Promise<void>]

const bytes = (...values: number[]) => Uint8Array.from(values)
const text = (value: unknown) =>
  JSON.stringify(value, (_, v) => (v instanceof Uint8Array ? [...v] : v === undefined ? 'undefined' : v))
function same(actual: unknown, expected: unknown) {
  if (text(actual) !== text(expected)) throw new Error(`expected ${text(expected)}, got ${text(actual)}`)
}

export const storageContract: Case[] = [
  [
    'gives back what was put, to the same and to later transactions',
    async (subject, name) => {
      const storage = await subject.open(name)
      await storage.transaction(async (tx) => {
        same(await tx.get('a', 'k'), undefined)
        await tx.put('a', 'k', bytes(1, 2, 3))
        await tx.put('b', 'k', bytes())
        same(await tx.get('a', 'k'), bytes(1, 2, 3))
      })
      await storage.transaction(async (tx) => {
        same(await tx.get('a', 'k'), bytes(1, 2, 3))
        same(await tx.get('b', 'k'), bytes())
        await tx.put('a', 'k', bytes(4))
        await tx.delete('b', 'k')
        same([await tx.get('a', 'k'), await tx.get('b', 'k')], [bytes(4), undefined])
      })
      same(await storage.transaction((tx) => tx.get('b', 'k')), undefined)
      await storage.close()
    },
  ],
  [
    'undoes everything when the transaction fails, and says why',
    async (subject, name) => {
      const storage = await subject.open(name)
      await storage.transaction((tx) => tx.put('a', 'kept', bytes(1)))
      const failure = new Error('on purpose')
      const caught = await storage
        .transaction(async (tx) => {
          await tx.put('a', 'new', bytes(2))
          await tx.delete('a', 'kept')
          throw failure
        })
        .catch((error: unknown) => error)
      if (caught !== failure) throw new Error('the failure did not come through')
      const all = await storage.transaction((tx) => tx.list('a'))
      same(all, [{ key: 'kept', value: bytes(1) }])
      await storage.close()
    },
  ],
  [
    'lists by prefix, in order of keys, with what the transaction itself did',
    async (subject, name) => {
      const storage = await subject.open(name)
      await storage.transaction(async (tx) => {
        for (const key of ['b 2', 'b 1', 'a', 'b', 'B 3', 'c%', 'b 10']) await tx.put('l', key, bytes(key.length))
        await tx.put('other', 'b 0', bytes(0))
      })
      await storage.transaction(async (tx) => {
        await tx.put('l', 'b 3', bytes(9))
        await tx.delete('l', 'b 1')
        const keys = async (prefix?: string) => (await tx.list('l', prefix)).map(({ key }) => key)
        same(await keys('b '), ['b 10', 'b 2', 'b 3'])
        same(await keys(), ['B 3', 'a', 'b', 'b 10', 'b 2', 'b 3', 'c%'])
        same(await keys('c%'), ['c%'])
        same(await keys('_'), [])
        same(
          (await tx.list('l', 'b', 2)).map(({ key }) => key),
          ['b', 'b 10'],
        )
        same((await tx.list('l', 'b 3'))[0]?.value, bytes(9))
      })
      await storage.close()
    },
  ],
  [
    'runs transactions one after another, also while one waits for something else',
    async (subject, name) => {
      const storage = await subject.open(name)
      const increment = () =>
        storage.transaction(async (tx) => {
          const before = (await tx.get('n', 'n'))?.[0] ?? 0
          await new Promise((resolve) => setTimeout(resolve, 3))
          await tx.put('n', 'n', bytes(before + 1))
          await new Promise((resolve) => setTimeout(resolve, 1))
        })
      await Promise.all(Array.from({ length: 12 }, increment))
      same(await storage.transaction((tx) => tx.get('n', 'n')), bytes(12))
      await storage.close()
    },
  ],
  [
    'keeps its own copies',
    async (subject, name) => {
      const storage = await subject.open(name)
      const value = bytes(1, 2)
      await storage.transaction(async (tx) => {
        await tx.put('a', 'k', value)
        value[0] = 9
      })
      const got = await storage.transaction((tx) => tx.get('a', 'k'))
      got?.fill(7)
      same(await storage.transaction((tx) => tx.get('a', 'k')), bytes(1, 2))
      await storage.close()
    },
  ],
  [
    'holds a value of a megabyte and a view into a larger buffer',
    async (subject, name) => {
      const storage = await subject.open(name)
      const large = new Uint8Array(1 << 20).fill(5)
      await storage.transaction(async (tx) => {
        await tx.put('a', 'large', large)
        await tx.put('a', 'view', large.subarray(10, 13))
      })
      const [got, view] = await storage.transaction(async (tx) => [
        await tx.get('a', 'large'),
        await tx.get('a', 'view'),
      ])
      same(got?.length, 1 << 20)
      same(view, bytes(5, 5, 5))
      await storage.close()
    },
  ],
]

/** Only for storages that outlive their process. */
export const durableStorageContract: Case[] = [
  [
    'has everything after it was closed and opened again, and nothing of another name',
    async (subject, name) => {
      const first = await subject.open(name)
      await first.transaction((tx) => tx.put('a', 'k', bytes(1)))
      await first.close()
      const second = await subject.open(name)
      same(await second.transaction((tx) => tx.get('a', 'k')), bytes(1))
      const other = await subject.open(`${name}-other`)
      same(await other.transaction((tx) => tx.list('a')), [])
      await second.close()
      await other.close()
    },
  ],
]
