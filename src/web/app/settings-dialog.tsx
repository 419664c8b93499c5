import { useEffect, useState } from 'preact/hooks'
import type { AccountSettings, DeviceInfo } from '../../client/index.ts'
import { Dialog } from '../parts/dialog.tsx'
import { say } from '../parts/language.ts'
import { LanguageChoice } from '../parts/page.tsx'
import { explainRefusal } from '../parts/refusals.ts'
import type { Home } from './client.ts'
import { Scanner } from './scanner.tsx'

/** How others see and find this account, its devices, and a further one to link. */
export function SettingsDialog({ home: { device }, onClose }: { home: Home; onClose: () => void }) {
  const [settings, setSettings] = useState<AccountSettings | undefined>(undefined)
  const [devices, setDevices] = useState<readonly DeviceInfo[]>([])
  const [name, setName] = useState('')
  const [handle, setHandle] = useState('')
  const [said, setSaid] = useState('')
  const read = () => {
    void device.settings().then(
      (now) => {
        setSettings(now)
        setHandle(now.handle ?? '')
      },
      () => {},
    )
    void device.profile().then(({ name: known }) => setName((typed) => typed || (known ?? '')))
    void device.devices().then(setDevices, () => {})
  }
  useEffect(read, [device])
  const save = async () => {
    try {
      if (name.trim()) await device.setProfile({ name: name.trim() })
      const wished = handle.trim().toLowerCase()
      if (wished !== (settings?.handle ?? '')) await device.setHandle(wished || undefined)
      setSaid(say('settings.saved'))
      read()
    } catch (error) {
      setSaid(explainRefusal(error))
    }
  }
  return (
    <Dialog title={say('settings.title')} onClose={onClose}>
      <form
        onSubmit={(event) => {
          event.preventDefault()
          void save()
        }}
      >
        <label class="field">
          <span>{say('settings.name')}</span>
          <input name="shown" value={name} maxLength={64} onInput={(event) => setName(event.currentTarget.value)} />
        </label>
        <label class="field">
          <span>{say('settings.handle')}</span>
          <input
            name="handle"
            value={handle}
            maxLength={32}
            dir="ltr"
            autocapitalize="none"
            spellcheck={false}
            onInput={(event) => setHandle(event.currentTarget.value)}
          />
        </label>
        <p class="actions">
          <button type="submit" class="main">
            {say('settings.save')}
          </button>
          <span class="choice" role="status">
            {said}
          </span>
        </p>
      </form>
      <h3>{say('settings.devices')}</h3>
      <ul class="links">
        {devices.map(({ deviceId, kind, own }) => (
          <li key={deviceId}>
            <span class="about">
              <span>{say(kind === 'primary' ? 'settings.device.primary' : 'settings.device.companion')}</span>
              <span class="soft">{own ? say('settings.device.own') : deviceId.slice(0, 8)}</span>
            </span>
            {!own && device.kind === 'primary' && (
              <button
                type="button"
                class="quiet"
                onClick={() => void device.unlink(deviceId).then(read, (error) => setSaid(explainRefusal(error)))}
              >
                {say('settings.unlink')}
              </button>
            )}
          </li>
        ))}
      </ul>
      {device.kind === 'primary' && <LinkForm confirm={(code) => device.confirmLink(code)} onLinked={read} />}
      <LanguageChoice />
    </Dialog>
  )
}

/** Takes the code that a new device shows: by the camera, or as text. */
function LinkForm({ confirm, onLinked }: { confirm: (code: string) => Promise<unknown>; onLinked: () => void }) {
  const [scanning, setScanning] = useState(false)
  const [code, setCode] = useState('')
  const [said, setSaid] = useState('')
  const link = async (text: string) => {
    setScanning(false)
    try {
      await confirm(text)
      setCode('')
      setSaid(say('link.done'))
      onLinked()
    } catch (error) {
      const bad = (error as { code?: string }).code === 'bad-code'
      setSaid(bad ? say('link.bad') : explainRefusal(error))
    }
  }
  return (
    <>
      <h3>{say('link.confirm')}</h3>
      <p class="soft">{say('link.confirm.text')}</p>
      {scanning ? (
        <Scanner onCode={(text) => void link(text)} onStop={() => setScanning(false)} />
      ) : (
        <p>
          <button type="button" class="quiet" onClick={() => setScanning(true)}>
            {say('link.scan')}
          </button>
        </p>
      )}
      <form
        onSubmit={(event) => {
          event.preventDefault()
          if (code.trim()) void link(code)
        }}
      >
        <label class="field">
          <span>{say('link.code')}</span>
          <textarea
            class="code"
            name="code"
            rows={3}
            dir="ltr"
            spellcheck={false}
            value={code}
            onInput={(event) => setCode(event.currentTarget.value)}
          />
        </label>
        <p class="actions">
          <button type="submit" class="main">
            {say('link.do')}
          </button>
          <span class="choice" role="status">
            {said}
          </span>
        </p>
      </form>
    </>
  )
}
