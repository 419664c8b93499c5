import type { ComponentChildren } from 'preact'
import { useEffect, useRef } from 'preact/hooks'
import { type Language, languages } from '../texts/index.ts'
import { Bridge } from './icons.tsx'
import { say, setLanguage, words } from './language.ts'

/** One card in the middle: every state of a page that is not a conversation. */
export function Card({ title, children }: { title: string; children?: ComponentChildren }) {
  const heading = useRef<HTMLHeadingElement>(null)
  // A new state is a new page to whoever hears it.
  useEffect(() => {
    const field = document.activeElement?.closest('form')
    if (!field) heading.current?.focus()
  }, [title])
  return (
    <main class="card-page">
      <section class="card">
        <Bridge />
        <h1 ref={heading} tabIndex={-1}>
          {title}
        </h1>
        {children}
      </section>
      <footer>
        <LanguageChoice />
      </footer>
    </main>
  )
}

export function LanguageChoice() {
  return (
    <label class="language">
      <span>{say('menu.language')}</span>
      <select
        value={words.value.language}
        onChange={(event) => void setLanguage(event.currentTarget.value as Language)}
      >
        {Object.entries(languages).map(([code, name]) => (
          <option key={code} value={code} lang={code}>
            {name}
          </option>
        ))}
      </select>
    </label>
  )
}

/** What a page looks like before anything is known. */
export function Skeleton() {
  return (
    <main class="card-page" aria-busy="true">
      <section class="card">
        <Bridge />
        <div class="bone title" />
        <div class="bone" />
        <div class="bone short" />
      </section>
    </main>
  )
}

/** What the browser lacks; before anything was typed or sent. */
export function UnfitCard({ why }: { why: 'old' | 'storage' }) {
  return (
    <Card title={say(`unfit.${why}`)}>
      <p>{say(`unfit.${why}.text`)}</p>
    </Card>
  )
}
