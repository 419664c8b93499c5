/**
 * What those who run Silta see of it: log, metrics, health, and an orderly end.
 *
 * It knows no module above. Nothing that names a person, holds content or is secret leaves the process here: the log
 * writes an allow-list of fields and no message of an error, metrics have bounded labels, health shows codes.
 */
export { openFaultLog } from './fault-log.ts'
export {
  type Dependency,
  type DependencyState,
  type Health,
  type HealthSettings,
  type HealthState,
  healthGauges,
  openHealth,
} from './health.ts'
export { type Log, type LogLevel, type LogSettings, openLog, silentLog } from './log.ts'
export {
  type Counters,
  type Instrument,
  type Labels,
  type Metrics,
  type MetricValue,
  openMetrics,
  type Timers,
} from './metrics.ts'
export {
  askOperator,
  type OperatorAnswer,
  type OperatorSocket,
  openOperatorSocket,
  operatorSocketFile,
} from './operator-socket.ts'
export { openShutdown, type Shutdown, type ShutdownSettings } from './shutdown.ts'
export { type StatusAnswer, statusRoutes } from './status.ts'
