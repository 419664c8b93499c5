/** State event that marks a portal's room with a random value of ours. */
export const markType = 'eu.silta.portal'
/** State event that says what can be said in the room, and what becomes of it (src/content/capability.ts). */
export const capabilitiesType = 'eu.silta.capabilities'
/** State event that says who can read. */
export const postureType = 'eu.silta.posture'

/** Why a room that a ghost was invited to cannot be its portal's. */
export type Unfit = 'unencrypted' | 'not-two' | 'powerless' | 'public'
