/** An account, its devices, its choices, and whom it can write to. */
import type { AccountAddress, DeviceId, DeviceKind } from '../../identity/index.ts'

export type FirstContact = 'anyone' | 'consent' | 'nobody'
export type ReportReason = 'spam' | 'abuse' | 'impersonation' | 'other'

export interface DeviceInfo {
  deviceId: DeviceId
  kind: DeviceKind
  own: boolean
}

export interface AccountSettings {
  firstContact: FirstContact
  /** Networks over which this account is reachable. */
  networks: string[]
  handle?: string
  blocked: AccountAddress[]
  /** Whether others are told what was read here. */
  readReceipts: boolean
}

/** Whom to write to: an address, a handle at this provider, or an identifier on a network behind an edge. */
export type Target = { address: AccountAddress } | { handle: string } | { network: string; value: string }
