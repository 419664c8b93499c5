import { Icon } from './icons.tsx'
import { say } from './language.ts'
import { initialsOf } from './names.ts'

/** Above a conversation: with whom, who can read it, and the way to all else. */
export function ChatHead({
  name,
  posture,
  compared,
  onMenu,
  onBack,
}: {
  name: string
  posture: string
  compared: boolean
  onMenu: () => void
  onBack?: () => void
}) {
  return (
    <header class="head">
      {onBack && (
        <button type="button" class="round quiet back" aria-label={say('back')} onClick={onBack}>
          <Icon name="back" />
        </button>
      )}
      <span class="face" aria-hidden="true">
        {initialsOf(name)}
      </span>
      <div class="who">
        <h1>
          <bdi>{name}</bdi>
          {compared && <span class="compared">{say('chat.compared')}</span>}
        </h1>
        <p class="posture">{posture}</p>
      </div>
      <button
        type="button"
        class="round quiet"
        aria-label={say('menu')}
        aria-haspopup="dialog"
        aria-keyshortcuts="Alt+M"
        onClick={onMenu}
      >
        <Icon name="menu" />
      </button>
    </header>
  )
}
