/**
 * Why the sequencer does not go on. It signs nothing until somebody has looked at it; entries wait meanwhile.
 *
 * - checkpoint-invalid: the published checkpoint is not signed by our key, or cannot be read
 * - tiles-invalid: the published tiles or entries do not give the published root
 * - published-missing: a checkpoint was signed, and nothing is published in this folder
 * - published-behind: a longer log was signed than the one that is published; its folder was set back
 * - fork: what the database has in the log differs from what is published
 * - tile-differs: a tile that was to be written is there with other content
 */
export type SequencerErrorCode =
  | 'checkpoint-invalid'
  | 'tiles-invalid'
  | 'published-missing'
  | 'published-behind'
  | 'fork'
  | 'tile-differs'

const meanings: Record<SequencerErrorCode, string> = {
  'checkpoint-invalid': 'the published checkpoint is not signed by the key of this log',
  'tiles-invalid': 'the published tiles do not give the root that was signed',
  'published-missing': 'a checkpoint was signed, but its log is not in this folder: bring the folder back',
  'published-behind': 'a longer log was signed than is published: the folder was set back; bring the newer one back',
  fork: 'the database has other entries than the published log',
  'tile-differs': 'a tile is published with other content',
}

export class SequencerError extends Error {
  override readonly name = 'SequencerError'
  readonly code: SequencerErrorCode

  constructor(code: SequencerErrorCode, options?: ErrorOptions) {
    super(meanings[code], options)
    this.code = code
  }
}
