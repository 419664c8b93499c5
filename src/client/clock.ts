import { IdentityError } from '../identity/index.ts'
import type { Context } from './context.ts'
import { ClientError } from './errors.ts'
import { defaultSettings } from './settings.ts'
import type { DeviceOptions } from './types.ts'

type Timed = Pick<Context, 'clock' | 'connection' | 'settings'>

/** What tells the time of a device that is still being made. */
export function timed({ clock = Date.now, connection, settings }: DeviceOptions): Timed {
  return { clock, connection, settings: { ...defaultSettings, ...settings } }
}

const agree = ({ clock, settings }: Timed, providerTime: number) =>
  Math.abs(providerTime - clock()) <= settings.clockTolerance * 1000

/**
 * The time, in milliseconds, at which to judge what the provider hands out of others: the provider's, by which it was
 * issued, as long as this device's own is near it. Further off the provider is not followed: it could otherwise pass
 * documents of long ago for ones of today.
 */
export function timeToJudge(context: Timed): number {
  const providerTime = context.connection.providerTime()
  return providerTime !== undefined && agree(context, providerTime) ? providerTime : context.clock()
}

/**
 * To be called before anything is signed that begins or ends at some time: of a device whose clock is wrong nobody would
 * take it, or not for as long as the device believes. Errors: wrong-clock.
 */
export async function requireClock(context: Timed): Promise<void> {
  const heard = context.connection.providerTime()
  if (heard !== undefined && agree(context, heard)) return
  // What was heard may be old: a machine slept, a clock was set.
  if (!agree(context, await context.connection.askTime())) throw new ClientError('wrong-clock')
}

/** The failure, or wrong-clock where it is one of time and the own clock differs too much from the provider's. */
export function clockFault(context: Timed, error: unknown): unknown {
  const providerTime = context.connection.providerTime()
  if (providerTime === undefined || agree(context, providerTime) || !isOfTime(error)) return error
  return new ClientError('wrong-clock', undefined, { cause: error })
}

/** What was judged here is told by its cause; a provider tells only that it does not take what this device has signed. */
function isOfTime(error: unknown): boolean {
  if (error instanceof ClientError && (error.code === 'bad-certificate' || error.code === 'bad-key-package'))
    return true
  for (let cause = error; cause instanceof Error; cause = cause.cause)
    if (cause instanceof IdentityError && (cause.code === 'expired' || cause.code === 'not-yet-valid')) return true
  return false
}
