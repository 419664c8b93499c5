/**
 * What this side needs of a logger; pino fits. Fields name codes, counts and durations, never a user, a room or content.
 */
export interface Log {
  debug(fields: object, message: string): void
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}
