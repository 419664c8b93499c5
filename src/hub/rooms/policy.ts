import type { HubErrorCode } from '../errors.ts'
import type { Evaluation, RoomFacts } from './facts.ts'

/**
 * Who may be in a room of a kind, as far as it is for certain accounts. Pure. What a commit may do to a room otherwise is
 * a rule that members apply too (`judgeCommit` of identity); who may reach whom is looked at elsewhere (contact.ts), since
 * it changes outside of rooms.
 *
 * `self`: leaves of its owner only. `direct`: leaves of its two accounts only.
 */
export function checkAccounts(
  room: Pick<RoomFacts, 'kind' | 'owner' | 'accounts'>,
  { after }: Pick<Evaluation, 'after'>,
  mostLeaves: number,
): HubErrorCode | undefined {
  if (after.length > mostLeaves) return 'too-large'
  const accounts = new Set(after.map(({ address }) => address as string))
  if (room.kind === 'self' && [...accounts].some((account) => account !== room.owner)) return 'not-allowed'
  if (room.kind === 'direct' || room.kind === 'guest') {
    if (room.accounts ? [...accounts].some((account) => !room.accounts!.includes(account)) : accounts.size !== 2)
      return 'not-allowed'
  }
  return undefined
}
