import { concatBytes } from '../crypto/index.ts'

/** Several documents in one value: each preceded by its length in four bytes. */
export function packDocuments(documents: readonly Uint8Array[]): Uint8Array {
  return concatBytes(
    ...documents.flatMap((document) => {
      const length = new Uint8Array(4)
      new DataView(length.buffer).setUint32(0, document.length)
      return [length, document]
    }),
  )
}

/** Reverses `packDocuments`, for values of our own making only. */
export function unpackDocuments(packed: Uint8Array): Uint8Array[] {
  const view = new DataView(packed.buffer, packed.byteOffset, packed.byteLength)
  const documents: Uint8Array[] = []
  for (let at = 0; at < packed.length; ) {
    const end = at + 4 + view.getUint32(at)
    documents.push(packed.subarray(at + 4, end))
    at = end
  }
  return documents
}
