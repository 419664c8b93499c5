/** Named points at which crash tests stop: everything before is durable, nothing after has happened. */
export const hubSteps = ['hub.accepted'] as const

export type HubStep = (typeof hubSteps)[number]
