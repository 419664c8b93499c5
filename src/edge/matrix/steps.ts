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

export type EdgeStep = (typeof matrixSteps)[number] | (typeof beginningSteps)[number] | ClientStep

/** Called at these points, so that a test may stop the process between two of them. */
export type Steps = (step: EdgeStep) => void | Promise<void>
