import { useState } from 'preact/hooks'
import { encode } from 'uqr'
import type { Invite } from '../../client/index.ts'
import { Dialog } from '../parts/dialog.tsx'
import { say, words } from '../parts/language.ts'
import { QrCode } from '../parts/qr.tsx'
import { explainRefusal } from '../parts/refusals.ts'
import type { Home } from './client.ts'
import { CopyField } from './copy-field.tsx'
import { useInvites } from './waiting-guests.tsx'

const day = 24 * 3600 * 1000
/** What is offered, days; ten is what a link has unless said otherwise. */
const spans = [1, 3, 10, 30]

/** Makes links for guests, shows them as text and as a code, and takes them back. */
export function InviteDialog({ home, onClose }: { home: Home; onClose: () => void }) {
  const [made, setMade] = useState<Invite | undefined>(undefined)
  const [invites, read] = useInvites(home)
  return (
    <Dialog title={say('invite.title')} onClose={onClose}>
      <p>{say('invite.text')}</p>
      {made ? (
        <>
          <QrCode modules={encode(made.link, { ecc: 'M', border: 0 }).data} label={say('invite.qr')} />
          <CopyField label={say('invite.link')} text={made.link} />
          <p>
            <button type="button" class="quiet" onClick={() => setMade(undefined)}>
              {say('invite.another')}
            </button>
          </p>
        </>
      ) : (
        <InviteForm
          home={home}
          onMade={(invite) => {
            setMade(invite)
            read()
          }}
        />
      )}
      {invites.length > 0 && (
        <>
          <h3>{say('invite.list')}</h3>
          <ul class="links">
            {invites.map((invite) => (
              <li key={invite.id}>
                <span class="about">
                  <span>{invite.label ? <bdi>{invite.label}</bdi> : say('invite.unnamed')}</span>
                  <span class="soft">
                    {invite.open
                      ? say('invite.open', { until: words.value.dateTime(invite.expiresAt) })
                      : say('invite.closed')}
                  </span>
                </span>
                {(invite.open || (invite.chats.length > 0 && !invite.revoked)) && (
                  <button
                    type="button"
                    class="quiet"
                    onClick={() => void home.device.revokeInvite(invite.id).then(read, read)}
                  >
                    {say('invite.revoke')}
                  </button>
                )}
              </li>
            ))}
          </ul>
        </>
      )}
    </Dialog>
  )
}

function InviteForm({ home, onMade }: { home: Home; onMade: (invite: Invite) => void }) {
  const [label, setLabel] = useState('')
  const [pin, setPin] = useState('')
  const [approval, setApproval] = useState(false)
  const [singleUse, setSingleUse] = useState(true)
  const [works, setWorks] = useState(10)
  const [idle, setIdle] = useState(10)
  const [fault, setFault] = useState('')
  const make = async () => {
    setFault('')
    try {
      const { name = (await home.device.settings()).handle } = await home.device.profile()
      const optional = { ...(pin.trim() && { pin: pin.trim() }), ...(label.trim() && { label: label.trim() }) }
      const lasts = { expiresInMs: works * day, idleMs: idle * day }
      const base = location.origin
      onMade(
        await home.device.createInvite({ ...optional, ...lasts, approval, singleUse, base, ...(name && { name }) }),
      )
    } catch (error) {
      setFault(explainRefusal(error))
    }
  }
  const span = (value: number, set: (days: number) => void, text: string) => (
    <label class="field">
      <span>{text}</span>
      <select value={value} onChange={(event) => set(Number(event.currentTarget.value))}>
        {spans.map((days) => (
          <option key={days} value={days}>
            {words.value.duration(days * day)}
          </option>
        ))}
      </select>
    </label>
  )
  const choice = (value: boolean, set: (on: boolean) => void, text: string) => (
    <label class="choice">
      <input type="checkbox" checked={value} onChange={(event) => set(event.currentTarget.checked)} />
      <span>{text}</span>
    </label>
  )
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault()
        void make()
      }}
    >
      <label class="field">
        <span>{say('invite.label')}</span>
        <input name="label" value={label} maxLength={64} onInput={(event) => setLabel(event.currentTarget.value)} />
      </label>
      <label class="field">
        <span>{say('invite.pin')}</span>
        <input
          name="pin"
          value={pin}
          maxLength={32}
          autocomplete="off"
          aria-describedby="pin-said"
          onInput={(event) => setPin(event.currentTarget.value)}
        />
      </label>
      <p class="hint" id="pin-said">
        {say('invite.pin.hint')}
      </p>
      <div class="pair">
        {span(works, setWorks, say('invite.expires'))}
        {span(idle, setIdle, say('invite.idle'))}
      </div>
      {choice(singleUse, setSingleUse, say('invite.single'))}
      {choice(approval, setApproval, say('invite.approval'))}
      {fault && (
        <p class="fault" role="alert">
          {fault}
        </p>
      )}
      <p class="actions">
        <button type="submit" class="main">
          {say('invite.make')}
        </button>
      </p>
    </form>
  )
}
