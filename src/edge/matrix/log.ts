/**
 * What this side needs of a logger; the one of `ops` fits. Fields name codes, counts and durations, never a user, a room or
 * content. An error is given as `error`: of it kind and place are written, never its message.
 */
export interface Log {
  debug(fields: object, message: string): void
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}
