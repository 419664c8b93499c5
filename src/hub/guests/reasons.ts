/** Why a guest's chat is over. */
export type GuestEnd = 'idle' | 'revoked' | 'blocked' | 'left'
