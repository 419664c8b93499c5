import type { Json } from './rooms.ts'

interface Device {
  keys?: Json
  oneTime: Map<string, unknown>
  fallback?: [string, unknown]
  /** What /sync has not acknowledged yet, with positions. */
  inbox: { at: number; message: ToDeviceMessage }[]
}

export interface ToDeviceMessage {
  readonly type: string
  readonly sender: string
  readonly content: Json
  readonly to_user_id: string
  readonly to_device_id: string
}

/** Device keys, one-time keys and to-device messages in memory. It checks no signature. */
export function stubKeys({
  onToDevice,
  onChanged,
}: {
  onToDevice(message: ToDeviceMessage): void
  onChanged(user: string): void
}) {
  const users = new Map<string, Map<string, Device>>()
  const identities = new Map<string, Json>()
  const delivered = new Set<string>()
  let position = 0
  /** Whose devices changed, and at which position last. */
  const changes = new Map<string, number>()
  const noteChange = (user: string) => {
    changes.set(user, ++position)
    onChanged(user)
  }

  const deviceOf = (user: string, id: string): Device => {
    const devices = users.get(user) ?? new Map<string, Device>()
    users.set(user, devices)
    const device = devices.get(id) ?? { oneTime: new Map(), inbox: [] }
    devices.set(id, device)
    return device
  }
  const countOf = (user: string, id: string) => ({ signed_curve25519: deviceOf(user, id).oneTime.size })
  return {
    deviceOf,
    countOf,
    devicesOf: (user: string): string[] => [...(users.get(user)?.keys() ?? [])],
    upload(user: string, id: string, body: Json): Json {
      const device = deviceOf(user, id)
      if (body.device_keys !== undefined) {
        device.keys = body.device_keys as Json
        noteChange(user)
      }
      for (const [key, value] of Object.entries((body.one_time_keys as Json | undefined) ?? {}))
        device.oneTime.set(key, value)
      const [fallback] = Object.entries((body.fallback_keys as Json | undefined) ?? {})
      if (fallback) device.fallback = fallback
      return { one_time_key_counts: countOf(user, id) }
    },
    query(body: Json): Json {
      const answer: Record<string, Json> = {
        device_keys: {},
        master_keys: {},
        self_signing_keys: {},
        user_signing_keys: {},
      }
      for (const user of Object.keys((body.device_keys as Json | undefined) ?? {})) {
        const known = [...(users.get(user) ?? [])].filter(([, device]) => device.keys)
        answer.device_keys![user] = Object.fromEntries(known.map(([id, device]) => [id, device.keys]))
        const identity = identities.get(user)
        for (const kind of ['master', 'self_signing', 'user_signing'])
          if (identity) answer[`${kind}_keys`]![user] = identity[`${kind}_key`]
      }
      return answer
    },
    claim(body: Json): Json {
      const keys: Record<string, Json> = {}
      for (const [user, wanted] of Object.entries((body.one_time_keys as Record<string, Json> | undefined) ?? {}))
        for (const id of Object.keys(wanted)) {
          const device = deviceOf(user, id)
          const [first] = device.oneTime
          const given = first ?? device.fallback
          if (first) device.oneTime.delete(first[0])
          if (given) keys[user] = { ...keys[user], [id]: { [given[0]]: given[1] } }
        }
      return { one_time_keys: keys, failures: {} }
    },
    identify(user: string, body: Json): Json {
      identities.set(user, body)
      noteChange(user)
      return {}
    },
    sign(body: Json): Json {
      for (const [user, objects] of Object.entries(body as Record<string, Record<string, Json>>)) {
        for (const [id, signed] of Object.entries(objects)) {
          const target = (users.get(user)?.get(id)?.keys ?? identities.get(user)?.master_key) as Json | undefined
          if (!target) continue
          const before = (target.signatures ?? {}) as Record<string, Json>
          const more = Object.entries((signed.signatures ?? {}) as Record<string, Json>)
          target.signatures = {
            ...before,
            ...Object.fromEntries(more.map(([by, keys]) => [by, { ...before[by], ...keys }])),
          }
        }
        noteChange(user)
      }
      return { failures: {} }
    },
    /** @param once names the request; the same name delivers nothing again */
    sendToDevice(sender: string, type: string, body: Json, once: string): Json {
      if (delivered.has(once)) return {}
      delivered.add(once)
      for (const [user, messages] of Object.entries((body.messages ?? {}) as Record<string, Record<string, Json>>))
        for (const [to, content] of Object.entries(messages)) {
          const ids = to === '*' ? [...(users.get(user)?.keys() ?? [])] : [to]
          for (const id of ids) {
            const message = { type, sender, content, to_user_id: user, to_device_id: id }
            deviceOf(user, id).inbox.push({ at: ++position, message })
            onToDevice(message)
          }
        }
      return {}
    },
    sync(user: string, id: string, since: string | undefined): Json {
      const device = deviceOf(user, id)
      const seen = since === undefined ? 0 : Number(since.slice(1))
      device.inbox = device.inbox.filter(({ at }) => at > seen)
      const page = device.inbox.slice(0, 100)
      const events = page.map(({ message: { type, sender, content } }) => ({ type, sender, content }))
      return {
        next_batch: `s${page.at(-1)?.at ?? Math.max(seen, position)}`,
        to_device: { events },
        device_lists: {
          changed: [...changes].flatMap(([user, at]) => (since !== undefined && at > seen ? [user] : [])),
        },
        device_one_time_keys_count: countOf(user, id),
      }
    },
    /** Takes all that waits for a device, as a client's /sync would. */
    take(user: string, id: string): ToDeviceMessage[] {
      return deviceOf(user, id)
        .inbox.splice(0)
        .map(({ message }) => message)
    },
    waiting: (user: string, id: string): number => deviceOf(user, id).inbox.length,
  }
}

export type StubKeys = ReturnType<typeof stubKeys>
