import { useState } from 'preact/hooks'
import { Banners } from '../parts/banners.tsx'
import { ChatHead } from '../parts/chat-head.tsx'
import { Composer } from '../parts/composer.tsx'
import type { Conversation } from '../parts/conversation.ts'
import { Dialog } from '../parts/dialog.tsx'
import { say, words } from '../parts/language.ts'
import { Confirm, MenuItem } from '../parts/menu.tsx'
import { composer, MessageLog } from '../parts/message-log.tsx'
import type { Note } from '../parts/notes.ts'
import { postureWords } from '../parts/posture-words.ts'
import { explainRefusal, whyRefused } from '../parts/refusals.ts'
import { ReportDialog } from '../parts/report-dialog.tsx'
import { SafetyNumber } from '../parts/safety-number.tsx'
import type { Home } from './client.ts'
import { memberName, titleOf } from './people.ts'

type Open = 'menu' | 'number' | 'block' | 'report' | 'leave' | undefined

/** One conversation beside the list. */
export function ChatPane({
  home: { device, chats },
  conversation,
  onBack,
}: {
  home: Home
  conversation: Conversation
  onBack: () => void
}) {
  const [open, setOpen] = useState<Open>(undefined)
  const [said, setSaid] = useState('')
  const { room, members, posture, safetyNumber } = conversation.facts.value
  const title = titleOf(conversation)
  const other = members.find(({ own }) => !own)
  const compared = safetyNumber !== undefined && conversation.notes.value.compared === safetyNumber
  const whoWrote = ({ sender }: Note) => memberName(members.find(({ address }) => address === sender)) ?? title
  const close = () => {
    setOpen(undefined)
    composer()?.focus()
  }
  /** What a person asked for; what becomes of it is shown by the room itself. */
  const attempt = async (work: () => Promise<unknown>) => {
    setSaid('')
    try {
      await work()
      await conversation.refresh()
    } catch (error) {
      setSaid(explainRefusal(error))
    }
  }
  const acceptKey = async () => {
    if (other) await device.acceptNewKey(other.address)
    await conversation.remember({ keyChanged: false })
  }
  const open2 = room?.standing === 'accepted' && room.joined
  return (
    <main class="chat">
      <ChatHead
        name={title}
        posture={postureWords(words.value, posture, title)}
        compared={compared}
        onMenu={() => setOpen('menu')}
        onBack={onBack}
      />
      <Banners chats={chats} conversation={conversation} name={title} onCompare={() => setOpen('number')} />
      <MessageLog
        conversation={conversation}
        nameOf={whoWrote}
        named={room?.kind === 'group'}
        // What a stranger sends is not to be pressed before they are known.
        links={room?.standing === 'accepted'}
        onReply={(note) => {
          conversation.answering.value = note
        }}
        onCompare={() => setOpen('number')}
        why={whyRefused}
        name={title}
      />
      <p class="said" role="alert">
        {said}
      </p>
      {conversation.notes.value.keyChanged && (
        <div class="answers">
          <button type="button" class="main" onClick={() => void attempt(acceptKey)}>
            {say('key.accept')}
          </button>
        </div>
      )}
      {room?.standing === 'requested' && (
        <div class="answers">
          <p>{say('request.text', { name: title })}</p>
          <button type="button" class="main" onClick={() => void attempt(() => device.accept(conversation.id))}>
            {say('request.accept')}
          </button>
          <button type="button" class="quiet" onClick={() => void attempt(() => device.decline(conversation.id))}>
            {say('request.decline')}
          </button>
          <button type="button" class="quiet" onClick={() => setOpen('block')}>
            {say('request.block')}
          </button>
        </div>
      )}
      {(room?.standing === 'declined' || room?.standing === 'left') && (
        <div class="answers">
          <p>{say(room.standing === 'declined' ? 'request.declined' : 'request.left')}</p>
        </div>
      )}
      {open2 && (
        <Composer conversation={conversation} nameOf={whoWrote} onFailed={(error) => setSaid(explainRefusal(error))} />
      )}
      {open === 'menu' && (
        <Dialog title={say('menu')} onClose={close}>
          <ul class="menu">
            {safetyNumber && <MenuItem icon="lock" text={say('menu.number')} onPress={() => setOpen('number')} />}
            {other && room?.kind !== 'group' && (
              <MenuItem icon="page" text={say('menu.report')} onPress={() => setOpen('report')} />
            )}
            {other && room?.kind !== 'group' && (
              <MenuItem icon="refused" text={say('request.block')} onPress={() => setOpen('block')} />
            )}
            <MenuItem icon="close" text={say('app.leave')} onPress={() => setOpen('leave')} />
          </ul>
        </Dialog>
      )}
      {open === 'number' && <SafetyNumber conversation={conversation} name={title} onClose={close} />}
      {open === 'report' && other && (
        <ReportDialog device={device} room={conversation.id} account={other.address} name={title} onClose={close} />
      )}
      {open === 'block' && (
        <Confirm
          title={say('app.block.title', { name: title })}
          text={say('app.block.text', { name: title })}
          yes={say('request.block')}
          onYes={async () => {
            if (other) await attempt(() => device.block(other.address))
            close()
          }}
          onClose={close}
        />
      )}
      {open === 'leave' && (
        <Confirm
          title={say('app.leave.title')}
          text={say('app.leave.text')}
          yes={say('app.leave')}
          onYes={async () => {
            await attempt(() => device.leave(conversation.id))
            close()
          }}
          onClose={close}
        />
      )}
    </main>
  )
}
