/** What a device is: the account's first, a linked one, a guest's browser, or an edge that speaks for someone. */
export type DeviceKind = 'primary' | 'companion' | 'guest' | 'edge'
/** Who an account belongs to; `edge` is a user of a foreign network, spoken for by an edge. */
export type AccountKind = 'person' | 'business' | 'guest' | 'edge'

export const deviceKinds: readonly DeviceKind[] = ['primary', 'companion', 'guest', 'edge']
export const accountKinds: readonly AccountKind[] = ['person', 'business', 'guest', 'edge']

/** Edges and guests are nothing else: an edge cannot pose as a phone, nor a phone of someone behind an edge appear. */
export function kindsAgree(account: AccountKind, device: DeviceKind): boolean {
  if (account === 'edge' || device === 'edge') return account === 'edge' && device === 'edge'
  if (account === 'guest' || device === 'guest') return account === 'guest' && device === 'guest'
  return true
}
