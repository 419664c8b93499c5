import { execFile } from 'node:child_process'
import type { Crypto } from '../crypto/index.ts'
import { noteSigner, noteVerifier, type RemoteSigner } from './log/index.ts'

/**
 * Why a command has not signed.
 *
 * - signer-failed: it could not be started, or ended with another code than 0
 * - signer-timeout: it has not answered in time
 * - signer-wrong: what it printed is no signature by the key that was configured
 */
export type SignerErrorCode = 'signer-failed' | 'signer-timeout' | 'signer-wrong'

export class SignerError extends Error {
  override readonly name = 'SignerError'
  readonly code: SignerErrorCode

  constructor(code: SignerErrorCode, options?: ErrorOptions) {
    super(`the command that signs the compliance log failed (${code})`, options)
    this.code = code
  }
}

/** A key service answers in some hundred milliseconds; the lease outlasts this. */
const commandMs = 5_000

/**
 * A log key that lies elsewhere, as in a key management service: `command`, words without a shell, is given the bytes to sign
 * on its standard input and prints the Ed25519 signature, 64 bytes in base64 or hexadecimal. It is verified before it is used.
 */
export function commandSigner(
  crypto: Crypto,
  options: { origin: string; publicKey: Uint8Array; command: string; timeoutMs?: number },
): RemoteSigner {
  const { origin, publicKey, timeoutMs = commandMs } = options
  const [file = '', ...words] = options.command.split(' ').filter((word) => word !== '')
  return {
    verifier: noteVerifier(crypto, origin, publicKey),
    async sign(text) {
      const printed = await run(file, words, text, timeoutMs)
      const signature = /^[0-9a-fA-F]{128}$/.test(printed)
        ? Buffer.from(printed, 'hex')
        : Buffer.from(printed, 'base64')
      const bytes = new Uint8Array(signature)
      if (bytes.length !== 64 || !crypto.verify(publicKey, text, bytes)) throw new SignerError('signer-wrong')
      return bytes
    },
  }
}

export interface LogKeys {
  /** The log's name. */
  readonly origin: string
  /** Ed25519 seeds, 32 bytes each. */
  readonly keys: readonly Uint8Array[]
  readonly signCommand?: string | undefined
  /** The public key of the command, in base64. */
  readonly signKey?: string | undefined
}

/** All that sign the log, the command first. */
export function logSigners(crypto: Crypto, { origin, keys, signCommand, signKey }: LogKeys): RemoteSigner[] {
  const own = keys.map((key) => noteSigner(crypto, origin, key))
  if (signCommand === undefined || signKey === undefined) return own
  const publicKey = new Uint8Array(Buffer.from(signKey, 'base64'))
  return [commandSigner(crypto, { origin, publicKey, command: signCommand }), ...own]
}

function run(file: string, words: readonly string[], input: Uint8Array, timeoutMs: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = execFile(
      file,
      words,
      { timeout: timeoutMs, killSignal: 'SIGKILL', maxBuffer: 4096, encoding: 'utf8' },
      (error, stdout) => {
        if (!error) resolve(stdout.trim())
        else reject(new SignerError(error.killed ? 'signer-timeout' : 'signer-failed', { cause: error }))
      },
    )
    // It may end without reading.
    child.stdin?.on('error', () => undefined)
    child.stdin?.end(input)
  })
}
