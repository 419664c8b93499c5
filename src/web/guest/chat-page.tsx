import { useEffect, useState } from 'preact/hooks'
import { Banners } from '../parts/banners.tsx'
import { Composer } from '../parts/composer.tsx'
import { Dialog } from '../parts/dialog.tsx'
import { Icon } from '../parts/icons.tsx'
import { say, words } from '../parts/language.ts'
import { composer, MessageLog } from '../parts/message-log.tsx'
import { initialsOf, nameOf } from '../parts/names.ts'
import type { Note } from '../parts/notes.ts'
import { notifyOf } from '../parts/notify.ts'
import { LanguageChoice } from '../parts/page.tsx'
import { postureWords } from '../parts/posture-words.ts'
import { explainRefusal } from '../parts/refusals.ts'
import { SafetyNumber } from '../parts/safety-number.tsx'
import type { Chat, Visiting } from './visit.ts'

type Open = 'menu' | 'number' | 'leave' | 'block' | undefined

/** The chat of a guest. */
export function ChatPage({ visit, chat, host }: { visit: Visiting; chat: Chat; host: string | undefined }) {
  const { conversation, chats } = chat
  const [open, setOpen] = useState<Open>(undefined)
  const [said, setSaid] = useState('')
  const facts = conversation.facts.value
  const other = facts.members.find(({ own }) => !own)
  const name = nameOf(other) ?? host ?? say('someone')
  const compared = facts.safetyNumber !== undefined && conversation.notes.value.compared === facts.safetyNumber
  const whoWrote = (_note: Note) => name
  const close = () => {
    setOpen(undefined)
    composer()?.focus()
  }
  const replyToNewest = () => {
    const newest = conversation.rows.value.findLast((row) => row.row === 'message' && !row.note.mine)
    if (newest?.row === 'message') conversation.answering.value = newest.note
  }
  const actions: Record<string, () => void> = {
    KeyM: () => setOpen('menu'),
    KeyN: () => setOpen('number'),
    KeyR: replyToNewest,
  }
  useEffect(() => {
    const key = (event: KeyboardEvent) => {
      const action = event.altKey && !event.ctrlKey && !event.metaKey ? actions[event.code] : undefined
      if (!action) return
      event.preventDefault()
      action()
    }
    addEventListener('keydown', key)
    return () => removeEventListener('keydown', key)
  })
  const notify = notifyOf(conversation, chats, name)
  return (
    <main class="chat">
      <header class="head">
        <span class="face" aria-hidden="true">
          {initialsOf(name)}
        </span>
        <div class="who">
          <h1>
            <bdi>{name}</bdi>
            {compared && <span class="compared">{say('chat.compared')}</span>}
          </h1>
          <p class="posture">{postureWords(words.value, facts.posture, name)}</p>
        </div>
        <button
          type="button"
          class="round quiet"
          aria-label={say('menu')}
          aria-haspopup="dialog"
          aria-keyshortcuts="Alt+M"
          onClick={() => setOpen('menu')}
        >
          <Icon name="menu" />
        </button>
      </header>
      <Banners chats={chats} conversation={conversation} name={name} onCompare={() => setOpen('number')} />
      <MessageLog
        conversation={conversation}
        nameOf={whoWrote}
        named={false}
        links={true}
        typing={false}
        onReply={(note) => {
          conversation.answering.value = note
        }}
        onCompare={() => setOpen('number')}
        why={explainRefusal}
        name={name}
      />
      {notify.offered && (
        <aside class="offer">
          <p>{say('notify.offer', { name })}</p>
          <button type="button" class="main" onClick={() => void notify.accept()}>
            {say('notify.yes')}
          </button>
          <button type="button" class="quiet" onClick={() => void notify.decline()}>
            {say('notify.no')}
          </button>
        </aside>
      )}
      <Composer conversation={conversation} nameOf={whoWrote} onFailed={(error) => setSaid(explainRefusal(error))} />
      <p class="own-name">
        <bdi>{say('guest', { name: chat.name })}</bdi>
      </p>
      <p class="unseen" role="alert">
        {said}
      </p>
      {open === 'menu' && (
        <Dialog title={say('menu')} onClose={close}>
          <ul class="menu">
            <MenuItem icon="lock" text={say('menu.number')} keys="Alt+N" onPress={() => setOpen('number')} />
            <MenuItem
              icon="reply"
              text={say('menu.reply')}
              keys="Alt+R"
              onPress={() => {
                setOpen(undefined)
                replyToNewest()
              }}
            />
            {notify.possible && (
              <MenuItem icon="plus" text={say('menu.notify')} onPress={() => void notify.accept().then(close)} />
            )}
            <MenuItem icon="refused" text={say('menu.block')} onPress={() => setOpen('block')} />
            <MenuItem icon="close" text={say('menu.leave')} onPress={() => setOpen('leave')} />
          </ul>
          <LanguageChoice />
        </Dialog>
      )}
      {open === 'number' && <SafetyNumber conversation={conversation} name={name} onClose={close} />}
      {open === 'leave' && (
        <Confirm
          title={say('leave.title')}
          text={say('leave.text', { name })}
          yes={say('leave.yes')}
          onYes={visit.leave}
          onClose={close}
        />
      )}
      {open === 'block' && (
        <Confirm
          title={say('block.title', { name })}
          text={say('block.text', { name })}
          yes={say('block.yes')}
          onYes={visit.block}
          onClose={close}
        />
      )}
    </main>
  )
}

function MenuItem({
  icon,
  text,
  keys,
  onPress,
}: {
  icon: 'lock' | 'reply' | 'plus' | 'refused' | 'close' | 'hourglass' | 'page'
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

function Confirm({
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
            void onYes()
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
