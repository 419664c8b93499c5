import { useEffect, useState } from 'preact/hooks'
import { Bridge, Icon } from '../parts/icons.tsx'
import { Events } from './events.tsx'
import { Parity } from './parity.tsx'
import type { Problem, Session } from './session.ts'
import { moment, number } from './words.ts'

export function AuditPage({ session }: { session: Session }) {
  if (!session.client.value) return <OpenCard session={session} />
  return <Log session={session} />
}

function OpenCard({ session }: { session: Session }) {
  const { problem, busy } = session
  const [credential, setCredential] = useState('')
  const [key, setKey] = useState(session.keptKey)
  return (
    <main class="card-page">
      <section class="card">
        <Bridge />
        <h1>The compliance log of {session.host}</h1>
        <ul class="facts">
          <li>
            <Icon name="page" />
            <span>It says what the service did. It holds no messages, names or numbers.</span>
          </li>
          <li>
            <Icon name="delivered" />
            <span>Your browser checks the signed checkpoint, and each entry that it shows by its proof.</span>
          </li>
        </ul>
        <form
          onSubmit={(event) => {
            event.preventDefault()
            void session.open(credential, key)
          }}
        >
          <label class="field">
            <span>Credential</span>
            <input
              type="password"
              required
              autocomplete="off"
              value={credential}
              onInput={(event) => setCredential(event.currentTarget.value)}
            />
          </label>
          <label class="field">
            <span>Key of the log</span>
            <input
              class="code"
              required
              autocomplete="off"
              spellcheck={false}
              value={key}
              placeholder="name+hash+key"
              onInput={(event) => setKey(event.currentTarget.value)}
            />
          </label>
          <p class="hint">
            Both come from the operator. The credential is forgotten with this tab; the key and the last checkpoint stay
            in this browser.
          </p>
          <ProblemNote problem={problem.value} />
          <button type="submit" class="main wide" disabled={busy.value}>
            {busy.value ? 'One moment' : 'Open the log'}
          </button>
        </form>
        <details class="check">
          <summary>How far can I trust this page?</summary>
          <p>
            It is served by whom it audits, and checks no more of the log than it shows. All of it a tool of your own
            can check: silta audit verify, Tessera’s fsck, or any program for C2SP logs.
          </p>
        </details>
      </section>
    </main>
  )
}

const views = { events: 'Events', parity: 'Parity' } as const
type View = keyof typeof views

const viewNow = (): View => (location.hash === '#parity' ? 'parity' : 'events')

function Log({ session }: { session: Session }) {
  const [view, setView] = useState(viewNow)
  useEffect(() => {
    const follow = () => setView(viewNow())
    addEventListener('hashchange', follow)
    return () => removeEventListener('hashchange', follow)
  }, [])
  return (
    <div class="audit">
      <header>
        <div class="heading">
          <h1>
            Compliance log <bdi>{session.client.value?.origin}</bdi>
          </h1>
          <button type="button" class="quiet" onClick={session.leave}>
            Close
          </button>
        </div>
        <CheckpointState session={session} />
        <nav aria-label="Views">
          {Object.entries(views).map(([name, title]) => (
            <a key={name} href={`#${name}`} aria-current={view === name ? 'page' : undefined}>
              {title}
            </a>
          ))}
        </nav>
      </header>
      <main aria-busy={session.busy.value}>
        <ProblemNote problem={session.problem.value} />
        {session.problem.value?.severe && (
          <p>
            <button type="button" class="danger" onClick={session.saveEvidence}>
              Save both checkpoints
            </button>
          </p>
        )}
        {view === 'events' ? <Events session={session} /> : <Parity session={session} />}
      </main>
    </div>
  )
}

function CheckpointState({ session }: { session: Session }) {
  const checkpoint = session.checkpoint.value
  if (!checkpoint) return undefined
  const { size, root, earlier } = checkpoint
  return (
    <div class="checkpoint" role="status">
      <Icon name="delivered" />
      <div>
        <p>
          <strong>
            A signed checkpoint over {number(size)} {size === 1 ? 'entry' : 'entries'}, verified here.
          </strong>{' '}
          Entries that are shown are checked by their proofs.{' '}
          {earlier
            ? `It continues the one over ${number(earlier.size)} that this browser saw on ${moment(earlier.at)}.`
            : 'This browser keeps the checkpoint: next time it sees whether anything was rewritten.'}
        </p>
        <p class="hint code">
          root <bdi>{toBase64(root)}</bdi>
        </p>
      </div>
      <button type="button" class="quiet" disabled={session.busy.value} onClick={() => void session.again()}>
        Look again
      </button>
    </div>
  )
}

const toBase64 = (bytes: Uint8Array): string => btoa(String.fromCharCode(...bytes))

function ProblemNote({ problem }: { problem: Problem | undefined }) {
  return (
    <div role="alert">
      {problem && (
        <p class={problem.severe ? 'note severe' : 'note'}>
          {problem.severe && <strong>This log does not hold. </strong>}
          {problem.text}
        </p>
      )}
    </div>
  )
}
