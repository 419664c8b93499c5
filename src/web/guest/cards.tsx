import { useLayoutEffect, useRef, useState } from 'preact/hooks'
import { Icon } from '../parts/icons.tsx'
import { say, words } from '../parts/language.ts'
import { shownName } from '../parts/names.ts'
import { Card } from '../parts/page.tsx'
import type { TextKey } from '../texts/index.ts'
import type { NameFault, Over, Stage, Trouble, Visiting } from './visit.ts'

type At<S extends Stage['at']> = Extract<Stage, { at: S }>

export function Offer({
  visit,
  stage: { offer },
  host,
  isPrivate,
}: {
  visit: Visiting
  stage: At<'offer'>
  host: string | undefined
  isPrivate: boolean
}) {
  const name = host ?? say('host')
  const { duration, dateTime } = words.value
  return (
    <Card title={host ? say('offer.title', { name }) : say('offer.title.nobody')}>
      <ul class="facts">
        <li>
          <Icon name="lock" />
          <span>{say('offer.readers', { name })}</span>
        </li>
        <li>
          <Icon name="page" />
          <span>{say('offer.nothing')}</span>
        </li>
        <li>
          <Icon name="hourglass" />
          <span>
            {say('offer.ends', { idle: duration(offer.idleMs), until: dateTime(offer.expiresAt) })}
            {offer.singleUse && ` ${say('offer.once')}`}
          </span>
        </li>
      </ul>
      {isPrivate && <p class="note">{say('offer.private')}</p>}
      <p class="actions">
        <button type="button" class="main wide" onClick={visit.proceed}>
          {say('offer.continue')}
        </button>
      </p>
      <details class="check">
        <summary>{say('offer.check')}</summary>
        <p>{say('offer.check.number', { name })}</p>
        <p>
          {say('offer.check.page')}{' '}
          <a href="/g/manifest.json" target="_blank" rel="noopener noreferrer">
            {say('offer.check.list')}
          </a>
        </p>
        <p>{say('offer.looking')}</p>
      </details>
    </Card>
  )
}

const faults = {
  missing: 'name.missing',
  'wrong-pin': 'name.pin.wrong',
  'no-tries': 'name.pin.last',
  taken: 'name.taken',
} as const satisfies Record<NameFault, TextKey>

export function NameForm({ visit, stage, host }: { visit: Visiting; stage: At<'name'>; host: string | undefined }) {
  const { offer, busy, fault } = stage
  const [name, setName] = useState(stage.name)
  const [pin, setPin] = useState('')
  const who = host ?? say('host')
  const shown = shownName(name)
  const ofPin = fault === 'wrong-pin' || fault === 'no-tries'
  const said = fault && say(faults[fault], { name: who, count: offer.pinTries })
  const form = useRef<HTMLFormElement>(null)
  // The answer came while the fields were closed: whoever typed goes on where the fault is.
  useLayoutEffect(() => {
    if (fault && !busy) form.current?.querySelector<HTMLElement>('[aria-invalid="true"]:enabled')?.focus()
  }, [fault, busy])
  return (
    <Card title={say('name.title', { name: who })}>
      <form
        ref={form}
        onSubmit={(event) => {
          event.preventDefault()
          void visit.join(name, pin)
          setPin('')
        }}
      >
        <label class="field">
          <span>{say('name.label')}</span>
          <input
            name="name"
            value={name}
            maxLength={64}
            autocomplete="given-name"
            dir="auto"
            disabled={busy}
            aria-describedby="name-said"
            aria-invalid={fault === 'missing' || fault === 'taken'}
            onInput={(event) => setName(event.currentTarget.value)}
            ref={focusOnce}
          />
        </label>
        <p class="hint" id="name-said">
          {fault && !ofPin ? (
            <span class="fault" role="alert">
              {said}
            </span>
          ) : shown ? (
            say('name.shown', { name: say('guest', { name: shown }) })
          ) : (
            '\u00a0'
          )}
        </p>
        {offer.pin && (
          <>
            <label class="field">
              <span>{say('name.pin')}</span>
              <input
                name="pin"
                value={pin}
                inputMode="numeric"
                autocomplete="one-time-code"
                disabled={busy || fault === 'no-tries'}
                aria-describedby="pin-said"
                aria-invalid={ofPin}
                onInput={(event) => setPin(event.currentTarget.value)}
              />
            </label>
            <p class="hint" id="pin-said">
              {ofPin ? (
                <span class="fault" role="alert">
                  {said}
                </span>
              ) : (
                say('name.pin.from', { name: who })
              )}
            </p>
          </>
        )}
        <p class="terms">{say('name.terms', { name: who })}</p>
        <p class="actions">
          <button type="submit" class="main wide" disabled={busy || fault === 'no-tries'}>
            {busy ? say('name.busy') : say(offer.approval ? 'name.ask' : 'name.start')}
          </button>
          <button type="button" class="quiet" disabled={busy} onClick={visit.back}>
            {say('name.back')}
          </button>
        </p>
      </form>
    </Card>
  )
}

