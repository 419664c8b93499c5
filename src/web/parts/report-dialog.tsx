import { useState } from 'preact/hooks'
import type { Device } from '../../client/index.ts'
import type { AccountAddress, RoomId } from '../../identity/index.ts'
import { Dialog } from './dialog.tsx'
import { say } from './language.ts'

const reasons = ['spam', 'abuse', 'impersonation', 'other'] as const

/** Tells the provider of somebody; says before what is sent to whom, and afterwards what was. */
export function ReportDialog({
  device,
  room,
  account,
  name,
  onClose,
}: {
  device: Device
  room: RoomId
  account: AccountAddress
  name: string
  onClose: () => void
}) {
  const [reason, setReason] = useState<(typeof reasons)[number]>('spam')
  const [state, setState] = useState<'asking' | 'busy' | 'sent' | 'failed'>('asking')
  const send = () => {
    setState('busy')
    device.report(room, account, reason).then(
      () => setState('sent'),
      () => setState('failed'),
    )
  }
  return (
    <Dialog title={say('report.title', { name })} onClose={onClose}>
      {state === 'sent' ? (
        <p role="status">{say('report.sent', { name })}</p>
      ) : (
        <form
          onSubmit={(event) => {
            event.preventDefault()
            send()
          }}
        >
          <p>{say('report.text', { name })}</p>
          <fieldset>
            <legend>{say('report.why')}</legend>
            {reasons.map((each) => (
              <label class="choice" key={each}>
                <input type="radio" name="reason" checked={reason === each} onChange={() => setReason(each)} />
                <span>{say(`report.${each}`)}</span>
              </label>
            ))}
          </fieldset>
          {state === 'failed' && (
            <p class="fault" role="alert">
              {say('report.failed')}
            </p>
          )}
          <p class="actions">
            <button type="submit" class="main" disabled={state === 'busy'}>
              {say('report.yes')}
            </button>
          </p>
        </form>
      )}
    </Dialog>
  )
}
