import { useState } from 'preact/hooks'
import type { RoomId } from '../../identity/index.ts'
import { Dialog } from '../parts/dialog.tsx'
import { say } from '../parts/language.ts'
import { explainRefusal } from '../parts/refusals.ts'
import type { Home } from './client.ts'
import { targetOf } from './people.ts'

/** A chat with somebody by handle or Matrix id. */
export function NewChatDialog({
  home,
  onClose,
  onRoom,
}: {
  home: Home
  onClose: () => void
  onRoom: (room: RoomId) => void
}) {
  const [text, setText] = useState('')
  const [busy, setBusy] = useState(false)
  const [fault, setFault] = useState('')
  const begin = async () => {
    setBusy(true)
    setFault('')
    try {
      const target = targetOf(text)
      const address = await home.device.lookUp(target)
      const room = await home.device.createDirectRoom(address)
      const conversation = await home.chats.open(room)
      await conversation.remember({ label: text.trim().replace(/^@(?!.*:)/, '') })
      await conversation.refresh()
      home.conversations.value = new Map([...home.conversations.value, [room, conversation]])
      onRoom(room)
    } catch (error) {
      setFault(explainRefusal(error))
      setBusy(false)
    }
  }
  return (
    <Dialog title={say('new.title')} onClose={onClose}>
      <form
        onSubmit={(event) => {
          event.preventDefault()
          if (text.trim()) void begin()
        }}
      >
        <label class="field">
          <span>{say('new.label')}</span>
          <input
            name="whom"
            value={text}
            dir="ltr"
            autocapitalize="none"
            autocomplete="off"
            spellcheck={false}
            disabled={busy}
            aria-describedby="new-said"
            aria-invalid={fault !== ''}
            onInput={(event) => setText(event.currentTarget.value)}
          />
        </label>
        <p class={fault ? 'hint fault' : 'hint'} id="new-said" role={fault ? 'alert' : undefined}>
          {fault || say('new.hint')}
        </p>
        <p class="actions">
          <button type="submit" class="main" disabled={busy}>
            {say('new.start')}
          </button>
        </p>
      </form>
    </Dialog>
  )
}
