import { MlsError } from '../../mls/index.ts'
import { identityRefusalIn } from '../account/trust.ts'
import { clockFault } from '../clock.ts'
import type { Context } from '../context.ts'
import { asClientError, ClientError } from '../errors.ts'
import type { PendingCommitRecord } from '../state/records.ts'
import type { RoomWork } from '../state/room-work.ts'
import { commitChange } from './group-commit.ts'

/**
 * The commit for the change of the group whose turn it is. What is so already, or may not be, is told on the way.
 *
 * @param isAboutIt whether a failure says something about the change; others come through
 */
export async function nextChange(
  context: Context,
  work: RoomWork,
  isAboutIt: (context: Context, error: unknown) => boolean,
): Promise<PendingCommitRecord | undefined> {
  for (;;) {
    const intent = context.changes.first(work.id)
    if (!intent) return undefined
    try {
      const pending = await commitChange(context, work, intent)
      if (pending) {
        context.changes.begun(work.id, pending.key)
        return pending
      }
      context.changes.settled(work.id)
    } catch (error) {
      const late = clockFault(context, error)
      const told =
        late !== error
          ? late
          : (identityRefusalIn(error) ?? (error instanceof MlsError ? asClientError(error, 'bad-commit') : error))
      if (!(told instanceof ClientError) || !isAboutIt(context, told)) throw error
      context.changes.settled(work.id, told)
    }
  }
}
