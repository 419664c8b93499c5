import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Context } from '../context.ts'
import type { RosterRecord } from '../state/records.ts'
import type { RoomWork } from '../state/room-work.ts'
import { tellPosture } from './announce.ts'

test('who can read is told when their number changes, and when one takes the place of another', async () => {
  const told: number[] = []
  const context = {
    settings: { plaintextNetworks: [] },
    events: {
      run: async (_: string, { posture }: { posture: { accounts: number } }) => void told.push(posture.accounts),
    },
  } as unknown as Context
  const work = { id: 'mimi://a.example/r/x' } as RoomWork
  const roster = (...names: string[]) =>
    ({
      leaves: names.map((name, index) => ({ address: `mimi://a.example/u/${name}`, accountKind: 'person', index })),
    }) as unknown as RosterRecord
  await tellPosture(context, work, roster('ana', 'ben'), roster('ben', 'ana'))
  assert.deepEqual(told, [])
  await tellPosture(context, work, roster('ana', 'ben'), roster('ana', 'ben', 'eve'))
  await tellPosture(context, work, roster('ana', 'ben'), roster('ana', 'eve'))
  await tellPosture(context, work, undefined, roster('ana'))
  assert.deepEqual(told, [3, 2, 1])
})
