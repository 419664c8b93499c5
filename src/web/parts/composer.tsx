import { useLayoutEffect, useRef, useState } from 'preact/hooks'
import type { Conversation } from './conversation.ts'
import { Icon } from './icons.tsx'
import { say } from './language.ts'
import type { Note } from './notes.ts'

/** Characters of one message: well within what a service takes (16 KiB in UTF-8). */
const longest = 4000
/** Lines that the field grows to. */
const lines = 6

const onTouch = () => matchMedia('(pointer: coarse)').matches && !matchMedia('(any-pointer: fine)').matches

export function Composer({
  conversation,
  nameOf,
  disabled = false,
  onFailed,
}: {
  conversation: Conversation
  nameOf: (note: Note) => string
  disabled?: boolean
  onFailed: (error: unknown) => void
}) {
  const field = useRef<HTMLTextAreaElement>(null)
  const [said, setSaid] = useState('')
  const draft = conversation.draft.value
  const answering = conversation.answering.value
  const tooLong = [...draft].length - longest

  useLayoutEffect(() => {
    const element = field.current
    if (!element) return
    element.style.height = 'auto'
    const line = Number.parseFloat(getComputedStyle(element).lineHeight) || 24
    const around = element.offsetHeight - element.clientHeight + 20
    element.style.height = `${Math.min(element.scrollHeight, line * lines + around)}px`
  }, [draft])
  // In the layout's turn, not after the paint: what is typed at once on seeing the field is not lost.
  useLayoutEffect(() => {
    if (!onTouch()) field.current?.focus()
  }, [conversation])
  useLayoutEffect(() => {
    if (answering) field.current?.focus()
  }, [answering])

  const send = () => {
    if (tooLong > 0 || !draft.trim()) return
    setSaid('')
    conversation.send().catch(onFailed)
    field.current?.focus()
  }
  const key = (event: KeyboardEvent) => {
    if (event.isComposing) return
    if (event.key === 'Enter' && !event.shiftKey && !onTouch()) {
      event.preventDefault()
      send()
    } else if (event.key === 'Escape' && answering) conversation.answering.value = undefined
    else if (event.key === 'ArrowUp' && !draft) {
      event.preventDefault()
      const all = document.querySelectorAll<HTMLElement>('.log .message')
      all[all.length - 1]?.focus()
    }
  }
  const paste = (event: ClipboardEvent) => {
    const { files = [], types = [] } = event.clipboardData ?? {}
    if (files.length === 0 || types.includes('text/plain')) return
    event.preventDefault()
    setSaid(say('chat.picture'))
  }
  const drop = (event: DragEvent) => {
    if (!event.dataTransfer?.files.length) return
    event.preventDefault()
    setSaid(say('chat.picture'))
  }
  return (
    <form
      class="composer"
      onSubmit={(event) => {
        event.preventDefault()
        send()
      }}
      onDrop={drop}
    >
      {answering && (
        <div class="answering">
          <Icon name="reply" />
          <p>
            <strong>
              <bdi>{answering.mine ? say('you') : nameOf(answering)}</bdi>
            </strong>
            <span dir="auto">{answering.text}</span>
          </p>
          <button
            type="button"
            class="round quiet"
            aria-label={say('chat.reply.stop')}
            onClick={() => {
              conversation.answering.value = undefined
              field.current?.focus()
            }}
          >
            <Icon name="close" />
          </button>
        </div>
      )}
      <div class="writing">
        <textarea
          ref={field}
          rows={1}
          dir="auto"
          value={draft}
          disabled={disabled}
          aria-label={say('chat.write')}
          placeholder={say('chat.write')}
          enterkeyhint={onTouch() ? 'enter' : 'send'}
          onInput={(event) => {
            setSaid('')
            conversation.setDraft(event.currentTarget.value)
          }}
          onKeyDown={key}
          onPaste={paste}
        />
        <button
          type="submit"
          class="send round main"
          aria-label={say('chat.send')}
          disabled={disabled || tooLong > 0 || !draft.trim()}
        >
          <Icon name="send" />
        </button>
      </div>
      <p class="said" role="status">
        {tooLong > 0 ? say('chat.long', { count: tooLong }) : said}
      </p>
    </form>
  )
}
