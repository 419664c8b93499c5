import { useEffect, useState } from 'preact/hooks'
import type { Chats } from './chats.ts'
import type { Conversation } from './conversation.ts'
import { say, words } from './language.ts'

/** What one has to know while writing: no connection, another key, the end that comes. Never a dialog. */
export function Banners({
  chats,
  conversation,
  name,
  onCompare,
}: {
  chats: Chats
  conversation: Conversation
  name: string
  onCompare: () => void
}) {
  const online = chats.online.value
  return (
    <>
      <div class="banner" role="status">
        {online === false ? say('link.offline') : chats.clockWrong.value ? say('trouble.clock') : ''}
      </div>
      {conversation.notes.value.keyChanged && (
        <div class="banner" role="alert">
          {say('chat.key', { name })}{' '}
          <button type="button" class="inline" onClick={onCompare}>
            {say('chat.compare')}
          </button>
        </div>
      )}
      <EndingBanner chats={chats} conversation={conversation} />
    </>
  )
}

const hour = 3600 * 1000
/** From this long before its end on a chat says so, ms: a day, and a clock's little difference. */
const warnedBefore = 24.5 * hour

function EndingBanner({ chats, conversation }: { chats: Chats; conversation: Conversation }) {
  const [said, setSaid] = useState('')
  const [, tick] = useState(0)
  const ending = chats.endings.value.get(conversation.id)
  const left = ending ? ending.at - Date.now() : Number.POSITIVE_INFINITY
  useEffect(() => {
    const timer = setInterval(() => tick((n) => n + 1), Math.min(60_000, (ending?.idleMs ?? hour) / 20))
    return () => clearInterval(timer)
  }, [ending?.idleMs])
  // Of a chat that lives shorter than that in any case, the second half.
  const soon = ending !== undefined && left < Math.min(warnedBefore, ending.idleMs / 2)
  const keep = async () => {
    try {
      await chats.keepOpen(conversation.id)
      const now = chats.endings.value.get(conversation.id)
      if (now) setSaid(say('ending.kept', { until: words.value.dateTime(now.at) }))
    } catch {
      setSaid(say('trouble.other'))
    }
  }
  if (!soon && !said) return null
  return (
    <div class="banner" role="status">
      {soon ? (
        <>
          {say('ending.soon', { when: words.value.ahead(Math.max(left, 60_000)) })}{' '}
          <button type="button" class="inline" onClick={() => void keep()}>
            {say('ending.keep')}
          </button>
        </>
      ) : (
        said
      )}
    </div>
  )
}
