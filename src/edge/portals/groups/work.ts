import type { PortalContext } from '../context.ts'
import { depart } from '../departures.ts'
import { EdgeError } from '../errors.ts'
import { replacePlaceholders } from '../from-matrix.ts'
import { owedBy, tellOwed } from '../owed.ts'
import { words } from '../words.ts'
import { endGroup, makeGroupRoom, makeMessengerGroup, moveOut, readMatrixRoom } from './opening.ts'
import { reconcile } from './reconcile.ts'
import { portalFor, sendToGroup } from './speaking.ts'
import type { GroupPortal } from './table.ts'
import { type MessengerView, viewOf } from './view.ts'

/** Everything there is to do for one group now; called by the runner, one at a time for each. */
export async function workOnGroup(context: PortalContext, id: number, keysCame: boolean): Promise<void> {
  const { groups, database } = context
  // Each step stores what it has come to; the next begins from there.
  for (let step = 0; step < mostSteps; step++) {
    const group = await groups.byId(database, id)
    if (group === undefined) return
    if (group.ended) {
      if (group.matrixRoom !== undefined) await endGroup(context, group)
      return depart(context, { id })
    }
    const opened = await openNext(context, group)
    if (opened === 'again') continue
    if (opened === 'ended') {
      const now = (await groups.byId(database, id)) ?? group
      await endGroup(context, { ...now, changes: group.changes })
      return depart(context, { id })
    }
    if (group.gap) await tellGap(context, id)
    if (group.ahead) await passOver(context, group, opened)
    return goOn(context, group, opened, keysCame)
  }
}

const mostSteps = 8

/** The next step towards a group that has both rooms. */
async function openNext(context: PortalContext, group: GroupPortal): Promise<'again' | 'ended' | MessengerView> {
  const { matrix } = group.state
  if (group.matrixRoom !== undefined && matrix === undefined) {
    return (await readMatrixRoom(context, group, group.matrixRoom)) ? 'again' : 'ended'
  }
  if (group.room === undefined) {
    const refused = matrix && (await makeMessengerGroup(context, group, matrix))
    return refused === undefined ? 'again' : 'ended'
  }
  const view = await viewOf(context, group)
  if (view === undefined) return 'ended'
  if (group.matrixRoom === undefined) {
    if (Object.keys(view.members).length > context.settings.groupMembers) return leaveAll(context, group, view)
    await makeGroupRoom(context, group, view)
    return 'again'
  }
  const bot = await context.ghosts.ensureBot()
  // Whoever sends the bot away ends it: without it nobody is kept out, nor let in.
  const botIn = matrix?.members[bot]?.membership === 'join'
  if (!botIn) return leaveAll(context, group, view)
  if (!matrix?.replaced) return view
  // Who had come there, or gone, by then has to have done so in the messenger: only its members are invited anew.
  if ((await reconcile(context, group.id)) === undefined) throw new EdgeError('behind')
  await moveOut(context, { ...group, matrixRoom: group.matrixRoom }, matrix)
  return 'again'
}

/** The group cannot reach Matrix (any more): its Matrix users leave it, so that nobody takes them for readers. */
async function leaveAll(context: PortalContext, group: GroupPortal, view: MessengerView): Promise<'ended'> {
  context.counters.count('refused', { way: 'to-matrix', code: 'unsupported' })
  for (const { user, standing } of view.present.values()) {
    if (group.room === undefined) break
    await (standing === 'requested' ? user.device.decline(group.room) : user.device.leave(group.room))
  }
  return 'ended'
}

const tellGap = ({ database, outbox }: PortalContext, id: number): Promise<void> =>
  database.transaction(async (tx) => {
    const told = await tx.query('update group_portal set gap = false where portal = $1 and gap returning 1', [id])
    if (told.length > 0) await outbox.add(tx, id, 'notice', words.gap())
  })

/**
 * Something was read by a device that came in later than the portal has come. Where a device of ours that was in the group
 * before is still to hear of it, what it will read comes first.
 */
async function passOver(context: PortalContext, group: GroupPortal, view: MessengerView): Promise<void> {
  for (const [who, { account }] of Object.entries(view.members)) {
    if (context.isOurs(who) || view.present.has(who) || group.room === undefined) continue
    const { device } = await context.users.byAccount(account)
    if ((await device.room(group.room)) === undefined) throw new EdgeError('behind')
  }
  await context.database.transaction((tx) => context.turns.go(tx, group.id))
}

async function goOn(
  context: PortalContext,
  { id, changes }: GroupPortal,
  found: MessengerView,
  keysCame: boolean,
): Promise<void> {
  const { groups, database, outbox } = context
  // What was written before a change goes first, to those who were there.
  const sent = await sendToGroup(context, id, found)
  const before = await groups.byId(database, id)
  // Where nothing has changed since all was done, the two sides are as they were left.
  const same = sent && before?.worked === before?.changes && before?.posture === JSON.stringify(found.posture)
  const view = same ? found : await reconcile(context, id)
  const group = same ? before : await groups.byId(database, id)
  if (view === undefined || group === undefined) return context.wake(id)
  const posture = JSON.stringify(view.posture)
  if (posture !== group.posture && !(await outbox.has(database, id, 'posture')))
    await database.transaction((tx) => outbox.add(tx, id, 'posture', posture))
  const accepted = [...view.present.values()].filter(({ standing }) => standing === 'accepted')
  // Each says what they have said themselves.
  for (const { user } of keysCame ? accepted : [])
    await replacePlaceholders(context, await portalFor(context, group, user), user.mxid)
  const owed = await owedBy(database, id)
  const [teller] = accepted
  if (teller !== undefined) await tellOwed(context, await portalFor(context, group, teller.user), owed)
  if (!same || keysCame) await finish(context, group, view, changes)
  // Last: what is left behind must not hold up what goes on.
  if (owed.departures) await depart(context, { id })
}

/** @param changes up to which all was done */
async function finish(context: PortalContext, group: GroupPortal, view: MessengerView, changes: number): Promise<void> {
  const { groups, database } = context
  const { id } = group
  await sendToGroup(context, id, view)
  if (group.worked === group.changes) return
  // What the work itself has changed is looked at once more.
  if (group.changes > changes) return context.wake(id)
  // An answer may have come before a device is open to hear it.
  if (Object.values(group.state.asked).some(({ answer }) => answer === undefined)) return
  await groups.noteWorked(database, id, changes)
}
