import { useLayoutEffect, useRef, useState } from 'preact/hooks'
import type { Conversation } from './conversation.ts'
import { Icon } from './icons.tsx'
import { say, words } from './language.ts'
import type { Note } from './notes.ts'
import type { Row } from './rows.ts'
import { isEmojiOnly, piecesOf } from './text-pieces.ts'

export interface LogProps {
  conversation: Conversation
  /** Of whoever wrote a message that is not ours. */
  nameOf: (note: Note) => string
  /** Whether a name stands above messages: where there are several people. */
  named: boolean
  /** Links of the other side can be followed. */
  links: boolean
  onReply: (note: Note) => void
  onCompare: () => void
  /** Why a message was refused, in words. */
  why: (code: string) => string
  /** The other side's name. */
  name: string
}

/** Closer to the end than this counts as being there, px. */
const near = 60

export function MessageLog(props: LogProps) {
  const { conversation } = props
  const typing = conversation.typing.value.length > 0
  const rows = conversation.rows.value
  const box = useRef<HTMLDivElement>(null)
  const following = useRef(true)
  const [away, setAway] = useState(false)
  const [ready, setReady] = useState(false)
  const [active, setActive] = useState<string | undefined>(undefined)
  const newest = rows.findLast((row) => row.row === 'message')
  const mine = newest?.row === 'message' && newest.note.mine ? newest.key : ''

  const toEnd = () => {
    const element = box.current
    if (element) element.scrollTop = element.scrollHeight
  }
  const looking = () => {
    if (following.current && document.visibilityState === 'visible' && document.hasFocus()) conversation.seen()
  }
  // One's own message is always gone to; otherwise the reader stays where they are.
  useLayoutEffect(() => {
    following.current = true
    toEnd()
  }, [mine])
  useLayoutEffect(() => {
    if (following.current) toEnd()
    looking()
  }, [rows, typing])
  useLayoutEffect(() => {
    setReady(true)
    const resized = new ResizeObserver(() => following.current && toEnd())
    if (box.current) resized.observe(box.current)
    const shown = () => {
      if (document.visibilityState !== 'visible') conversation.look()
      looking()
    }
    document.addEventListener('visibilitychange', shown)
    addEventListener('focus', shown)
    return () => {
      resized.disconnect()
      document.removeEventListener('visibilitychange', shown)
      removeEventListener('focus', shown)
    }
  }, [conversation])

  const scrolled = () => {
    const element = box.current
    if (!element) return
    following.current = element.scrollHeight - element.scrollTop - element.clientHeight < near
    setAway(!following.current)
    looking()
  }
  const earlier = () => {
    const element = box.current
    const fromEnd = element ? element.scrollHeight - element.scrollTop : 0
    following.current = false
    conversation.showEarlier()
    requestAnimationFrame(() => {
      if (element) element.scrollTop = element.scrollHeight - fromEnd
    })
  }
  /** Up and down go from message to message, Enter answers, Escape goes back to writing. */
  const key = (event: KeyboardEvent) => {
    const from = (event.target as HTMLElement).closest<HTMLElement>('.message')
    if (!from || event.altKey || event.ctrlKey || event.metaKey) return
    const all = [...(box.current?.querySelectorAll<HTMLElement>('.message') ?? [])]
    const to = { ArrowUp: -1, ArrowDown: 1 }[event.key]
    if (to) {
      const next = all[all.indexOf(from) + to]
      event.preventDefault()
      if (next) next.focus()
      else if (to > 0) composer()?.focus()
    } else if (event.key === 'Enter' && event.target === from) {
      event.preventDefault()
      from.querySelector<HTMLElement>('.reply')?.click()
    } else if (event.key === 'Escape') composer()?.focus()
  }
  const unread = conversation.unread.value
  return (
    <div class="log-frame">
      <div
        class="log"
        ref={box}
        onScroll={scrolled}
        onKeyDown={key}
        role="log"
        aria-label={say('chat.log')}
        aria-busy={!ready}
        // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls has to be reached by keyboard
        tabIndex={0}
      >
        {conversation.earlier.value && (
          <button type="button" class="quiet earlier" onClick={earlier}>
            {say('chat.earlier')}
          </button>
        )}
        {rows.length === 0 && <p class="beginning">{say('chat.begin', { name: props.name })}</p>}
        {rows.length > 0 && <div class="filler" />}
        {rows.map((row) => (
          <LogRow
            key={row.key}
            row={row}
            active={(active ?? newest?.key) === row.key}
            onActive={() => setActive(row.key)}
            {...props}
          />
        ))}
        {typing && (
          <p class="typing" role="status">
            <span class="dots" aria-hidden="true">
              <i />
              <i />
              <i />
            </span>
            {say('chat.typing', { name: props.name })}
          </p>
        )}
      </div>
      {away && (
        <button
          type="button"
          class="newest"
          onClick={toEnd}
          aria-label={unread > 0 ? say('chat.newest.count', { count: unread }) : say('chat.newest')}
        >
          {unread > 0 && <span class="count">{unread}</span>}
          <Icon name="down" />
        </button>
      )}
    </div>
  )
}

