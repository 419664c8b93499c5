/** Named points at which crash tests stop: everything before is durable, nothing after has happened. */
export const hubSteps = ['hub.accepted'] as const

/** The same on the way of a guest: somebody was let in, a link was revoked or somebody blocked, a chat ended in its time. */
export const guestSteps = ['hub.guest.entered', 'hub.guest.revoked', 'hub.guest.blocked', 'hub.guest.ended'] as const

export type HubStep = (typeof hubSteps)[number] | (typeof guestSteps)[number]
