/**
 * The configuration: a YAML file, environment variables over it, and secrets from files of their own, checked and with
 * every default filled in. It knows what may be written and how to say what is wrong; it knows no module that uses it.
 *
 * No error or warning repeats a value that was written: it may be a secret.
 */
export { appserviceUrl } from './addresses.ts'
export { configFields, type Field } from './environment.ts'
export { ConfigError, type ConfigProblem } from './errors.ts'
export { type LoadedConfig, loadConfig } from './load.ts'
export { type ConfigFile as Config, configJsonSchema } from './schema.ts'
export {
  type FoundSecrets,
  lookAtSecrets,
  matrixTokens,
  readSecrets,
  type Secrets,
  trialIssuerIsOn,
} from './secrets.ts'
