import type { Conversation } from './conversation.ts'
import { Dialog } from './dialog.tsx'
import { say } from './language.ts'
import { QrCode } from './qr.tsx'
import { qrOfDigits } from './qr-digits.ts'

export function SafetyNumber({
  conversation,
  name,
  onClose,
}: {
  conversation: Conversation
  name: string
  onClose: () => void
}) {
  const number = conversation.facts.value.safetyNumber
  const compared = number !== undefined && conversation.notes.value.compared === number
  return (
    <Dialog title={say('number.title')} onClose={onClose}>
      <p>{say('number.text', { name })}</p>
      {number && (
        <>
          <div class="number" dir="ltr">
            {number.split(' ').map((group, i) => (
              <span key={i}>{group}</span>
            ))}
          </div>
          <QrCode modules={qrOfDigits(number.replaceAll(' ', ''))} label={say('number.qr')} />
          <p class="actions">
            <button type="button" class={compared ? 'quiet' : 'main'} onClick={() => void mark(compared ? '' : number)}>
              {say(compared ? 'number.unmark' : 'number.mark')}
            </button>
          </p>
          <p role="status">{compared ? say('number.marked') : ''}</p>
        </>
      )}
    </Dialog>
  )
  function mark(value: string) {
    return conversation.remember({ compared: value })
  }
}
