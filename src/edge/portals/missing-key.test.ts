import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { waitForKey } from './missing-key.ts'
import { defaultPortalSettings } from './settings.ts'

const settings = { ...defaultPortalSettings, missingKeyMs: 30_000, missingKeyMostMs: 300_000, missingKeyRetryMs: 3_000 }
const receivedAt = 1_000_000
const wait = (waited: number, inboxReadAt: number) =>
  waitForKey(settings, receivedAt + waited, { receivedAt }, { inboxReadAt })

describe('a message whose key is missing', () => {
  it('is asked about again and again while it waits', () => {
    assert.equal(wait(0, 0), 3_000)
    assert.equal(wait(28_000, 0), 2_000)
  })
  it('gives up its place when its time is over and the homeserver has been asked', () => {
    assert.equal(wait(30_000, receivedAt + 1), 0)
  })
  it('does not, however late it is, before the homeserver has been asked', () => {
    assert.equal(wait(60_000, receivedAt - 1), 3_000)
    assert.equal(wait(60_000, receivedAt), 3_000)
  })
  it('gives it up in the end when the homeserver never answers', () => {
    assert.equal(wait(300_000, 0), 0)
  })
  it('does not wait for a clock that was set back', () => {
    assert.equal(wait(-3_600_000, 0), 0)
    assert.equal(wait(-1_000, 0), 3_000)
  })
})
