import { useEffect, useState } from 'preact/hooks'
import type { RoomId } from '../../identity/index.ts'
import type { Conversation } from '../parts/conversation.ts'
import { Bridge, Icon } from '../parts/icons.tsx'
import { say, words } from '../parts/language.ts'
import { initialsOf } from '../parts/names.ts'
import { ChatPane } from './chat-pane.tsx'
import type { Home } from './client.ts'
import { InviteDialog } from './invite-dialog.tsx'
import { NewChatDialog } from './new-chat-dialog.tsx'
import { titleOf } from './people.ts'
import { SettingsDialog } from './settings-dialog.tsx'
import { WaitingGuests } from './waiting-guests.tsx'

type Open = 'new' | 'invite' | 'settings' | undefined

export function HomePage({ home }: { home: Home }) {
  const [current, setCurrent] = useState<RoomId | undefined>(undefined)
  const [open, setOpen] = useState<Open>(undefined)
  const all = [...home.conversations.value.values()].sort((a, b) => whenOf(b) - whenOf(a))
  const requests = all.filter((each) => each.facts.value.room?.standing === 'requested')
  const others = all.filter((each) => !requests.includes(each))
  const chosen = current && home.conversations.value.get(current)
  const unread = all.reduce((sum, each) => sum + each.unread.value, 0)
  useEffect(() => {
    const title = say('app.title')
    document.title = unread > 0 ? say('page.unread', { count: unread, title }) : title
  })
  const list = (conversations: Conversation[]) =>
    conversations.map((each) => (
      <li key={each.id}>
        <Entry conversation={each} current={each.id === current} onChoose={() => setCurrent(each.id)} />
      </li>
    ))
  const close = () => setOpen(undefined)
  return (
    <div class={chosen ? 'app open' : 'app'}>
      {/* Without a chat beside it, the list is what the page is about. */}
      <section class="side" role={chosen ? undefined : 'main'} aria-label={say('list.title')}>
        <header class="head">
          <div class="who">
            <h1>{say('list.title')}</h1>
          </div>
          <button
            type="button"
            class="round quiet"
            aria-label={say('settings.title')}
            aria-haspopup="dialog"
            onClick={() => setOpen('settings')}
          >
            <Icon name="menu" />
          </button>
        </header>
        <div class="banner" role="status">
          {home.chats.online.value === false ? say('link.offline') : ''}
        </div>
        <p class="side-actions">
          <button type="button" class="main" onClick={() => setOpen('new')}>
            {say('new.title')}
          </button>
          <button type="button" class="quiet" onClick={() => setOpen('invite')}>
            {say('invite.title')}
          </button>
        </p>
        <WaitingGuests home={home} />
        <nav class="rooms" aria-label={say('list.title')}>
          {requests.length > 0 && (
            <>
              <h2>{say('list.requests')}</h2>
              <ul class="rooms">{list(requests)}</ul>
              {others.length > 0 && <h2>{say('list.title')}</h2>}
            </>
          )}
          {all.length === 0 && <p class="empty">{say('list.empty')}</p>}
          <ul class="rooms">{list(others)}</ul>
        </nav>
      </section>
      {chosen ? (
        <ChatPane key={chosen.id} home={home} conversation={chosen} onBack={() => setCurrent(undefined)} />
      ) : (
        <div class="nothing">
          <Bridge />
          <p>{say('list.choose')}</p>
        </div>
      )}
      {open === 'new' && (
        <NewChatDialog
          home={home}
          onClose={close}
          onRoom={(room) => {
            setCurrent(room)
            close()
          }}
        />
      )}
      {open === 'invite' && <InviteDialog home={home} onClose={close} />}
      {open === 'settings' && <SettingsDialog home={home} onClose={close} />}
    </div>
  )
}

const whenOf = (conversation: Conversation): number => conversation.newest.value?.at ?? 0

function Entry({
  conversation,
  current,
  onChoose,
}: {
  conversation: Conversation
  current: boolean
  onChoose: () => void
}) {
  const name = titleOf(conversation)
  const newest = conversation.newest.value
  const unread = conversation.unread.value
  const said = !newest ? '' : 'notice' in newest ? say(`chat.${newest.notice}`, { name }) : newest.text
  return (
    <button type="button" class="entry" aria-current={current} onClick={onChoose}>
      <span class="face" aria-hidden="true">
        {initialsOf(name)}
      </span>
      <span class="about">
        <span class="named">
          <bdi>{name}</bdi>
        </span>
        <span class="said-last" dir="auto">
          {said}
        </span>
      </span>
      {newest && <time class="when">{words.value.day(newest.at, Date.now())}</time>}
      {unread > 0 && (
        <span class="count">
          <span aria-hidden="true">{unread}</span>
          <span class="unseen">{say('list.unread', { count: unread })}</span>
        </span>
      )}
    </button>
  )
}
