import type { Device, Invite, InviteChoices } from '../../src/client/index.ts'
import { shortName } from './rooms.ts'
import { Mistake } from './words.ts'

/** Reads what stands after /invite: pin:DIGITS, ask, many; the rest is the label. */
export function parseInvite(text: string): InviteChoices {
  const choices: InviteChoices = {}
  const label: string[] = []
  for (const word of text.split(/\s+/).filter(Boolean)) {
    if (word.startsWith('pin:') && word.length > 4) choices.pin = word.slice(4)
    else if (word === 'ask') choices.approval = true
    else if (word === 'many') choices.singleUse = false
    else label.push(word)
  }
  return label.length === 0 ? choices : { ...choices, label: label.join(' ') }
}

/** Links for guests, at a terminal. `base`: where the page for guests is. */
export function invitesAt(device: Device, base: string, print: (line: string) => void) {
  const open = async () => (await device.invites()).filter((invite) => invite.open || invite.chats.length > 0)
  return {
    async make(choices: InviteChoices): Promise<void> {
      const invite = await device.createInvite({ ...choices, base })
      print('Whoever has this link can write to you; give it to nobody else:')
      print(invite.link)
      print(`  ${describe(invite)}`)
    },
    async list(): Promise<void> {
      const all = await open()
      if (all.length === 0) print('There are no links for guests. /invite makes one.')
      for (const [index, invite] of all.entries()) {
        print(`  ${index + 1}: ${invite.label ?? 'without a label'} — ${describe(invite)}`)
        if (invite.open) print(`     ${invite.link}`)
        for (const { account, name } of invite.waiting) print(`     waits: ${name ?? shortName(account)}`)
      }
    },
    async revoke(number: number): Promise<void> {
      const invite = (await open())[number - 1]
      if (!invite) throw new Mistake(`There is no link ${number}. /invites lists them.`)
      await device.revokeInvite(invite.id)
      print('It opens nothing any more, and chats that began by it have ended.')
    },
  }
}

function describe(invite: Invite): string {
  const until = new Date(invite.expiresAt).toISOString().slice(0, 16).replace('T', ' ')
  const guests = invite.chats.length === 1 ? '1 chat' : `${invite.chats.length} chats`
  return [
    invite.open ? `open until ${until} UTC` : 'used',
    invite.singleUse ? 'for one guest' : 'for several guests',
    ...(invite.pin ? ['with a PIN: tell it another way'] : []),
    ...(invite.approval ? ['you are asked first'] : []),
    ...(invite.chats.length > 0 ? [guests] : []),
  ].join(', ')
}