/** On a computer the field is ready to be written in; on a phone a keyboard that jumps up would hide the page. */
function focusOnce(element: HTMLInputElement | null) {
  if (!element || element.dataset.focused || matchMedia('(pointer: coarse)').matches) return
  element.dataset.focused = 'yes'
  requestAnimationFrame(() => element.focus())
}

export function WaitingCard({
  visit,
  stage,
  host,
}: {
  visit: Visiting
  stage: At<'waiting'>
  host: string | undefined
}) {
  return (
    <Card title={say('waiting.title', { name: host ?? say('host') })}>
      <p role="status">{say('waiting.text')}</p>
      <label class="field">
        <span>{say('waiting.draft')}</span>
        <textarea rows={4} dir="auto" value={stage.draft} onInput={(event) => visit.draft(event.currentTarget.value)} />
      </label>
      <p class="actions">
        <button type="button" class="quiet" onClick={() => void visit.stopWaiting()}>
          {say('waiting.cancel')}
        </button>
      </p>
    </Card>
  )
}

export function OverCard({ why, host }: { why: Over; host: string | undefined }) {
  const name = host ?? say('host')
  return (
    <Card title={say('over.title')}>
      <p>{say(`over.${why}`, { name })}</p>
      {why !== 'left' && why !== 'self' && <p>{say('over.again', { name })}</p>}
    </Card>
  )
}

export function GoneCard({ waited }: { waited: boolean }) {
  return (
    <Card title={say('gone.title')}>
      <p>{say(waited ? 'gone.waited' : 'gone.text')}</p>
    </Card>
  )
}

export function IncompleteCard({ visit, stage }: { visit: Visiting; stage: At<'incomplete'> }) {
  const [text, setText] = useState('')
  return (
    <Card title={say('incomplete.title')}>
      <form
        onSubmit={async (event) => {
          event.preventDefault()
          const elsewhere = await visit.paste(text)
          setText('')
          if (elsewhere) location.assign(elsewhere)
        }}
      >
        <label class="field">
          <span>{say('incomplete.text')}</span>
          <input
            name="link"
            type="text"
            dir="ltr"
            autocomplete="off"
            spellcheck={false}
            aria-label={say('incomplete.label')}
            aria-invalid={stage.tried}
            value={text}
            onInput={(event) => setText(event.currentTarget.value)}
          />
        </label>
        <p class="hint">
          {stage.tried && (
            <span class="fault" role="alert">
              {say('incomplete.still')}
            </span>
          )}
        </p>
        <p class="actions">
          <button type="submit" class="main">
            {say('incomplete.open')}
          </button>
        </p>
      </form>
    </Card>
  )
}

export function ElsewhereCard({ visit }: { visit: Visiting }) {
  return (
    <Card title={say('elsewhere.title')}>
      <p>{say('elsewhere.text')}</p>
      <p class="actions">
        <button type="button" class="main" onClick={() => void visit.useHere()}>
          {say('elsewhere.use')}
        </button>
      </p>
    </Card>
  )
}

const troubles = {
  unreachable: 'trouble.unreachable',
  limited: 'trouble.limited',
  host: 'trouble.host',
  nobody: 'trouble.nobody',
  storage: 'trouble.storage',
  clock: 'trouble.clock',
  other: 'trouble.other',
} as const satisfies Record<Trouble, TextKey>

export function TroubleCard({ visit, trouble, host }: { visit: Visiting; trouble: Trouble; host: string | undefined }) {
  return (
    <Card title={say('trouble.title')}>
      <p role="status">{say(troubles[trouble], { name: host ?? say('host') })}</p>
      {trouble !== 'host' && (
        <p class="actions">
          <button type="button" class="main" onClick={() => void visit.begin()}>
            {say('trouble.again')}
          </button>
        </p>
      )}
    </Card>
  )
}
