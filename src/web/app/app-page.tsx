import { useState } from 'preact/hooks'
import { encode } from 'uqr'
import { say } from '../parts/language.ts'
import { Card, Skeleton } from '../parts/page.tsx'
import { QrCode } from '../parts/qr.tsx'
import type { Client, Fault, Stage } from './client.ts'
import { CopyField } from './copy-field.tsx'
import { HomePage } from './home-page.tsx'

/** The client for trying, as it is at each stage. */
export function AppPage({ client }: { client: Client }) {
  const stage = client.stage.value
  switch (stage.at) {
    case 'opening':
      return <Skeleton />
    case 'welcome':
      return <Welcome client={client} stage={stage} />
    case 'linking':
      return (
        <Card title={say('link.new')}>
          <p>{say('link.new.text')}</p>
          <QrCode modules={encode(stage.code, { ecc: 'M', border: 0 }).data} label={say('link.new')} />
          <CopyField label={say('link.code')} text={stage.code} />
          <p class="actions">
            <button type="button" class="quiet" onClick={client.stopLinking}>
              {say('cancel')}
            </button>
          </p>
        </Card>
      )
    case 'home':
      return <HomePage home={stage.home} />
    case 'elsewhere':
      return (
        <Card title={say('app.elsewhere')}>
          <p>{say('app.elsewhere.text')}</p>
          <p class="actions">
            <button type="button" class="main" onClick={() => void client.begin()}>
              {say('app.again')}
            </button>
          </p>
        </Card>
      )
    case 'unlinked':
      return (
        <Card title={say('app.unlinked')}>
          <p>{say('app.unlinked.text')}</p>
          <p class="actions">
            <button type="button" class="main" onClick={() => void client.erase()}>
              {say('app.erase')}
            </button>
          </p>
        </Card>
      )
  }
}

const faults = {
  name: 'app.name.hint',
  unreachable: 'trouble.unreachable',
  clock: 'trouble.clock',
  other: 'trouble.other',
} as const satisfies Record<Fault, string>

function Welcome({ client, stage: { busy, fault } }: { client: Client; stage: Extract<Stage, { at: 'welcome' }> }) {
  const [name, setName] = useState('')
  return (
    <Card title={say('app.welcome')}>
      <p>{say('app.welcome.text')}</p>
      <form
        onSubmit={(event) => {
          event.preventDefault()
          void client.register(name)
        }}
      >
        <label class="field">
          <span>{say('app.name')}</span>
          <input
            name="name"
            value={name}
            maxLength={32}
            autocomplete="username"
            autocapitalize="none"
            spellcheck={false}
            dir="ltr"
            disabled={busy}
            aria-describedby="name-said"
            aria-invalid={fault === 'name'}
            onInput={(event) => setName(event.currentTarget.value)}
          />
        </label>
        <p class={fault ? 'hint fault' : 'hint'} id="name-said" role={fault ? 'alert' : undefined}>
          {say(fault ? faults[fault] : 'app.name.hint')}
        </p>
        <p class="actions">
          <button type="submit" class="main wide" disabled={busy}>
            {say('app.create')}
          </button>
          <button type="button" class="quiet" disabled={busy} onClick={() => void client.link()}>
            {say('app.link')}
          </button>
        </p>
      </form>
    </Card>
  )
}
