import { expect } from '../connection/wire.ts'
import { wireReason } from '../connection/wire-values.ts'
import type { Context } from '../context.ts'
import type { Device } from '../types.ts'

type AccountCalls = Pick<Device, 'block' | 'report'>

/** What every device does about others as accounts, a guest's too. */
export function accountCalls(context: Context): AccountCalls {
  const done = async (...args: Parameters<Context['request']>) => {
    expect(await context.request(...args), 'done')
  }
  return {
    report: (room, account, reason) => done({ case: 'report', value: { room, account, reason: wireReason(reason) } }),
    block: (account, blocked = true) => done({ case: 'block', value: { account, blocked } }),
  }
}
