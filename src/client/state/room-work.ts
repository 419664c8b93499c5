import type { RoomId } from '../../identity/index.ts'
import { decodeState, encodeRatchetsOf, encodeState, epochOf, type GroupState } from '../../mls/index.ts'
import type { Context } from '../context.ts'
import { ClientError } from '../errors.ts'
import type { StorageTx } from '../types.ts'
import { groups, pendingCommits, type RoomRecord, type RosterRecord, ratchets, rooms, rosters } from './records.ts'

/** One room inside one transaction: what was read, and what will be written when the work is done. */
export interface RoomWork {
  readonly tx: StorageTx
  readonly id: RoomId
  readonly record: Readonly<RoomRecord> | undefined
  update(change: Partial<RoomRecord>): void
  /** Begins a room that is new here. */
  begin(record: RoomRecord): void
  /** Errors: not-joined. */
  roster(): Promise<RosterRecord>
  setRoster(roster: RosterRecord): void
  /** The newest group state. Errors: not-joined. */
  group(): Promise<GroupState>
  /** The state that follows. A message changes the ratchets only. */
  advance(state: GroupState, changed: 'ratchets' | 'whole'): void
  /** This device is out of the room: what it could read or write with goes. */
  forgetGroup(): void
  /** Runs when the transaction is durable. */
  afterwards(fn: () => void | Promise<void>): void
}

/**
 * Runs `fn` alone in its room and in one storage transaction, with the group state read on demand and what it changed
 * written at the end. So a state leaves for the network, or for the next work, only when it is durable.
 */
export function inRoom<T>(context: Context, room: RoomId, fn: (work: RoomWork) => Promise<T>): Promise<T> {
  const cacheKey = `${context.deviceId} ${room}`
  return context.alone(room, async () => {
    let state: GroupState | undefined
    const afterwards: (() => void | Promise<void>)[] = []
    try {
      const result = await context.storage.transaction(async (tx) => {
        const { work, save } = await open(
          tx,
          room,
          context.groupCache.get(cacheKey) as GroupState | undefined,
          afterwards,
        )
        const result = await fn(work)
        state = await save()
        return result
      })
      if (state) context.groupCache.set(cacheKey, state)
      else context.groupCache.delete(cacheKey)
      for (const fn of afterwards) await fn()
      return result
    } catch (error) {
      // A storage that failed may have committed all the same: what is in memory could be older, and must not be used.
      context.groupCache.delete(cacheKey)
      throw error
    }
  })
}

/** Reads a room without changing it. */
export function lookIntoRoom<T>(
  context: Pick<Context, 'storage'>,
  room: RoomId,
  fn: (work: RoomWork) => Promise<T>,
): Promise<T> {
  return context.storage.transaction(async (tx) => fn((await open(tx, room, undefined, [])).work))
}

async function open(
  tx: StorageTx,
  id: RoomId,
  cached: GroupState | undefined,
  afterwards: (() => void | Promise<void>)[],
) {
  let record = await rooms.get(tx, id)
  let recordChanged = false
  let state = cached
  let changed: 'ratchets' | 'whole' | 'gone' | undefined
  let roster: RosterRecord | undefined
  let rosterChanged = false
  const requireJoined = () => {
    if (!record?.joined) throw new ClientError(record ? 'not-joined' : 'no-such-room')
  }
  const work: RoomWork = {
    tx,
    id,
    get record() {
      return record
    },
    update(change) {
      if (!record) throw new ClientError('no-such-room')
      record = { ...record, ...change }
      recordChanged = true
    },
    begin(begun) {
      record = begun
      recordChanged = true
    },
    async roster() {
      requireJoined()
      roster ??= await rosters.get(tx, id)
      if (!roster) throw new ClientError('storage', 'a joined room has no roster')
      return roster
    },
    setRoster(next) {
      roster = next
      rosterChanged = true
    },
    async group() {
      requireJoined()
      state ??= await readState(tx, id)
      return state
    },
    advance(next, what) {
      state = next
      changed = changed === 'whole' ? 'whole' : what
    },
    forgetGroup() {
      state = undefined
      changed = 'gone'
    },
    afterwards: (fn) => void afterwards.push(fn),
  }
  const save = async () => {
    if (changed === 'gone') {
      await groups.delete(tx, id)
      await ratchets.delete(tx, id)
      await rosters.delete(tx, id)
      await pendingCommits.delete(tx, id)
    } else if (state && changed === 'whole') {
      const encoded = encodeState(state)
      await groups.put(tx, id, encoded.group)
      await ratchets.put(tx, id, encoded.ratchets)
      if (record) work.update({ epoch: Number(epochOf(state)) })
    } else if (state && changed === 'ratchets') await ratchets.put(tx, id, encodeRatchetsOf(state))
    if (roster && rosterChanged && changed !== 'gone') await rosters.put(tx, id, roster)
    if (record && recordChanged) await rooms.put(tx, id, record)
    return record?.joined ? state : undefined
  }
  return { work, save }
}

async function readState(tx: StorageTx, id: RoomId): Promise<GroupState> {
  const [group, ratchetState] = [await groups.get(tx, id), await ratchets.get(tx, id)]
  if (!group || !ratchetState) throw new ClientError('storage', 'a joined room has no group state')
  try {
    return decodeState({ group, ratchets: ratchetState })
  } catch (cause) {
    throw new ClientError('storage', 'a group state cannot be read', { cause })
  }
}
