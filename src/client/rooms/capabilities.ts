import {
  type CapabilityDocument,
  ContentError,
  capabilitiesMessage,
  capabilityDocument,
  combineCapabilities,
  encodeContent,
  guestCapabilities,
  type MimiContent,
  messengerCapabilities,
  type RoomCapabilities,
  readCapabilities,
} from '../../content/index.ts'
import { equalBytes } from '../../crypto/index.ts'
import type { Leaf, RoomId } from '../../identity/index.ts'
import type { Context } from '../context.ts'
import { accounts } from '../state/records.ts'
import { lookIntoRoom, type RoomWork } from '../state/room-work.ts'
import type { StorageTx } from '../types.ts'
import { addSubmission } from './submissions.ts'

/** Until an edge has said what its network carries. */
const unsaid = (network: string) => capabilityDocument(network, { text: { level: 'full' } })

/** What can be said in a room: the least of what its members' networks carry. */
export function capabilitiesOf(context: Context, room: RoomId): Promise<RoomCapabilities> {
  return lookIntoRoom(context, room, async (work) => {
    const { leaves } = await work.roster()
    const documents: CapabilityDocument[] = [work.record?.kind === 'guest' ? guestCapabilities : messengerCapabilities]
    for (const { accountKind, address, network = '' } of leaves) {
      if (accountKind !== 'edge') continue
      const own = address === context.self.address ? context.capabilities : undefined
      documents.push(own ?? (await accounts.get(work.tx, address))?.capabilities ?? unsaid(network))
    }
    return combineCapabilities(documents)
  })
}

/** Keeps what an edge says of its network: of no other than its own, and nobody else says anything of one. */
export async function noteCapabilities(tx: StorageTx, sender: Leaf, content: MimiContent): Promise<void> {
  if (sender.accountKind !== 'edge') return
  try {
    const document = readCapabilities(content)
    const known = document && (await accounts.get(tx, sender.address))
    if (!document || !known || document.network !== sender.network) return
    await accounts.put(tx, sender.address, { ...known, capabilities: document })
  } catch (error) {
    if (!(error instanceof ContentError)) throw error
  }
}

/** An edge tells each room that is accepted on both sides what its network carries, and again when that has changed. */
export async function tellCapabilitiesIfOwed(context: Context, work: RoomWork): Promise<void> {
  const { record } = work
  if (!context.capabilities || record?.standing !== 'accepted' || !record.answered) return
  const content = capabilitiesMessage(context.capabilities)
  const hash = context.crypto.sha256(encodeContent({ ...content, salt: new Uint8Array(16) }))
  if (record.capabilitiesTold && equalBytes(record.capabilitiesTold, hash)) return
  work.update({ capabilitiesTold: hash })
  await addSubmission(context, work, content)
}
