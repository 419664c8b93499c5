import { renderUnicodeCompact } from 'uqr'
import type { Device, Invite, InviteChoices } from '../../src/client/index.ts'
import type { RoomId } from '../../src/identity/index.ts'
import { shortName } from './rooms.ts'
import { Mistake } from './words.ts'

const minute = 60_000
const units: Record<string, number> = { m: minute, h: 60 * minute, d: 24 * 60 * minute }

/** Reads what stands after /invite: pin:DIGITS, ask, many, unnamed, for:3d, idle:2h; the rest is the label. */
export function parseInvite(text: string): InviteChoices {
  const choices: InviteChoices = {}
  const label: string[] = []
  for (const word of text.split(/\s+/).filter(Boolean)) {
    const [, what, count = '', unit = ''] = /^(for|idle):(\d{1,4})([mhd])$/.exec(word) ?? []
    const time = Number(count) * (units[unit] ?? 0)
    if (word.startsWith('pin:') && word.length > 4) choices.pin = word.slice(4)
    else if (word === 'ask') choices.approval = true
    else if (word === 'many') choices.singleUse = false
    else if (word === 'unnamed') choices.name = ''
    else if (what === 'for' && time > 0) choices.expiresInMs = time
    else if (what === 'idle' && time > 0) choices.idleMs = time
    else label.push(word)
  }
  return label.length === 0 ? choices : { ...choices, label: label.join(' ') }
}

/** Links for guests, at a terminal. `base`: where the page for guests is. */
export function invitesAt(device: Device, base: string, print: (line: string) => void) {
  const open = async () => (await device.invites()).filter((invite) => invite.open || invite.chats.length > 0)
  const numbered = async (number: number): Promise<Invite> => {
    const invite = (await open())[number - 1]
    if (!invite) throw new Mistake(`There is no link ${number}. /invites lists them.`)
    return invite
  }
  const show = (invite: Invite) => {
    print('Whoever has this link can write to you; give it to nobody else:')
    print(invite.link)
    print(`  ${describe(invite)}`)
    // Low correction: on a screen nothing is smudged, and the picture has to fit.
    for (const line of renderUnicodeCompact(invite.link, { ecc: 'L', border: 2 }).split('\n')) print(line)
  }
  return {
    async make(choices: InviteChoices): Promise<void> {
      const { name } = await device.profile()
      show(await device.createInvite({ ...(name && { name }), ...choices, base }))
    },
    async list(): Promise<void> {
      const all = await open()
      if (all.length === 0) print('There are no links for guests. /invite makes one.')
      for (const [index, invite] of all.entries()) {
        print(`  ${index + 1}: ${invite.label ?? 'without a label'} — ${describe(invite)}`)
        if (invite.open) print(`     ${invite.link}`)
        for (const { account, name } of invite.waiting) print(`     waits: ${name ?? shortName(account)}: /approve`)
      }
    },
    async revoke(number: number): Promise<void> {
      await device.revokeInvite((await numbered(number)).id)
      print('It opens nothing any more, and chats that began by it have ended.')
    },
    async reissue(number: number, choices: InviteChoices): Promise<void> {
      const { id } = await numbered(number)
      show(await device.reissueInvite(id, choices))
      print('The one before opens nothing any more; chats that began by it go on.')
    },
    /** A link, or the chat that is open. */
    async extend(number: number | undefined, here: () => RoomId): Promise<void> {
      if (number === undefined) return print(`It is kept open until ${time((await device.extendChat(here())).endsAt)}.`)
      const invite = await numbered(number)
      if (!invite.open) throw new Mistake(`Link ${number} is used. /extend in its chat keeps that open.`)
      await device.extendInvite(invite.id)
      print(`  ${describe((await open()).find(({ id }) => id === invite.id) ?? invite)}`)
    },
  }
}

const time = (at: number): string => `${new Date(at).toISOString().slice(0, 16).replace('T', ' ')} UTC`

function describe(invite: Invite): string {
  const guests = invite.chats.length === 1 ? '1 chat' : `${invite.chats.length} chats`
  return [
    invite.open ? `open until ${time(invite.expiresAt)}` : 'used',
    invite.singleUse ? 'for one guest' : 'for several guests',
    ...(invite.pin ? ['with a PIN: tell it another way'] : []),
    ...(invite.approval ? ['you are asked first'] : []),
    ...(invite.chats.length > 0 ? [guests] : []),
  ].join(', ')
}
