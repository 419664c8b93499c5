import type { AccountAddress } from '../../identity/index.ts'
import type { GhostId } from '../matrix/ghosts.ts'
import type { PortalContext } from './context.ts'
import type { OpenPortal } from './portal-table.ts'

/** Who is who in a portal's room, for mentions: nobody else's address crosses. */
export function circleOf({ circle, ghost, peer, mxid, account }: OpenPortal) {
  const pairs = circle
    ? [...circle]
    : ([
        [ghost, peer],
        [mxid, account],
      ] as const)
  return {
    accountOf: (mxid: string): string | undefined => pairs.find(([each]) => each === mxid)?.[1],
    mxidOf: (account: string): string | undefined => pairs.find(([, each]) => each === account)?.[0],
  }
}

/** The ghost of an account that is in the portal's room. */
export function ghostIn({ isOurs }: PortalContext, portal: OpenPortal, account: AccountAddress): GhostId | undefined {
  const mxid = circleOf(portal).mxidOf(account)
  return mxid !== undefined && isOurs(mxid) ? (mxid as GhostId) : undefined
}
