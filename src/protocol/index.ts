/**
 * The messenger protocol on the wire: generated protobuf messages and the pipe that frames travel through. Gateway and
 * client share this room; it knows no rule of either.
 */
export * from './messenger_pb.js'
export type { FramePipe } from './pipe.ts'
export { accountProofBytes, authenticationBytes, inviteProofBytes } from './signed-bytes.ts'
