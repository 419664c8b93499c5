/**
 * What a message of the messenger is on Matrix, and the other way round.
 *
 * Pure: values to values, no time, no network, no storage. Everything that comes in is a stranger's; what goes out is
 * made from an allow-list. What does not cross, or not whole, is said with a code, never passed over.
 */
export { isRefused, type Loss, matrixCapabilities, type TranslationCode, translationCodes } from './capabilities.ts'
export { fromMatrix, replyTargetOf } from './from-matrix.ts'
export { toMatrix } from './to-matrix.ts'
