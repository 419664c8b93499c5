/**
 * The body as text, at most `limit` bytes of it: the length that counts is what came, not what a header promises.
 * undefined when there is more; reading stops there.
 */
export async function readBounded(message: { readonly body: unknown }, limit: number): Promise<string | undefined> {
  if (!message.body) return ''
  const chunks: Uint8Array[] = []
  let length = 0
  for await (const chunk of message.body as unknown as AsyncIterable<Uint8Array>) {
    length += chunk.length
    if (length > limit) return undefined
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}
