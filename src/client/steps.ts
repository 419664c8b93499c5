/** Named points at which crash tests stop: everything before is durable, nothing after has happened. */
export const clientSteps = [
  'client.received',
  'client.stored',
  'client.acknowledged',
  'client.submission.stored',
  'client.submission.sent',
  'client.submission.done',
] as const

export type ClientStep = (typeof clientSteps)[number]
