import { useEffect, useState } from 'preact/hooks'
import type { Invite } from '../../client/index.ts'
import { say } from '../parts/language.ts'
import { shownName } from '../parts/names.ts'
import type { Home } from './client.ts'

/** This account's links, read again whenever something about them has changed. */
export function useInvites({ device, invitesChanged }: Home): [readonly Invite[], () => void] {
  const [invites, setInvites] = useState<readonly Invite[]>([])
  const read = () =>
    void device.invites().then(
      (all) => setInvites(all),
      () => {}, // without a link they stay as they were known
    )
  const changed = invitesChanged.value
  useEffect(read, [device, changed])
  return [invites, read]
}

/** Guests who wait to be let in, and that somebody was kept out. */
export function WaitingGuests({ home }: { home: Home }) {
  const [invites, read] = useInvites(home)
  const waiting = invites.flatMap(({ id, waiting }) => waiting.map((guest) => ({ invite: id, ...guest })))
  const { keptOut } = home
  if (waiting.length === 0 && !keptOut.value) return null
  return (
    <div role="status">
      {keptOut.value && (
        <div class="answers">
          <p>{say('invite.keptOut')}</p>
          <button
            type="button"
            class="quiet"
            onClick={() => {
              keptOut.value = false
            }}
          >
            {say('menu.close')}
          </button>
        </div>
      )}
      {waiting.map((guest) => (
        <div class="answers" key={guest.account}>
          <p>{say('invite.waits', { name: say('guest', { name: shownName(guest.name) ?? say('someone') }) })}</p>
          <button type="button" class="main" onClick={() => void home.device.answerGuest(guest, true).then(read, read)}>
            {say('invite.in')}
          </button>
          <button
            type="button"
            class="quiet"
            onClick={() => void home.device.answerGuest(guest, false).then(read, read)}
          >
            {say('invite.out')}
          </button>
        </div>
      ))}
    </div>
  )
}
