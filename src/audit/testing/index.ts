/** What the benchmarks of the compliance log take from inside of it. */
export {
  emptyFrontier,
  encodeBundle,
  encodeVerifier,
  type Frontier,
  grow,
  leafHash,
  partialTiles,
  rootOf,
  signCheckpoint,
  type TileName,
  tilePath,
  tileWidth,
  verifyLog,
} from '../log/index.ts'
export { openParity } from '../parity.ts'
export { readLogAt } from '../place.ts'
export { testSigner } from './log.ts'
export { anEvent, testAudit, testSequencer } from './world.ts'
