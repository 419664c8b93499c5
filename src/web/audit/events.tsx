import { useEffect, useState } from 'preact/hooks'
import { facetsOf, outcomes, subjectMembers } from '../../audit/reading/index.ts'
import { Icon } from '../parts/icons.tsx'
import type { Question } from './answer.ts'
import type { ProvenEntry } from './log-client.ts'
import type { Session } from './session.ts'
import { moment, number } from './words.ts'

const formats = { csv: 'CSV', ocsf: 'OCSF', ndjson: 'JSON lines' } as const

export function Events({ session }: { session: Session }) {
  const { entries, next, busy, problem } = session
  const none = entries.value.length === 0
  useEffect(() => void session.begin(), [session])
  return (
    <>
      <Filter session={session} />
      <div class="exports">
        <span class="hint">Everything that fits the filter:</span>
        {Object.entries(formats).map(([format, name]) => (
          <button
            key={format}
            type="button"
            class="quiet"
            disabled={busy.value}
            onClick={() => void session.exportAll(format as keyof typeof formats)}
          >
            Save as {name}
          </button>
        ))}
      </div>
      <h2 class="unseen">Entries</h2>
      {none && busy.value && (
        <div aria-hidden="true" class="bones">
          <div class="bone" />
          <div class="bone" />
          <div class="bone short" />
        </div>
      )}
      {none && !busy.value && !problem.value && (
        <p class="empty">{next.value ? 'Nothing yet; there is more to look through.' : 'No entry fits this filter.'}</p>
      )}
      <ol class="entries">
        {entries.value.map((entry) => (
          <Entry key={`${entry.log} ${entry.index}`} proven={entry} session={session} />
        ))}
      </ol>
      {next.value !== undefined && (
        <button type="button" class="quiet wide" disabled={busy.value} onClick={() => void session.more()}>
          {busy.value ? 'Reading and proving' : 'Show earlier entries'}
        </button>
      )}
    </>
  )
}

function Filter({ session }: { session: Session }) {
  const [fields, setFields] = useState<Question>(session.question.value)
  const set = (name: string) => (event: { currentTarget: { value: string } }) =>
    setFields({ ...fields, [name]: event.currentTarget.value.trim() })
  const given = () => Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== ''))
  return (
    <search>
      <form
        class="filter"
        onSubmit={(event) => {
          event.preventDefault()
          void session.ask(given())
        }}
      >
        <label class="field">
          <span>Event</span>
          <select value={fields.type ?? ''} onChange={set('type')}>
            <option value="">All</option>
            {[...session.descriptions.value.keys()].sort().map((type) => (
              <option key={type} value={type}>
                {type}
              </option>
            ))}
          </select>
        </label>
        <label class="field">
          <span>Network or provider</span>
          <input
            value={fields.provider ?? ''}
            pattern="[a-z0-9][a-z0-9.\-]*"
            onInput={set('provider')}
            autocapitalize="none"
          />
        </label>
        <label class="field">
          <span>Outcome</span>
          <select value={fields.outcome ?? ''} onChange={set('outcome')}>
            <option value="">All</option>
            {outcomes.map((outcome) => (
              <option key={outcome} value={outcome}>
                {outcome}
              </option>
            ))}
          </select>
        </label>
        <label class="field">
          <span>Pseudonym</span>
          <input
            class="code"
            value={fields.pseudonym ?? ''}
            pattern="[\w\-]{22}"
            onInput={set('pseudonym')}
            spellcheck={false}
          />
        </label>
        <label class="field">
          <span>From (UTC)</span>
          <input type="date" value={fields.from ?? ''} onInput={set('from')} />
        </label>
        <label class="field">
          <span>Before (UTC)</span>
          <input type="date" value={fields.to ?? ''} onInput={set('to')} />
        </label>
        <button type="submit" class="main">
          Look
        </button>
      </form>
    </search>
  )
}

/** What is shown of an entry beside its subjects. */
const shown = [
  'network',
  'provider',
  'operation',
  'code',
  'count',
  'reason',
  'from',
  'to',
  'accountKind',
  'deviceKind',
] as const

function Entry({ proven, session }: { proven: ProvenEntry; session: Session }) {
  const { entry, log, index, provenIn } = proven
  const { type, at } = facetsOf(entry)
  const about = subjectMembers.flatMap((name) =>
    typeof entry[name] === 'string' ? [[name, entry[name]] as const] : [],
  )
  const facts = shown.flatMap((name) =>
    ['string', 'number'].includes(typeof entry[name]) ? [[name, String(entry[name])] as const] : [],
  )
  return (
    <li class="entry">
      <p class="what">
        <strong>{type}</strong>
        <time dateTime={String(entry.time)}>{moment(at)}</time>
      </p>
      <p class="hint">{session.descriptions.value.get(type)}</p>
      <dl>
        {about.map(([name, pseudonym]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd class="code">
              <button
                type="button"
                class="inline"
                title="Show everything about this pseudonym"
                onClick={() => void session.ask({ pseudonym })}
              >
                {pseudonym}
              </button>
            </dd>
          </div>
        ))}
        {facts.map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
      <details class="check">
        <summary>
          <Icon name="delivered" />
          <span>
            Entry {number(index)} of <bdi>{log}</bdi>, proven to be among the {number(provenIn)} that are signed
          </span>
        </summary>
        <pre dir="ltr">{JSON.stringify(entry, undefined, 2)}</pre>
        <button type="button" class="quiet" onClick={() => void session.save(proven)}>
          Save the proof
        </button>
      </details>
    </li>
  )
}
