import { useState } from 'preact/hooks'
import { Dialog } from './dialog.tsx'
import { Icon, type IconName } from './icons.tsx'
import { say } from './language.ts'

/** A line of a menu, with its shortcut. */
export function MenuItem({
  icon,
  text,
  keys,
  onPress,
}: {
  icon: IconName
  text: string
  keys?: string
  onPress: () => void
}) {
  return (
    <li>
      <button type="button" class="item" aria-keyshortcuts={keys} onClick={onPress}>
        <Icon name={icon} />
        <span>{text}</span>
        {keys && <kbd dir="ltr">{keys}</kbd>}
      </button>
    </li>
  )
}

/** Asks before what cannot be taken back. */
export function Confirm({
  title,
  text,
  yes,
  onYes,
  onClose,
}: {
  title: string
  text: string
  yes: string
  onYes: () => Promise<void>
  onClose: () => void
}) {
  const [busy, setBusy] = useState(false)
  return (
    <Dialog title={title} onClose={onClose}>
      <p>{text}</p>
      <p class="actions">
        <button
          type="button"
          class="main danger"
          disabled={busy}
          onClick={() => {
            setBusy(true)
            void onYes().finally(() => setBusy(false))
          }}
        >
          {yes}
        </button>
        <button type="button" class="quiet" disabled={busy} onClick={onClose}>
          {say('leave.no')}
        </button>
      </p>
    </Dialog>
  )
}
