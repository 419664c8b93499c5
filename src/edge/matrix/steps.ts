import type { ClientStep } from '../../client/index.ts'

/** Named points at which crash tests stop, beside those of the Matrix users' devices. */
export const matrixSteps = [
  // Matrix → messenger
  'matrix.transaction.stored',
  'matrix.transaction.answered',
  'matrix.decrypted',
  // messenger → Matrix
  'matrix.outbox.stored',
  'matrix.encrypted',
  'matrix.outbox.encrypted',
  'matrix.put',
  'matrix.done',
] as const

/** Points at which a conversation begins that a Matrix user invited a ghost for; once in each. */
export const beginningSteps = ['matrix.joined', 'matrix.begun'] as const

/** Changes of groups: noted from Matrix, made in the messenger, made on Matrix; a Matrix room made. */
export const groupSteps = [
  'matrix.group.noted',
  'matrix.group.committed',
  'matrix.group.followed',
  'matrix.group.made',
] as const

export type EdgeStep =
  | (typeof matrixSteps)[number]
  | (typeof beginningSteps)[number]
  | (typeof groupSteps)[number]
  | ClientStep

/** Called at these points, so that a test may stop the process between two of them. */
export type Steps = (step: EdgeStep) => void | Promise<void>
