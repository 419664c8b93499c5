import { decodeRoster } from '../../identity/index.ts'
import { decodePublicGroup } from '../../mls/public.ts'
import type { HubContext } from '../context.ts'
import type { FollowedGroup, RoomFacts } from './facts.ts'
import type { RoomKind, RoomRow } from './rows.ts'

/** A room as a commit is judged against it, outside of any transaction; `version` tells whether it still is so. */
export interface RoomSnapshot {
  no: number
  epoch: number
  version: number
  last_at: number
  facts: RoomFacts
  followed: FollowedGroup
}

export async function loadRoom(ctx: HubContext, room: string): Promise<RoomSnapshot | undefined> {
  const [row] = await ctx.database.query<
    Pick<RoomRow, 'no' | 'kind' | 'owner' | 'epoch' | 'last_at'> & {
      version: number
      public_group: Uint8Array
      roster: Uint8Array
      accounts: string[] | null
      removals: string[] | null
    }
  >(
    `select r.no, r.kind, r.owner, r.epoch, r.last_at, g.version, g.public_group, g.roster,
            case when r.kind in ('direct', 'guest')
                 then (select array_agg(account) from hub.member where room_no = r.no) end as accounts,
            (select array_agg(device_id) from hub.removal where room_no = r.no) as removals
       from hub.room r join hub.room_group g on g.room_no = r.no where r.id = $1`,
    [room],
  )
  if (!row) return undefined
  return {
    no: row.no,
    epoch: row.epoch,
    version: row.version,
    last_at: row.last_at,
    facts: {
      kind: row.kind as RoomKind,
      owner: row.owner,
      accounts: row.accounts ?? undefined,
      removals: row.removals ?? [],
    },
    followed: { group: decodePublicGroup(row.public_group), roster: decodeRoster(row.roster) },
  }
}
