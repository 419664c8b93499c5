import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { findSent, transactionId } from './find-sent.ts'
import { HomeserverError, type Json, openHomeserver } from './homeserver.ts'
import { defaultMatrixSettings } from './settings.ts'

type Answer = Response | Error | 'never'

function open(answer: (url: URL, init: RequestInit) => Answer, requestTimeoutMs = 1000) {
  const calls: { url: URL; init: RequestInit }[] = []
  const fake: typeof fetch = async (input, init = {}) => {
    const url = new URL(String(input))
    calls.push({ url, init })
    const result = answer(url, init)
    if (result instanceof Error) throw result
    if (result === 'never')
      return new Promise((_, reject) => {
        init.signal!.addEventListener('abort', () => reject(init.signal!.reason))
      })
    return result
  }
  const settings = { ...defaultMatrixSettings, requestTimeoutMs, responseLimitBytes: 1000, roomStateBytes: 500 }
  const homeserver = openHomeserver({ url: 'http://hs.test/', asToken: 't', domain: 'hs', fetch: fake, settings })
  return { homeserver, calls }
}

const ghost = { user: '@silta_x:hs', device: 'D' }

describe('a call to the homeserver', () => {
  it('is made in the name of a ghost and its device, with the token in the header', async () => {
    const { homeserver, calls } = open(() => Response.json({ event_id: '$1' }))
    assert.equal(await homeserver.putEvent(ghost, '!r/:hs', 'm.room.message', 'a.b', { body: 'x' }, 17), '$1')
    const { url, init } = calls[0]!
    assert.equal(url.pathname, '/_matrix/client/v3/rooms/!r%2F%3Ahs/send/m.room.message/a.b')
    assert.deepEqual(Object.fromEntries(url.searchParams), { ts: '17', user_id: '@silta_x:hs', device_id: 'D' })
    assert.equal((init.headers as Record<string, string>).authorization, 'Bearer t')
    assert.equal(init.body, '{"body":"x"}')
  })

  it('reads no state of a room that is larger than any of ours, and does not ask again', async () => {
    const { homeserver } = open(() => Response.json([{ type: 'y'.repeat(600) }]))
    await assert.rejects(homeserver.getRoomState(ghost, '!r:hs'), { errcode: 'SILTA_TOO_LARGE', retry: false })
  })

  for (const [name, answer, status, errcode, retry] of [
    ['a refusal', Response.json({ errcode: 'M_FORBIDDEN' }, { status: 403 }), 403, 'M_FORBIDDEN', false],
    [
      'a limit',
      Response.json({ errcode: 'M_LIMIT_EXCEEDED', retry_after_ms: 700 }, { status: 429 }),
      429,
      'M_LIMIT_EXCEEDED',
      true,
    ],
    ['a proxy that speaks HTML', new Response('<html>', { status: 502 }), 502, 'SILTA_BAD_ANSWER', true],
    ['success that is no JSON', new Response('<html>'), 502, 'SILTA_BAD_ANSWER', true],
    ['an answer without end', Response.json({ x: 'y'.repeat(2000) }), 502, 'SILTA_BAD_ANSWER', true],
    ['nobody there', new TypeError('fetch failed: http://hs.test:8008'), 0, 'SILTA_UNREACHABLE', true],
    ['no answer', 'never', 0, 'SILTA_TIMEOUT', true],
  ] as const)
    it(`tells ${name} apart, and whether trying again helps`, async () => {
      const { homeserver } = open(() => answer, 30)
      const error = await homeserver.whoami().then(
        () => assert.fail('no error'),
        (thrown) => thrown as HomeserverError,
      )
      assert.ok(error instanceof HomeserverError)
      assert.deepEqual([error.status, error.errcode, error.retry], [status, errcode, retry])
      assert.equal(error.retryAfterMs, name === 'a limit' ? 700 : undefined)
      assert.ok(!`${error.message}${error.cause ?? ''}`.includes('hs.test'))
    })

  it('that registers a user who exists is a success', async () => {
    const { homeserver } = open(() => Response.json({ errcode: 'M_USER_IN_USE' }, { status: 400 }))
    await homeserver.registerUser('silta_x')
  })

  it('for state that there is not gives nothing', async () => {
    const { homeserver } = open(() => Response.json({ errcode: 'M_NOT_FOUND' }, { status: 404 }))
    assert.equal(await homeserver.getState(ghost, '!r:hs', 'm.room.name'), undefined)
  })
})

describe('an event that may have been sent', () => {
  const at = 1_000_000_000
  const timeline = (events: Json[]) => {
    let pages = 0
    const messages = async (_as: unknown, _room: string, from?: string) => {
      pages++
      const start = Number(from ?? 0)
      const end = start + 2 < events.length ? { end: String(start + 2) } : {}
      return { chunk: events.slice(start, start + 2), ...end }
    }
    return { messages, pages: () => pages }
  }
  const event = (id: string, ciphertext: string, age = 0, sender = ghost.user) => ({
    event_id: id,
    sender,
    origin_server_ts: at - age,
    content: { ciphertext, session_id: 's' },
  })
  const look = (home: ReturnType<typeof timeline>, ciphertext: string) =>
    findSent(
      home,
      { as: ghost, room: '!r:hs', content: { ciphertext, session_id: 's' }, sentAt: at },
      { findPages: 20 },
    )

  it('is found by its ciphertext, if its sender is the ghost', async () => {
    const home = timeline([
      event('$3', 'c'),
      event('$other', 'b', 0, '@mallory:hs'),
      event('$2', 'b'),
      event('$1', 'a'),
    ])
    assert.equal(await look(home, 'b'), '$2')
    assert.equal(await look(home, 'z'), undefined)
  })

  it('is looked for no further back than it can be', async () => {
    const home = timeline(
      Array.from({ length: 40 }, (_, index) => event(`$${index}`, String(index), index * 20_000_000)),
    )
    assert.equal(await look(home, '39'), undefined)
    assert.ok(home.pages() < 5)
  })

  it('has a transaction id of the ghost and the message', () => {
    assert.equal(transactionId('@silta_x:hs', 'message'), 'silta_x.message')
    assert.equal(transactionId('@silta_x:hs', 'message', '2'), 'silta_x.message.2')
  })
})
