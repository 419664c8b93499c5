import { useState } from 'preact/hooks'
import { say } from '../parts/language.ts'

/** A text to take along: selected at a press, copied by a button. */
export function CopyField({ label, text }: { label: string; text: string }) {
  const [copied, setCopied] = useState(false)
  return (
    <>
      <label class="field">
        <span>{label}</span>
        <textarea
          class="code"
          readOnly
          rows={3}
          dir="ltr"
          value={text}
          onFocus={(event) => event.currentTarget.select()}
        />
      </label>
      <p class="actions">
        <button
          type="button"
          class="main"
          onClick={() =>
            void navigator.clipboard.writeText(text).then(
              () => setCopied(true),
              () => setCopied(false),
            )
          }
        >
          {say('copy')}
        </button>
        <span role="status" class="choice">
          {copied ? say('copied') : ''}
        </span>
      </p>
    </>
  )
}
