import type { ConfigFile } from './schema.ts'

/**
 * Where the homeserver reaches this process: what the configuration says, else the listening address, as this machine
 * itself would write it.
 */
export function appserviceUrl({ matrix, listen }: ConfigFile): string {
  if (matrix?.appserviceUrl) return matrix.appserviceUrl.replace(/\/+$/, '')
  const everywhere = listen.host === '0.0.0.0' || listen.host === '::'
  const host = everywhere ? '127.0.0.1' : listen.host.includes(':') ? `[${listen.host}]` : listen.host
  return `http://${host}:${listen.port}`
}
