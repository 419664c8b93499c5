import pino from 'pino'
import { allowedFields, allowedMessage } from './log-fields.ts'

export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal' | 'silent'

/**
 * A logger. `message` is a plain sentence that stands in the code; what varies goes into fields, of which only those in
 * log-fields.ts are written.
 */
export interface Log {
  trace(fields: object, message: string): void
  debug(fields: object, message: string): void
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
  fatal(fields: object, message: string): void
  /** A logger that adds these fields to each line. */
  child(fields: object): Log
}

export interface LogSettings {
  readonly level?: LogLevel | undefined
  /** Where lines go instead of standard output. */
  readonly write?: ((line: string) => void) | undefined
}

/** JSON lines to standard output, without a worker thread: what is written is written when the process ends. */
export function openLog({ level = 'info', write }: LogSettings = {}): Log {
  const options: pino.LoggerOptions = {
    level,
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label) => ({ level: label }) },
    // Only `facade` writes, and it has already made errors into what may be known of them.
    serializers: {},
  }
  return facade(write ? pino(options, { write }) : pino(options, pino.destination({ dest: 1, sync: true })), {})
}

/** A logger that writes nothing. */
export function silentLog(): Log {
  return openLog({ level: 'silent', write: () => undefined })
}

function facade(logger: pino.Logger, always: Record<string, unknown>): Log {
  const at = (level: Exclude<LogLevel, 'silent'>) => (fields: object, message: string) => {
    if (logger.isLevelEnabled(level)) logger[level]({ ...always, ...allowedFields(fields) }, allowedMessage(message))
  }
  return {
    trace: at('trace'),
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    fatal: at('fatal'),
    child: (fields) => facade(logger, { ...always, ...allowedFields(fields) }),
  }
}
