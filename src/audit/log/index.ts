/**
 * The transparency log as a format: RFC 6962 trees in C2SP tiles, checkpoints, signed notes, proofs. Pure: it reads
 * through a function that it is given and writes nothing. It knows nothing of what an entry says.
 */
export { fromBase64, toBase64 } from './base64.ts'
export { type Checkpoint, openCheckpoint, signCheckpoint, signCheckpointBy } from './checkpoint.ts'
export { type EntryRange, LogError, type LogErrorCode } from './errors.ts'
export { emptyFrontier, type Frontier, grow, partialTiles, rootOf, type Tile } from './frontier.ts'
export { leafHash } from './hashes.ts'
export {
  addCosignatures,
  encodeVerifier,
  haveSigned,
  keyFor,
  type NoteSigner,
  type NoteVerifier,
  noteSigner,
  noteVerifier,
  parseVerifier,
  type RemoteSigner,
} from './note.ts'
export { type LogPolicy, parsePolicy } from './policy.ts'
export { decodeProof, encodeProof, type LogProof, verifyProof } from './proof-file.ts'
export { proveConsistency, proveInclusion, verifyConsistency, verifyInclusion } from './proofs.ts'
export { openTiles, type ReadFile, readFrontier, type TileReader } from './reader.ts'
export { encodeBundle, mostEntryBytes, parseTilePath, type TileName, tilePath, tileWidth } from './tiles.ts'
export { readVerifiedLeaves, readVerifiedRange } from './verified-range.ts'
export { openEarlier, type VerifyOptions, verifyLog } from './verify.ts'