export const composer = () => document.querySelector<HTMLTextAreaElement>('.composer textarea')

function LogRow({ row, active, onActive, ...props }: LogProps & { row: Row; active: boolean; onActive: () => void }) {
  if (row.row === 'day')
    return (
      <p class="day">
        <span>{words.value.day(row.at, Date.now())}</span>
      </p>
    )
  if (row.row === 'unread')
    return (
      <p class="unread">
        <span>{say('chat.unread')}</span>
      </p>
    )
  if (row.row === 'notice')
    return (
      <p class="notice">
        {say(`chat.${row.notice}`, { name: props.name })}{' '}
        {row.notice === 'device' && (
          <button type="button" class="inline" onClick={props.onCompare}>
            {say('chat.compare')}
          </button>
        )}
      </p>
    )
  return <Message row={row} active={active} onActive={onActive} {...props} />
}

type MessageProps = LogProps & { row: Extract<Row, { row: 'message' }>; active: boolean; onActive: () => void }

function Message({ row, active, onActive, conversation, nameOf, named, links, onReply, why }: MessageProps) {
  const { note, state, answered } = row
  const who = note.mine ? say('you') : nameOf(note)
  const place = [note.mine ? 'mine' : 'theirs', row.first && 'first', row.last && 'last', state].filter(Boolean)
  const large = isEmojiOnly(note.text)
  return (
    <article class={`message ${place.join(' ')}`} tabIndex={active ? 0 : -1} onFocus={onActive} data-id={note.id}>
      <div class="bubble">
        <span class={named && row.first && !note.mine ? 'author' : 'unseen'}>
          <bdi>{who}</bdi>
        </span>
        {note.replyTo !== undefined && (
          <blockquote>
            {answered ? (
              <>
                <strong>
                  <bdi>{answered.mine ? say('you') : nameOf(answered)}</bdi>
                </strong>
                <span class="quoted" dir="auto">
                  {answered.text}
                </span>
              </>
            ) : (
              <span class="quoted">{say('chat.reply.gone')}</span>
            )}
          </blockquote>
        )}
        <p class={large ? 'text large' : 'text'} dir="auto">
          <Text text={note.text} links={links || note.mine} />
        </p>
        <p class="meta">
          <time dateTime={new Date(note.at).toISOString()}>{words.value.time(note.at)}</time>
          {state && (
            <span class="state">
              <Icon name={state} />
              <span class="unseen">{say(`state.${state}`)}</span>
            </span>
          )}
        </p>
      </div>
      <button
        type="button"
        class="reply round quiet"
        tabIndex={active ? 0 : -1}
        aria-label={say('chat.reply.to', { name: who })}
        title={say('chat.reply')}
        onClick={() => onReply(note)}
      >
        <Icon name="reply" />
      </button>
      {state === 'refused' && (
        <p class="refusal" role="alert">
          {say('chat.refused', { why: why(row.refused ?? '') })}{' '}
          <button type="button" class="inline" onClick={() => void conversation.takeBack(note.id)}>
            {say('chat.again')}
          </button>
        </p>
      )}
    </article>
  )
}

function Text({ text, links }: { text: string; links: boolean }) {
  if (!links) return <>{text}</>
  return (
    <>
      {piecesOf(text).map((piece, i) =>
        piece.href === undefined ? (
          piece.text
        ) : (
          <a key={i} href={piece.href} target="_blank" rel="noopener noreferrer nofollow">
            {piece.text}
          </a>
        ),
      )}
    </>
  )
}
