import { useEffect, useState } from 'preact/hooks'
import { Banners } from '../parts/banners.tsx'
import { ChatHead } from '../parts/chat-head.tsx'
import { Composer } from '../parts/composer.tsx'
import { Dialog } from '../parts/dialog.tsx'
import { say, words } from '../parts/language.ts'
import { Confirm, MenuItem } from '../parts/menu.tsx'
import { composer, MessageLog } from '../parts/message-log.tsx'
import { nameOf } from '../parts/names.ts'
import type { Note } from '../parts/notes.ts'
import { notifyOf } from '../parts/notify.ts'
import { LanguageChoice } from '../parts/page.tsx'
import { postureWords } from '../parts/posture-words.ts'
import { explainRefusal, whyRefused } from '../parts/refusals.ts'
import { ReportDialog } from '../parts/report-dialog.tsx'
import { SafetyNumber } from '../parts/safety-number.tsx'
import type { Chat, Visiting } from './visit.ts'

type Open = 'menu' | 'number' | 'leave' | 'block' | 'report' | undefined

/** The chat of a guest. */
export function ChatPage({ visit, chat, host }: { visit: Visiting; chat: Chat; host: string | undefined }) {
  const { conversation, chats } = chat
  const [open, setOpen] = useState<Open>(undefined)
  const [said, setSaid] = useState('')
  const facts = conversation.facts.value
  const other = facts.members.find(({ own }) => !own)
  const known = nameOf(other) ?? host
  const name = known ?? say('host')
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
      <ChatHead
        name={known ?? say('someone')}
        posture={postureWords(words.value, facts.posture, name)}
        compared={compared}
        onMenu={() => setOpen('menu')}
      />
      <Banners chats={chats} conversation={conversation} name={name} onCompare={() => setOpen('number')} />
      <MessageLog
        conversation={conversation}
        nameOf={whoWrote}
        named={false}
        links={true}
        onReply={(note) => {
          conversation.answering.value = note
        }}
        onCompare={() => setOpen('number')}
        why={whyRefused}
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
            <MenuItem icon="page" text={say('menu.report')} onPress={() => setOpen('report')} />
            <MenuItem icon="refused" text={say('menu.block')} onPress={() => setOpen('block')} />
            <MenuItem icon="close" text={say('menu.leave')} onPress={() => setOpen('leave')} />
          </ul>
          <LanguageChoice />
        </Dialog>
      )}
      {open === 'number' && <SafetyNumber conversation={conversation} name={name} onClose={close} />}
      {open === 'report' && other && (
        <ReportDialog
          device={chats.device}
          room={conversation.id}
          account={other.address}
          name={name}
          onClose={close}
        />
      )}
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
