import { openAccount } from '../chat/account.ts'
import { openSession } from '../chat/session.ts'
import { dataFolder } from './data.ts'

const label = 'npm start'
/** Receipts for what arrived have so long to leave. */
const settleMs = 5_000

/**
 * A link by which anybody at this machine can be a guest of the messenger user, the same one as long as it is open.
 * Undefined when the account is open in a terminal, which can make one too.
 */
export async function linkToTry(service: string, name: string): Promise<string | undefined> {
  try {
    await using account = await openAccount({ service, folder: dataFolder('chat'), name })
    const { device, storage } = account
    // What arrives meanwhile is kept, for the terminal to show.
    const session = await openSession({ device, storage, name, service, print: () => undefined })
    await device.start()
    const found = (await device.invites()).find((invite) => invite.open && invite.label === label)
    // A service on another port is another address.
    const usable = found?.link.startsWith(`${service}/`) ? found : undefined
    if (found && !usable) await device.revokeInvite(found.id, { keepChats: true })
    const shown = name.charAt(0).toUpperCase() + name.slice(1)
    const invite = usable ?? (await device.createInvite({ base: service, label, name: shown, singleUse: false }))
    await session.settled(settleMs)
    return invite.link
  } catch {
    return undefined
  }
}
