import { fromBase64Url, toBase64Url } from '../../crypto/index.ts'

/** base64 with padding (RFC 4648 §4), as signed notes have it. */
export function toBase64(bytes: Uint8Array): string {
  const text = toBase64Url(bytes).replaceAll('-', '+').replaceAll('_', '/')
  return text.padEnd(Math.ceil(text.length / 4) * 4, '=')
}

/** Reverses `toBase64` and takes nothing else; undefined for everything else. */
export function fromBase64(text: string): Uint8Array | undefined {
  if (!/^[A-Za-z0-9+/]*={0,2}$/.test(text)) return undefined
  try {
    const bytes = fromBase64Url(text.replace(/=+$/, '').replaceAll('+', '-').replaceAll('/', '_'))
    return toBase64(bytes) === text ? bytes : undefined
  } catch {
    return undefined
  }
}
