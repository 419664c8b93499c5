import { useEffect } from 'preact/hooks'
import { say } from '../parts/language.ts'
import { shownName } from '../parts/names.ts'
import { Skeleton } from '../parts/page.tsx'
import {
  ElsewhereCard,
  GoneCard,
  IncompleteCard,
  NameForm,
  Offer,
  OverCard,
  TroubleCard,
  WaitingCard,
} from './cards.tsx'
import { ChatPage } from './chat-page.tsx'
import type { Visiting } from './visit.ts'

/** The page as it is at each stage. */
export function GuestPage({ visit, isPrivate }: { visit: Visiting; isPrivate: boolean }) {
  const stage = visit.stage.value
  const host = shownName(visit.hostName.value)
  const unread = stage.at === 'chat' ? stage.chat.conversation.unread.value : 0
  useEffect(() => {
    const title = stage.at === 'chat' && host ? say('page.chat', { name: host }) : say('page.guest')
    document.title = unread > 0 ? say('page.unread', { count: unread, title }) : title
  })
  switch (stage.at) {
    case 'opening':
      return <Skeleton />
    case 'incomplete':
      return <IncompleteCard visit={visit} stage={stage} />
    case 'offer':
      return <Offer visit={visit} stage={stage} host={host} isPrivate={isPrivate} />
    case 'name':
      return <NameForm visit={visit} stage={stage} host={host} />
    case 'waiting':
      return <WaitingCard visit={visit} stage={stage} host={host} />
    case 'chat':
      return <ChatPage visit={visit} chat={stage.chat} host={host} />
    case 'elsewhere':
      return <ElsewhereCard visit={visit} />
    case 'over':
      return <OverCard why={stage.why} host={host} />
    case 'gone':
      return <GoneCard waited={stage.waited} />
    case 'trouble':
      return <TroubleCard visit={visit} trouble={stage.trouble} host={host} />
  }
}
